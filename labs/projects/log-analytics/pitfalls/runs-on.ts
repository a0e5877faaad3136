// Flaw: in silence time goes on without end, so that whoever was cut off finds windows closed that nobody has used.
// Seen in: idle timeouts that leave the watermark to the clock on the wall
// Caught by: what all sources have kept for themselves meanwhile is counted when they come back
export * from '../src/index.ts';

import { type Seen, Desk as Sound, Watermark as SoundWatermark } from '../src/index.ts';

class Watermark extends SoundWatermark {
  protected override expected(now: number): number {
    const all = [...this.sources.values()];
    if (all.some(({ arrivedAt }) => now - arrivedAt <= this.o.idleMs)) return super.expected(now);
    return Math.max(...all.map(({ newest, arrivedAt }) => newest + now - arrivedAt)) - this.o.latenessMs;
  }
}

export class Desk extends Sound {
  protected override newWatermark(sources: Iterable<readonly [string, Seen]>, value: number | undefined): Watermark {
    return new Watermark(this.o, sources, value);
  }
}
