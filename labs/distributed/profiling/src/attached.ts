import type { HeapProfiler, NodeWorker, Profiler } from 'node:inspector';
import { setTimeout as delay } from 'node:timers/promises';
import { type CallCount, countCalls } from './call-counts.ts';
import { BusyError, ProtocolError } from './errors.ts';
import type { Inspector } from './inspector.ts';
import { duration, interval, LONGEST_MS, spacing } from './limits.ts';

export interface MeasureOptions {
  /** How long to measure, in milliseconds. */
  readonly ms: number;
  /** Ends the measurement and its effect on the target; the call rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface LoopMeasure {
  /** Share of the time in which the event loop was not waiting, 0 to 1. */
  readonly utilization: number;
  /** The longest time a timer was late, in milliseconds; the whole window when none came at all. */
  readonly longestStallMs: number;
}

type OwnWorker = NodeWorker.WorkerInfo & { readonly workerId: string };

/** A live process with its inspector open, as `attach` gives it. One measurement at a time. */
export class Attached implements AsyncDisposable {
  readonly pid: number;
  #inspector: Inspector;
  #detach: () => Promise<void>;
  #busy = false;
  #detached: Promise<void> | undefined;

  /** @param detach Ends what `attach` began: run once. */
  constructor(pid: number, inspector: Inspector, detach: () => Promise<void>) {
    this.pid = pid;
    this.#inspector = inspector;
    this.#detach = detach;
  }

  /**
   * Samples the main thread: which functions were on the stack, each `intervalUs` (default 1000) microseconds. Save the answer
   * as JSON in a `.cpuprofile` for speedscope, DevTools or VS Code. The target's code is optimised anew at its beginning, and
   * what it has counted of its own coverage (NODE_V8_COVERAGE) is lost. Work that comes in step with the samples, as by a timer
   * of whole milliseconds, is seen at one place each time: a second record with another `intervalUs` tells.
   *
   * @throws BusyError, TargetEndedError, TargetSilentError, InvalidArgumentError
   */
  record({
    ms,
    signal,
    intervalUs = 1000,
  }: MeasureOptions & { readonly intervalUs?: number }): Promise<Profiler.Profile> {
    return this.#measure('Profiler', { ms, signal, intervalUs }, async (inspector) => {
      await inspector.send('Profiler.setSamplingInterval', { interval: intervalUs });
      await inspector.send('Profiler.start');
      // What V8 optimised before the profiler came (inlined, or replaced while it ran) would be charged to its caller. Counting
      // has it forget all that, and optimise anew under the profiler's eyes.
      await inspector.send('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
      await inspector.send('Profiler.stopPreciseCoverage');
      await wait(inspector, ms, signal);
      return (await inspector.send('Profiler.stop')).profile;
    });
  }

  /** Counts each call in the main thread. It costs the target more than sampling does. @throws as `record` does */
  callCounts({
    ms,
    signal,
    accept,
  }: MeasureOptions & { readonly accept?: (url: string) => boolean }): Promise<CallCount[]> {
    return this.#measure('Profiler', { ms, signal }, async (inspector) => {
      await inspector.send('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
      await wait(inspector, ms, signal);
      const { result } = await inspector.send('Profiler.takePreciseCoverage');
      await inspector.send('Profiler.stopPreciseCoverage');
      return countCalls(result, accept);
    });
  }

  /**
   * What was allocated in these milliseconds and is still alive, by sampling every `intervalBytes` (default 32768) bytes.
   * At its end the target collects all garbage once, which stops it for a moment.
   *
   * @throws as `record` does
   */
  heap({
    ms,
    signal,
    intervalBytes = 32_768,
  }: MeasureOptions & { readonly intervalBytes?: number }): Promise<HeapProfiler.SamplingHeapProfile> {
    return this.#measure('HeapProfiler', { ms, signal, intervalBytes }, async (inspector) => {
      await inspector.send('HeapProfiler.startSampling', { samplingInterval: intervalBytes });
      await wait(inspector, ms, signal);
      await inspector.send('HeapProfiler.collectGarbage');
      return (await inspector.send('HeapProfiler.stopSampling')).profile;
    });
  }

  /** How busy the event loop is, by the target's own `perf_hooks`, and for how long it stalls. @throws as `record` does */
  loop({ ms, signal }: MeasureOptions): Promise<LoopMeasure> {
    return this.#measure('Profiler', { ms, signal }, async (inspector) => {
      const begin = { expression: `(${LOOP_BEGIN})(${ms})`, includeCommandLineAPI: true };
      const { result, exceptionDetails } = await inspector.send('Runtime.evaluate', begin);
      const { objectId, description } = result;
      if (exceptionDetails || objectId === undefined) {
        throw new ProtocolError(`The target has no perf_hooks: ${description}`);
      }
      const finish = async () => {
        const end = { objectId, functionDeclaration: LOOP_END, returnByValue: true };
        const answer = await inspector.send('Runtime.callFunctionOn', end);
        await inspector.send('Runtime.releaseObject', { objectId });
        return answer;
      };
      await wait(inspector, ms, signal).catch(async (error) => {
        await finish().catch(() => {});
        throw error;
      });
      const { utilization, ticks, longest } = (await finish()).result.value;
      return { utilization, longestStallMs: ticks === 0 ? ms : longest };
    });
  }

  /** The threads of the process. Their time is in no profile of the main thread, which seems idle meanwhile. */
  workers(): Promise<OwnWorker[]> {
    return this.#measure('Profiler', undefined, async (inspector) => {
      const found: OwnWorker[] = [];
      inspector.on('NodeWorker.attachedToWorker', ({ workerInfo }) => void found.push(workerInfo));
      await inspector.send('NodeWorker.enable', { waitForDebuggerOnStart: false });
      await inspector.send('NodeWorker.disable');
      return found;
    });
  }

  /**
   * Leaves the process as it was found: its inspector closed. Also when it has ended. Somebody else who has come to the same
   * inspector meanwhile is cut off; the process stands still until he hangs up, which a client that is stopped doesn't do.
   *
   * @throws TargetSilentError
   */
  detach(): Promise<void> {
    this.#detached ??= this.#detach();
    return this.#detached;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.detach();
  }

  async #measure<T>(
    domain: 'Profiler' | 'HeapProfiler',
    asked: Asked | undefined,
    body: (inspector: Inspector) => Promise<T>,
  ): Promise<T> {
    // Before the target notices anything.
    if (asked) check(asked);
    if (this.#busy) throw new BusyError(`Process ${this.pid} is measured already: await that first.`);
    this.#busy = true;
    try {
      await this.#inspector.send(`${domain}.enable`);
      return await body(this.#inspector);
    } finally {
      // It also ends what was begun and not stopped.
      await this.#inspector.send(`${domain}.disable`).catch(() => {});
      this.#busy = false;
    }
  }
}

interface Asked {
  readonly ms: number;
  readonly signal: AbortSignal | undefined;
  readonly intervalUs?: number;
  readonly intervalBytes?: number;
}

/** @throws InvalidArgumentError, the signal's reason */
function check({ ms, signal, intervalUs, intervalBytes }: Asked): void {
  duration(ms);
  if (intervalUs !== undefined) interval(intervalUs);
  if (intervalBytes !== undefined) spacing(intervalBytes);
  signal?.throwIfAborted();
}

/** @throws the signal's reason; TargetEndedError as soon as the target is gone */
async function wait(inspector: Inspector, ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  const over = new AbortController();
  const ended = inspector.closed.then(() => inspector.send('Profiler.enable'));
  ended.catch(() => {});
  const abort = () => over.abort();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    await Promise.race([delay(ms, undefined, { signal: over.signal }), ended]);
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
    over.abort();
  }
}

/**
 * A timer of our own: a histogram of `perf_hooks` knows nothing of a stall that lasts. It ends by itself, at its next turn
 * or should nobody come back: a command comes anywhere between two steps of the target, and a timer that is cleared
 * between its end and its callback would have Node.js call what is no more, and the process die of it.
 */
const LOOP_BEGIN = `(ms) => {
  const { performance } = (process.getBuiltinModule ?? require)('node:perf_hooks');
  const seen = { performance, from: performance.eventLoopUtilization(), ticks: 0, longest: 0, last: performance.now() };
  seen.look = () => {
    const now = performance.now();
    seen.longest = Math.max(seen.longest, now - seen.last - 10);
    seen.last = now;
  };
  const until = performance.now() + Math.min(ms + 10_000, ${LONGEST_MS});
  const timer = setInterval(() => {
    if (seen.over || performance.now() > until) return clearInterval(timer);
    seen.look();
    seen.ticks++;
  }, 10).unref();
  return seen;
}`;

const LOOP_END = `function () {
  this.over = true;
  this.look();
  const { utilization } = this.performance.eventLoopUtilization(this.from);
  return { utilization, ticks: this.ticks, longest: this.longest };
}`;
