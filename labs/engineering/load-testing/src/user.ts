import { AssertionFailed, InvalidPlanError } from './errors.ts';
import type { Answer, RequestOptions } from './request.ts';

/** Numbers from 0 to 1, 1 excluded. */
export type Random = () => number;

/** How long a user thinks before the next task, in seconds. */
export type Wait = (random: Random) => number;

/** What one user does; every request in it is measured. */
export type Task = (session: Session) => void | Promise<void>;

/** One simulated user, from its arrival until it leaves. */
export interface Session {
  /** From 0; no two sessions of a run have the same, in whatever process. */
  readonly id: number;
  readonly random: Random;
  /** Sent with each request of this session: a place for the token that `onStart` got. */
  readonly headers: Record<string, string>;
  /** Aborts when the user shall leave. A task that is under way may end. */
  readonly signal: AbortSignal;
  /**
   * Sends a request to the target and measures it. A failure is counted and returned, not thrown.
   * @param path begins with one slash
   */
  request(path: string, o?: RequestOptions): Promise<Answer>;
}

export interface User {
  readonly wait: Wait;
  readonly tasks: readonly (readonly [weight: number, task: Task])[];
  /** Comes first. When it throws, or one of its requests fails, this user doesn't begin. */
  readonly onStart?: Task | undefined;
}

/**
 * Describes a user: `user({ wait: between(1, 3), tasks: [[3, browse], [1, buy]] })`. In the open model an arrival does one
 * task and leaves; nobody thinks.
 * @throws InvalidPlanError without a task, or for a weight that isn't above 0
 */
export function user(o: User): User {
  if (typeof o.wait !== 'function') throw new InvalidPlanError('wait must be a function: between(1, 3), for example.');
  if (o.tasks.length === 0) throw new InvalidPlanError('A user needs a task, as in tasks: [[1, browse]].');
  for (const [weight, task] of o.tasks) {
    if (!(weight > 0 && weight < Number.POSITIVE_INFINITY) || typeof task !== 'function') {
      throw new InvalidPlanError(`A task is a weight above 0 and a function: [3, browse]; the weight is ${weight}.`);
    }
  }
  return { ...o, tasks: [...o.tasks] };
}

/** @throws InvalidPlanError unless 0 ≤ min ≤ max; both in seconds */
export function between(min: number, max: number): Wait {
  if (!(min >= 0 && max >= min && max < Number.POSITIVE_INFINITY)) {
    throw new InvalidPlanError(`between takes two numbers of seconds, the smaller first; it was given ${min}, ${max}.`);
  }
  return (random) => min + (max - min) * random();
}

/** Draws a task, each as often as its weight says. */
export function pick(tasks: User['tasks'], random: Random): Task {
  let left = random() * tasks.reduce((sum, [weight]) => sum + weight, 0);
  const drawn = tasks.find(([weight]) => {
    left -= weight;
    return left < 0;
  });
  const [, task] = drawn ?? tasks.at(-1) ?? [];
  if (!task) throw new InvalidPlanError('A user needs a task.');
  return task;
}

/** For a check or a task: fails unless `holds`. */
export function expects(holds: boolean, what: string): asserts holds {
  if (!holds) throw new AssertionFailed(what);
}

/** mulberry32: the same seed gives the same sequence on every machine. No good for secrets. */
export function seeded(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
