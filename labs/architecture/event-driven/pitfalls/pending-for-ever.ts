// Flaw: only new entries are read (`>`): what a dead consumer had in hand stays pending, and nobody ever reads it.
// Seen in: https://github.com/openlinker-project/openlinker/pull/2223
// Caught by: streams: what a dead consumer had in hand is taken over, in order, before anything new
import { StreamsBus as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class StreamsBus extends Reference {
  protected override async takeOver(): Promise<[string, []]> {
    return ['0-0', []];
  }
}
