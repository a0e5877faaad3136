import { createHistogram, performance } from 'node:perf_hooks';
import { checkMs } from './errors.ts';

/** How late a caller was served, in milliseconds. All three are NaN when `samples` is 0. */
export interface Delay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** How many moments were measured. */
  readonly samples: number;
}

export interface DelayMeasure extends Disposable {
  /** What was measured until now, a block that has not ended included. From the second call on: the same again. */
  stop(): Delay;
}

/**
 * How late this thread's event loop serves who comes every `resolutionMs`, from now until `stop()`. It doesn't keep the
 * process alive.
 *
 * Every planned moment counts, those that passed unseen in a block too: a block of 300 ms delayed thirty callers, not
 * one. (Gil Tene, "How NOT to measure latency": coordinated omission.) Node's `monitorEventLoopDelay` counts one.
 * @param options.resolutionMs Milliseconds between two callers. Default 10.
 * @throws InvalidArgumentError unless `resolutionMs` is at least 1.
 */
export function measureDelay({ resolutionMs = 10 }: { readonly resolutionMs?: number } = {}): DelayMeasure {
  checkMs('resolutionMs', resolutionMs, 1);
  const microseconds = createHistogram();
  let samples = 0;
  let due = performance.now() + resolutionMs;
  let timer: NodeJS.Timeout;
  let result: Delay | undefined;

  const serve = (): void => {
    const now = performance.now();
    for (; due <= now; due += resolutionMs) {
      microseconds.record(Math.max(1, Math.round((now - due) * 1_000)));
      samples++;
    }
  };
  const next = (): void => {
    timer = setTimeout(
      () => {
        serve();
        next();
      },
      Math.max(1, due - performance.now()),
    ).unref();
  };
  const stop = (): Delay => {
    if (result) return result;
    clearTimeout(timer);
    // Who became due in the block that goes on now has been waiting since.
    serve();
    const at = (percentile: number) => (samples ? microseconds.percentile(percentile) / 1_000 : Number.NaN);
    result = { p50: at(50), p99: at(99), max: samples ? microseconds.max / 1_000 : Number.NaN, samples };
    return result;
  };
  next();
  return { stop, [Symbol.dispose]: () => void stop() };
}
