// Flaw: the watermark follows the newest line of all, so that the fastest source closes the windows of the others.
// Seen in: `max(event_time) - delay` over a whole topic, where one partition lags
// Caught by: a window is open until every source has passed its end, and not the fastest alone
export * from '../src/index.ts';

import { Watermark as Sound } from '../src/index.ts';

export class Watermark extends Sound {
  protected override expected(): number {
    return Math.max(...[...this.sources.values()].map(({ newest }) => newest)) - this.o.latenessMs;
  }
}
