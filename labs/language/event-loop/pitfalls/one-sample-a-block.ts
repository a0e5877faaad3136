// Flaw: the timer that was late is one sample, however many callers would have come meanwhile: a second of standstill is
// one bad figure among a hundred good ones, and p99 says that all is well. (Coordinated omission.)
// Seen in: https://github.com/nodejs/node/issues/34661
// Caught by: a block delays everybody who comes while it lasts, not one
import type { DelayMeasure } from '../src/index.ts';

export * from '../src/index.ts';

export function measureDelay({ resolutionMs = 10 } = {}): DelayMeasure {
  const late: number[] = [];
  let due = performance.now() + resolutionMs;
  const serve = () => {
    late.push(Math.max(0, performance.now() - due));
    due = performance.now() + resolutionMs;
  };
  const timer = setInterval(serve, resolutionMs).unref();
  const stop = () => {
    clearInterval(timer);
    if (due <= performance.now()) serve();
    late.sort((a, b) => a - b);
    const at = (share: number) => late[Math.min(late.length - 1, Math.floor(late.length * share))] ?? Number.NaN;
    return { p50: at(0.5), p99: at(0.99), max: at(1), samples: late.length };
  };
  return { stop, [Symbol.dispose]: () => void stop() };
}
