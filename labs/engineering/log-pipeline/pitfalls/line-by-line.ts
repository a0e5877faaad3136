// Flaw: a line is an event, so a stack trace is as many as it has frames, and none of them tells what happened.
// Seen in: https://github.com/moby/moby/issues/22920
// Caught by: a stack trace is one event
import { Shipper as Reference } from '../src/index.ts';
import type { Line } from '../src/lines.ts';

export * from '../src/index.ts';

export class Shipper extends Reference {
  protected override join(lines: readonly Line[]): Line[] {
    return [...lines];
  }
}
