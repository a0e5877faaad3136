import { performance } from 'node:perf_hooks';
import { isMainThread, Worker } from 'node:worker_threads';
import { checkMs, InvalidArgumentError, WrongThreadError } from './errors.ts';

/** What stood in the way, read while it did. */
export interface Block {
  /** Milliseconds for which the loop had been blocked when it was looked at. */
  readonly blockedMs: number;
  /** `file:line:column` of the innermost line that is not Node's own; undefined when none was running (microtasks). */
  readonly site: string | undefined;
  /** The frames of the main thread, as in `Error.stack`; empty when none was running. */
  readonly stack: string;
  /**
   * Milliseconds between the question and the answer. More than a few: native code ran (`JSON.parse`, `execSync`), and
   * the line is the one behind it.
   */
  readonly readAfterMs: number;
}

export interface WatchdogOptions {
  /** Milliseconds without a turn of the event loop that are a block. Default 100. */
  readonly thresholdMs?: number;
  /** Called once for each block, in the main thread: when it is over. What never ends is only written to `fd`. */
  readonly onBlock?: (block: Block) => void;
  /** File descriptor that gets a line while the loop is blocked. Default 2, the standard error; null: none. */
  readonly fd?: number | null;
}

/** How often within `thresholdMs` the main thread shows a sign of life, and the watchdog looks. */
const BEATS = 4;

const entry = import.meta.url.endsWith('.ts')
  ? new URL('./watchdog-thread.ts', import.meta.url)
  : new URL('./watchdog-thread.js', import.meta.url);

let watchdogs = 0;

/**
 * Watches the main thread's event loop from a thread of its own, and names the line that blocks it, while it does.
 *
 * It asks by way of the inspector (no port is opened, no debugger enabled), and only once the loop is blocked: before
 * that it costs a timer here and an idle thread. It doesn't keep the process alive.
 * @throws WrongThreadError outside the main thread; InvalidArgumentError unless `thresholdMs` is at least 8.
 */
export function watchdog(options: WatchdogOptions = {}): Disposable {
  const { thresholdMs, fd, onBlock } = checkWatchdog(options);
  const key = `event-loop.watchdog.${++watchdogs}`;
  const beats = new Int32Array(new SharedArrayBuffer(4));
  let last = performance.now();
  const beat = () => {
    last = performance.now();
    Atomics.add(beats, 0, 1);
  };
  const heart = setInterval(beat, thresholdMs / BEATS).unref();
  // Called through the inspector, on top of whatever is running.
  Reflect.set(globalThis, Symbol.for(key), () => look(last));
  const thread = startWatching({ key, beats, thresholdMs, fd });
  if (onBlock) thread.on('message', onBlock);
  thread.unref();
  return {
    [Symbol.dispose]() {
      clearInterval(heart);
      Reflect.deleteProperty(globalThis, Symbol.for(key));
      // What it has said already would arrive now.
      if (onBlock) thread.off('message', onBlock);
      void thread.terminate();
    },
  };
}

/** What the thread needs to know. */
export interface Watching {
  /** `globalThis[Symbol.for(key)]()` looks at what runs. */
  readonly key: string;
  /** One word, counted up by the event loop that is watched. */
  readonly beats: Int32Array<SharedArrayBuffer>;
  readonly thresholdMs: number;
  readonly fd: number | null;
}

/** What the thread is given. */
export interface Looking extends Watching {
  readonly everyMs: number;
  /** How many looks in a row without a beat are a block. */
  readonly limit: number;
}

/** Starts the thread. Each block is a message of it. */
export function startWatching(watching: Watching): Worker {
  const workerData: Looking = { ...watching, everyMs: watching.thresholdMs / BEATS, limit: BEATS + 1 };
  const thread = new Worker(entry, { workerData });
  thread.on('error', (error) => process.emitWarning(`The event loop is watched no longer: ${error}`));
  return thread;
}

/** What runs under the call, and for how long the loop has not turned. */
export function look(lastBeat: number): { blockedMs: number; stack: string } {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 30;
  const stack = String(new Error().stack);
  Error.stackTraceLimit = limit;
  return { blockedMs: performance.now() - lastBeat, stack };
}

export function checkWatchdog({ thresholdMs = 100, onBlock, fd = 2 }: WatchdogOptions) {
  if (!isMainThread) throw new WrongThreadError('The watchdog watches the main thread: start it there.');
  checkMs('thresholdMs', thresholdMs, 2 * BEATS);
  if (fd !== null && !(Number.isInteger(fd) && fd >= 0)) {
    throw new InvalidArgumentError(`fd must be a file descriptor or null; it is ${String(fd)}.`);
  }
  if (onBlock !== undefined && typeof onBlock !== 'function') {
    throw new InvalidArgumentError(`onBlock must be a function; it is ${String(onBlock)}.`);
  }
  return { thresholdMs, onBlock, fd };
}
