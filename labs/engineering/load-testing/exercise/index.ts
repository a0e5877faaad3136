import { type Exit, type Steps, steps } from '../src/generator.ts';
import type { HistogramData, Times } from '../src/histogram.ts';
import { bucketOf, edgeOf, InvalidPlanError, type Random, type Stage, type Task, type Wait } from '../src/index.ts';
import { TIME_UP } from '../src/request.ts';
import { runWith } from '../src/run.ts';
import type { Failure } from '../src/stats.ts';
import type { User } from '../src/user.ts';
import { crossing, type Evidence, FAILURES, type Threshold, type Verdict } from '../src/verdict.ts';
import { runWorkersWith } from '../src/workers.ts';

// Given: HTTP, sessions, timers, processes, the report and its page; they call what you write. Yours are the ten decisions
// that make the figures true, each small. What you may need of src/ is imported; the rest of it holds solutions. `h` in `pnpm lab learn load-testing` gives a hint.
export {
  type Answer,
  AssertionFailed,
  bucketOf,
  type Dashboard,
  type DashboardOptions,
  edgeOf,
  expects,
  type Failure,
  type HistogramData,
  html,
  InvalidPlanError,
  type Latency,
  LoadTestError,
  type Missing,
  type Plan,
  type Point,
  type Random,
  RemoteTargetError,
  type Report,
  type RequestOptions,
  type Row,
  type Session,
  type Stage,
  Stats,
  startDashboard,
  type Task,
  type Threshold,
  type User,
  user,
  type Verdict,
  type Wait,
  type WorkersPlan,
  work,
} from '../src/index.ts';

// Given, for `between`, `Histogram`, `failureOf` and `judge`.
void [InvalidPlanError, bucketOf, edgeOf, TIME_UP, crossing, FAILURES];

/** Draws a task, each as often as its weight says. Use `random` once: it gives a number from 0 to 1, 1 excluded. */
export function pick(_tasks: User['tasks'], _random: Random): Task {
  return todo('pick');
}

/** A wait of `min` to `max` seconds, all equally likely. Refuse bounds that are none: `new InvalidPlanError('why')`. */
export function between(_min: number, _max: number): Wait {
  return todo('between');
}

/**
 * The level `at` so many seconds after the start. It begins at 0, moves in a straight line to each stage's `to` during its
 * `seconds` (0 is a jump), and is 0 again after the last.
 */
export function levelAt(_stages: readonly Stage[], _at: number): number {
  return todo('levelAt');
}

/**
 * When arrival number `index` (from 0) is due, in seconds after the start; Infinity when the stages hold no such arrival.
 * Here the level is arrivals a second, so the area below it is how many have come. Arrival `index` is due when the area has
 * reached `index + 0.5`.
 */
export function dueAt(_stages: readonly Stage[], _index: number): number {
  return todo('dueAt');
}

/**
 * Durations in buckets. Given: `bucketOf(ms)` is the number of a bucket, at most 1 % wide, `edgeOf(bucket)` the longest duration
 * in it, in ms.
 */
export class Histogram implements Times {
  readonly #counts = new Map<number, number>();
  #sum = 0;
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  get max(): number {
    return this.#max;
  }

  get mean(): number {
    return this.#sum / this.#count;
  }

  /** Counts a duration in its bucket, and in `#sum`, `#count` and `#max`. @throws RangeError for what is no duration */
  record(_ms: number): void {
    todo('record');
  }

  /** The edge of the bucket below which `percent` of all lie; never above `max`. NaN when there is nothing. */
  percentile(_percent: number): number {
    return todo('percentile');
  }

  /** Adds what another has seen: `other.counts` are pairs of a bucket and its count. */
  merge(_other: HistogramData): void {
    todo('merge');
  }

  toJSON(): HistogramData {
    return { counts: [...this.#counts], sum: this.#sum, max: this.#max };
  }
}

/**
 * The kind of an error that undici or the socket below has thrown. `TIME_UP` itself: the plan's timeout. Else look at its `code`:
 * nobody listens, this machine has no port or descriptor left (`generator`: EMFILE, EADDRNOTAVAIL and the like), or
 * `network`. What has no code, or UND_ERR_INVALID_ARG, could not be sent: `script`.
 */
function failureOf(_error: unknown): Failure {
  return todo('failureOf');
}

/**
 * From when an answer's time counts, on `performance.now()`. `due` is when the arrival had to begin, `sent` when the request
 * is sent; in the closed model nothing is due.
 */
function countedFrom(_due: number | undefined, sent: number): number {
  // Its flaw: it counts from the sending. So the laws before its own can measure.
  return sent;
}

/**
 * `refused` when the figures say nothing about the target: nothing was asked, or a part of `evidence` says that the load or the
 * measure was not what it should have been, each with a reason. Else `failed` when a threshold is crossed; else `passed`. Unless a
 * threshold bounds the failureRatio of all, `FAILURES` does. `crossing(evidence, threshold)` tells in words what is wrong, or `[]`.
 */
function judge(_evidence: Evidence, _thresholds: readonly Threshold[]): Verdict {
  // Its flaw: it is always content. So the laws before its own can run.
  return { verdict: 'passed', reasons: [] };
}

/** For a shell: 0 passed, 1 failed, 2 refused. */
export function exitCode(_report: Pick<Verdict, 'verdict'>): 0 | 1 | 2 {
  return todo('exitCode');
}

/** A meter: each call says how busy this process's event loop was since the call before, from 0 to 1. */
function utilization(): () => number {
  // Its flaw: it never looks.
  return () => 0;
}

/** Why a worker's share is missing, now that its process has ended: `SIGKILL`, `exit code 1`. Undefined: it had done all of it. */
function lost(_exit: Exit): string | undefined {
  return undefined;
}

const own: Steps = { ...steps, pick, levelAt, dueAt, failureOf, countedFrom, judge, utilization, lost, histogram };

function histogram(): Times {
  return new Histogram();
}

export const run = runWith(own);
export const runWorkers = runWorkersWith(own);

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
