// Flaw: the measure is Node's own, and it counts a block at the tick after the next: before the first one, or before the
// block has ended, it has seen nothing.
// Seen in: https://github.com/bripkens/event-loop-stats/issues/6
// Caught by: a block is measured while it lasts: before the first tick, and without one at its end
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { DelayMeasure } from '../src/index.ts';

export * from '../src/index.ts';

export function measureDelay({ resolutionMs = 10 } = {}): DelayMeasure {
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  histogram.enable();
  const stop = () => {
    histogram.disable();
    const at = (percentile: number) => histogram.percentile(percentile) / 1e6 - resolutionMs;
    return { p50: at(50), p99: at(99), max: histogram.max / 1e6 - resolutionMs, samples: histogram.count };
  };
  return { stop, [Symbol.dispose]: () => void stop() };
}
