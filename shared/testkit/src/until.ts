import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { patient } from './patience.ts';

export interface UntilOptions {
  /** Milliseconds until the wait is given up, where a machine is slow longer: see `patient`. Default 5000. */
  readonly timeoutMs?: number;
  /** Milliseconds between two probes. Default 5. */
  readonly intervalMs?: number;
  /** What is awaited, as the end of the sentence "waited 5000 ms for …". Default "a truthy value". */
  readonly what?: string;
}

/** The condition did not come true in time. `cause` is the last error of the probe, when it threw. */
export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code = 'DEADLINE';
}

/** As every stub of an exercise says of itself: time does not write it. */
const unwritten = /\bnot written yet\b/;

/**
 * Polls `probe` until it returns something truthy, and returns that. A probe that throws counts as "not yet"; a stub that
 * says that it is not written yet ends the wait with its own error.
 * @throws {DeadlineError} at the deadline, with what was awaited and what the probe saw last; a probe that hangs too.
 */
export async function until<T>(probe: () => T | Promise<T>, options: UntilOptions = {}): Promise<NonNullable<T>> {
  const { intervalMs = 5, what = 'a truthy value' } = options;
  const timeoutMs = patient(options.timeoutMs ?? 5000);
  const deadline = performance.now() + timeoutMs;
  let last = 'no answer came';
  let cause: unknown;
  let expired = false;
  const expiry = new AbortController();
  const timeout = delay(timeoutMs, undefined, { signal: expiry.signal }).then(
    () => {
      expired = true;
    },
    () => undefined,
  );
  try {
    while (!expired) {
      const answer = await Promise.race([attempt(probe), timeout]);
      if (answer === undefined) break;
      if ('value' in answer) {
        if (answer.value) return answer.value;
        last = `it last saw ${inspect(answer.value, { depth: 3, breakLength: 100 })}`;
        cause = undefined;
      } else {
        if (answer.error instanceof Error && unwritten.test(answer.error.message)) throw answer.error;
        last = `it last threw ${answer.error instanceof Error ? answer.error.message : inspect(answer.error)}`;
        cause = answer.error;
      }
      await delay(Math.max(0, Math.min(intervalMs, deadline - performance.now())));
    }
  } finally {
    expiry.abort();
  }
  throw new DeadlineError(`waited ${timeoutMs} ms for ${what}; ${last}`, cause === undefined ? {} : { cause });
}

async function attempt<T>(probe: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await probe() };
  } catch (error) {
    return { error };
  }
}
