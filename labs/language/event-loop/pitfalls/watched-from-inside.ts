// Flaw: the watchdog is a timer of the loop that it watches. It wakes up when the block is over: too late for a loop that
// never ends, and with a stack that shows the timer alone.
// Seen in: https://github.com/RuntimeTools/appmetrics/pull/100
// Caught by: a watchdog names the line that blocks, while it blocks
import { writeSync } from 'node:fs';
import type { WatchdogOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function watchdog({ thresholdMs = 100, onBlock, fd = 2 }: WatchdogOptions = {}): Disposable {
  let last = performance.now();
  const timer = setInterval(() => {
    const blockedMs = performance.now() - last;
    last = performance.now();
    if (blockedMs < thresholdMs) return;
    const stack = String(new Error().stack);
    if (fd !== null) writeSync(fd, `event loop blocked for ${blockedMs.toFixed(0)} ms at ${stack}\n`);
    onBlock?.({ blockedMs, site: undefined, stack, readAfterMs: 0 });
  }, thresholdMs / 4).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
