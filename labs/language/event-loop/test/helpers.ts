import { outcome, until } from '@shared/testkit';
import { onTestFinished } from 'vitest';
// The reference: the laws of a counter are not to fail because of an offload.
import { offload } from '../src/offload.ts';
import type * as Threads from './threads.ts';

/** Milliseconds that a law waits for what must come. */
export const PATIENCE = 6_000;
export const file = new URL('./threads.ts', import.meta.url);

/** Calls a function of threads.ts in a thread of its own; what a law leaves running ends with it. */
export const thread: ReturnType<typeof offload<typeof Threads>> = (name, input, options) => {
  const end = new AbortController();
  onTestFinished(() => end.abort(new Error('the law is over')));
  const result = offload<typeof Threads>(file)(name, input, { signal: end.signal, ...options });
  result.catch(() => {});
  return result;
};

export const ended = <R>(result: Promise<R>) => outcome(result, PATIENCE);
export const words = (count: number) => new Int32Array(new SharedArrayBuffer(4 * count));

/** A mutex's door: see threads.ts. */
export function newDoor() {
  const state = words(3);
  const reached = (word: 0 | 1, count: number) =>
    until(() => Atomics.load(state, word) >= count, { timeoutMs: PATIENCE, what: `${count} threads` });
  return {
    door: state.buffer,
    /** That many are about to lock. */
    coming: (count: number) => reached(0, count),
    /** That many have been in; a thread that fails is a failure at once. */
    inside: (count: number, thread: Promise<unknown>) =>
      Promise.race([reached(1, count), thread.then(() => reached(1, count))]),
    open: () => {
      Atomics.store(state, 2, 1);
      Atomics.notify(state, 2);
    },
  };
}
