import { InvalidPlanError, RemoteTargetError } from './errors.ts';
import type { Point } from './recorder.ts';
import { lengthOf, type Stage } from './stages.ts';
import { METRICS, type Threshold } from './verdict.ts';

/** What a run shall do, in whatever process the users live. */
export interface Plan {
  /** `http://127.0.0.1:3000`: without a path. */
  readonly target: string;
  /**
   * `closed`: so many users, each of whom waits for an answer, thinks and comes again; a slow server is asked less.
   * `open`: so many arrivals a second, whatever becomes of those before them; that is how strangers come.
   */
  readonly model: 'closed' | 'open';
  readonly stages: readonly Stage[];
  /** What has to hold for the run to pass. Unless one says otherwise, at most one request in a thousand may fail. */
  readonly thresholds?: readonly Threshold[];
  /** Of one request, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
  /** How long those under way are waited for in the end, in milliseconds. Default: `timeoutMs` and a second. */
  readonly drainMs?: number;
  /** Open model, in each process: arrivals beyond so many wait, and their waiting counts. Default 1,000. */
  readonly maxInFlight?: number;
  /** The share of time, from 0 to 1, that a generator's event loop may be busy, or kept from running, before its figures are refused. Default 0.9. */
  readonly maxUtilization?: number;
  /** Hosts beside this machine that may be loaded. */
  readonly allowHosts?: readonly string[];
  /** Of tasks and think times. Default: drawn, and in the report. */
  readonly seed?: number;
  /** How long a point of the report is, in milliseconds. Default 500, or more so that a long run has 600 points. */
  readonly everyMs?: number;
  /** Stops the run: nobody comes any more, and those under way are waited for. */
  readonly signal?: AbortSignal;
  /** Hears of each stretch of the run as it ends: for a page, or a terminal. What it throws is thrown when the run has ended. */
  readonly onPoint?: (point: Point) => void | Promise<void>;
}

/** A plan that was checked, as plain data for another process. */
export interface Settings {
  readonly origin: string;
  readonly model: Plan['model'];
  readonly stages: readonly Stage[];
  readonly timeoutMs: number;
  readonly drainMs: number;
  readonly maxInFlight: number;
  readonly maxUtilization: number;
  readonly seed: number;
  readonly everyMs: number;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const EVERY_MS = 500;
const POINTS = 600;

/**
 * @throws InvalidPlanError for what no run can be made from
 * @throws RemoteTargetError for a target that is neither this machine nor in `allowHosts`
 */
export function settingsOf(plan: Plan): Settings {
  const { model, stages, thresholds = [], timeoutMs = 10_000 } = plan;
  if (model !== 'closed' && model !== 'open') throw new InvalidPlanError(`model is "closed" or "open", not ${model}.`);
  if (!Array.isArray(stages))
    throw new InvalidPlanError(`stages is a list, as in [{ seconds: 30, to: 200 }]; it is ${stages}.`);
  for (const { seconds, to } of stages) {
    within('seconds of a stage', seconds, 0, LONGEST_TIMER_MS / 1_000);
    within('to of a stage', to, 0, 1e6);
  }
  within('seconds of all stages', lengthOf(stages), 0.001, LONGEST_TIMER_MS / 1_000);
  for (const { metric, max, min } of thresholds) {
    if (!METRICS.includes(metric)) throw new InvalidPlanError(`No metric ${metric}; there are ${METRICS.join(', ')}.`);
    if (max === undefined && min === undefined)
      throw new InvalidPlanError(`The threshold of ${metric} has no max or min.`);
    for (const bound of [max, min]) within(`The threshold of ${metric}`, bound ?? 0, 0, Number.MAX_VALUE);
  }
  // A chart, and the report, stay of one size.
  const shortest = (lengthOf(stages) * 1_000) / POINTS;
  return {
    origin: originOf(plan.target, plan.allowHosts ?? []),
    model,
    stages: stages.map(({ seconds, to }) => ({ seconds, to })),
    timeoutMs: within('timeoutMs', timeoutMs, 1, LONGEST_TIMER_MS),
    drainMs: within('drainMs', plan.drainMs ?? Math.min(timeoutMs + 1_000, LONGEST_TIMER_MS), 0, LONGEST_TIMER_MS),
    maxInFlight: within('maxInFlight', plan.maxInFlight ?? 1_000, 1, 1e6),
    maxUtilization: within('maxUtilization', plan.maxUtilization ?? 0.9, 0, 1),
    seed: within('seed', plan.seed ?? Math.floor(Math.random() * 2 ** 31), 0, 2 ** 32),
    everyMs: within('everyMs', plan.everyMs ?? Math.max(EVERY_MS, shortest), Math.max(50, shortest), LONGEST_TIMER_MS),
  };
}

function originOf(target: string, allowed: readonly string[]): string {
  const url = URL.parse(target);
  if (!url || !/^https?:$/.test(url.protocol) || url.pathname !== '/' || url.search || url.hash || url.username) {
    throw new InvalidPlanError(`target must be an origin such as http://127.0.0.1:3000; it is ${target}.`);
  }
  // The parser has brought every way to write 127.0.0.1 to this one.
  const here = /^(localhost|\[::1\]|127\.\d+\.\d+\.\d+)$/.test(url.hostname);
  // A text has an `includes` of its own, and then half a name would do.
  if (!here && !new Set(allowed).has(url.hostname)) throw new RemoteTargetError(url.hostname);
  return url.origin;
}

function within(name: string, value: number, from: number, to: number): number {
  if (typeof value === 'number' && value >= from && value <= to) return value;
  throw new InvalidPlanError(`${name} must be a number from ${from} to ${to}; it is ${value}.`);
}
