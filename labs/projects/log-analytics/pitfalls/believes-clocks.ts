// Flaw: a clock that is ahead moves the watermark past the present, and closes the windows of those whose clock is right.
// Seen in: https://github.com/laminardb/laminardb/pull/388
// Caught by: a clock that is ahead closes no window of those whose clock is right
export * from '../src/index.ts';

import { type Seen, Desk as Sound, Watermark as SoundWatermark } from '../src/index.ts';

class Watermark extends SoundWatermark {
  protected override expected(now: number): number {
    const { idleMs, latenessMs } = this.o;
    const awake = [...this.sources.values()].filter(({ arrivedAt }) => now - arrivedAt <= idleMs);
    if (awake.length === 0) return super.expected(now);
    return Math.min(...awake.map(({ newest }) => newest)) - latenessMs;
  }
}

export class Desk extends Sound {
  protected override newWatermark(sources: Iterable<readonly [string, Seen]>, value: number | undefined): Watermark {
    return new Watermark(this.o, sources, value);
  }
}
