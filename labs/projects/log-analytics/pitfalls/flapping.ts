// Flaw: one limit for both ways and no memory, so that a rate around the limit rings the bell with each window.
// Seen in: alert rules without `for` and `keep_firing_for`
// Caught by: an alert fires once for bad windows in a row, and is over once for good ones
export * from '../src/index.ts';

import { type Change, Alarm as Sound } from '../src/index.ts';

export class Alarm extends Sound {
  override judge({ lines, errors }: { readonly lines: number; readonly errors: number }): Change | undefined {
    const bad = errors / lines >= this.rule.share;
    if (lines < this.rule.least || bad === this.firing) return undefined;
    this.firing = bad;
    return bad ? 'firing' : 'over';
  }
}
