// Flaw: a source that has nothing to say is waited for, and no window is ever closed again.
// Seen in: https://issues.apache.org/jira/browse/FLINK-5479
// Caught by: a silent source holds nobody, and when all are silent time goes on without them
export * from '../src/index.ts';

import { Watermark as Sound } from '../src/index.ts';

export class Watermark extends Sound {
  protected override expected(): number {
    return Math.min(...[...this.sources.values()].map(({ newest }) => newest)) - this.o.latenessMs;
  }
}
