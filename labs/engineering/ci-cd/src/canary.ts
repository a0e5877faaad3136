import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { InvalidArgumentError, RollbackFailedError, StateConflictError } from './errors.ts';
import { rules as house, type Rules, type Verdict } from './rules.ts';
import type { Sample } from './statistics.ts';
import type { RolloutState, StateStore } from './store.ts';

export interface CanaryOptions {
  /** Which version the canary is. A release that was rolled back stays so: give the next one another name. */
  readonly release: string;
  /** Percent of the traffic, growing, the last one 100. */
  readonly steps: readonly number[];
  /** Gives the canary so many percent of the traffic. It may be told the same twice. */
  setWeight(percent: number, signal: AbortSignal): Promise<unknown>;
  /** What both versions have counted since they were started. A counter that was reset begins again. */
  measure(signal: AbortSignal): Promise<{ readonly canary: Sample; readonly stable: Sample }>;
  /** Where the rollout stands, for whoever goes on after us. */
  readonly store: StateStore;
  /** Requests that the canary has to serve at each step before it may go on. Default 200. */
  readonly minRequests?: number;
  /** Share of failures with which nothing goes on, even if the stable version is no better. Default 0.05. */
  readonly maxErrorShare?: number;
  /** Chance that a canary as good as the stable version is rolled back, for the whole rollout. Default 0.01. */
  readonly alpha?: number;
  /** Between two looks. Default 5,000 ms. */
  readonly intervalMs?: number;
  /** For a step to be decided; without a decision by then the canary goes. Default 600,000 ms. */
  readonly stepTimeoutMs?: number;
  /** For an answer of `setWeight` or `measure`, and for a rollback to succeed. Default 10,000 ms. */
  readonly callTimeoutMs?: number;
  /** Stops looking, and changes nothing: the promise rejects with its reason, and the next call goes on from there. */
  readonly signal?: AbortSignal;
}

export interface Rollout {
  readonly outcome: 'promoted' | 'rolled-back';
  readonly reason: string;
  /** What was seen at each step. */
  readonly history: RolloutState['history'];
}

type Plan = Required<Omit<CanaryOptions, 'signal'>> & { readonly signal: AbortSignal };

/**
 * Gives a new version more and more of the traffic, as long as it fails no more often than the old one; else takes it all
 * away again. Whoever calls it again, after a crash too, goes on where the state in the store says.
 *
 * @throws InvalidArgumentError; RollbackFailedError; StateConflictError when another controller is at work; the reason of
 *   `signal`; what the store throws.
 */
export async function canary(options: CanaryOptions, rules: Rules = house): Promise<Rollout> {
  const plan = planOf(options);
  const { store, release, steps } = plan;
  let { revision, state } = await store.load();
  const save = async (next: RolloutState) => {
    revision = await store.save(next, revision);
    state = next;
  };
  if (state?.release !== release) await save({ release, phase: 'advancing', step: 0, reason: '', history: [] });
  for (;;) {
    if (!state) throw new StateConflictError('The state is gone.');
    const { phase, step, history, reason } = state;
    plan.signal.throwIfAborted();
    if (phase === 'promoted') {
      await answerOf(plan, (signal) => plan.setWeight(100, signal));
      return { outcome: phase, reason, history };
    }
    if (phase !== 'advancing') {
      await rollBack(plan, reason);
      if (phase === 'rolling-back') await save({ ...state, phase: 'rolled-back' });
      return { outcome: 'rolled-back', reason, history };
    }
    const reference = history.findLast((each) => each.stable.requests >= plan.minRequests)?.stable;
    const seen = await watch(plan, steps[step] ?? 100, reference, rules);
    const all = [...history, seen];
    if (seen.verdict !== 'healthy')
      await save({ ...state, phase: 'rolling-back', reason: seen.reason, history: all }).catch(
        async (error: unknown) => {
          // A disk that is full is no reason to go on serving it.
          if (!(error instanceof StateConflictError)) await rollBack(plan, seen.reason);
          throw error;
        },
      );
    else if (step + 1 >= steps.length) await save({ ...state, phase: 'promoted', reason: seen.reason, history: all });
    else await save({ ...state, step: step + 1, history: all });
  }
}

type Seen = RolloutState['history'][number];

/** Looks at one step until it is decided. */
async function watch(plan: Plan, weight: number, reference: Sample | undefined, { judge }: Rules): Promise<Seen> {
  const { minRequests, maxErrorShare, steps } = plan;
  const deadline = performance.now() + plan.stepTimeoutMs;
  let sums = { canary: { requests: 0, errors: 0 }, stable: { requests: 0, errors: 0 } };
  let last: typeof sums | undefined;
  let trouble = '';
  const seen = (verdict: Verdict, reason: string): Seen => ({
    weight,
    verdict,
    reason,
    canary: sums.canary,
    stable: weight === 100 && reference ? reference : sums.stable,
  });
  const said = () => `${sums.canary.errors} of ${sums.canary.requests} failed at ${weight} %`;
  try {
    await answerOf(plan, (signal) => plan.setWeight(weight, signal));
  } catch (error) {
    plan.signal.throwIfAborted();
    return seen(
      'unknown',
      `the traffic could not be set to ${weight} %: ${error instanceof Error ? error.message : error}`,
    );
  }
  for (let look = 0; performance.now() < deadline; ) {
    const now = await answerOf(plan, plan.measure)
      .then(checked)
      .catch((error: unknown) => {
        plan.signal.throwIfAborted();
        trouble = `; the last measurement failed: ${error instanceof Error ? error.message : error}`;
      });
    if (now) {
      if (last) {
        const { canary, stable } = last;
        sums = { canary: added(sums.canary, canary, now.canary), stable: added(sums.stable, stable, now.stable) };
      }
      last = now;
      trouble = '';
      // At 100 % the stable version has no traffic to compare with: what it did before counts.
      const stable = weight === 100 && reference ? reference : sums.stable;
      // Who looks often is often fooled: the chances of all looks together stay below alpha.
      const alpha = plan.alpha / steps.length / (++look * (look + 1));
      const verdict = judge(sums.canary, stable, { minRequests, maxErrorShare, alpha });
      const those = `${stable.errors} of ${stable.requests} of the stable version`;
      if (verdict !== 'unknown') return seen(verdict, `${said()}, and ${those}`);
    }
    await delay(plan.intervalMs, undefined, { signal: plan.signal }).catch(() => plan.signal.throwIfAborted());
  }
  return seen('unknown', `${said()}: not enough to say that it is healthy within ${plan.stepTimeoutMs} ms${trouble}`);
}

async function rollBack(plan: Plan, reason: string): Promise<void> {
  const deadline = performance.now() + plan.callTimeoutMs;
  for (;;) {
    try {
      await answerOf(plan, (signal) => plan.setWeight(0, signal));
      return;
    } catch (error) {
      plan.signal.throwIfAborted();
      if (performance.now() >= deadline)
        throw new RollbackFailedError(
          `${plan.release} must go (${reason}), and its traffic could not be taken away: ${error}. Call again.`,
          { cause: error },
        );
    }
    await delay(Math.min(plan.intervalMs, 1_000));
  }
}

/** What was counted since: after a reset, what the counter says. */
function added(sum: Sample, before: Sample, now: Sample): Sample {
  const from = now.requests < before.requests || now.errors < before.errors ? { requests: 0, errors: 0 } : before;
  return { requests: sum.requests + now.requests - from.requests, errors: sum.errors + now.errors - from.errors };
}

function checked(measured: { readonly canary: Sample; readonly stable: Sample }) {
  for (const who of ['canary', 'stable'] as const) {
    const { requests, errors } = measured[who];
    const counts = [requests, errors].every((count) => Number.isSafeInteger(count) && count >= 0) && errors <= requests;
    if (!counts)
      throw new InvalidArgumentError(`${who} can't have ${inspect(errors)} failures of ${inspect(requests)} requests.`);
  }
  return measured;
}

/** Calls what belongs to others: it has its time limit, and an end with ours. */
async function answerOf<T>(plan: Plan, use: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const own = new AbortController();
  const end = (reason: unknown) => {
    own.abort(reason);
    reject(reason);
  };
  const follow = () => end(plan.signal.reason);
  const limit = setTimeout(() => end(new Error(`no answer within ${plan.callTimeoutMs} ms`)), plan.callTimeoutMs);
  plan.signal.addEventListener('abort', follow);
  try {
    plan.signal.throwIfAborted();
    return await Promise.race([use(own.signal), promise]);
  } finally {
    clearTimeout(limit);
    plan.signal.removeEventListener('abort', follow);
  }
}

function planOf(options: CanaryOptions): Plan {
  const {
    minRequests = 200,
    maxErrorShare = 0.05,
    alpha = 0.01,
    intervalMs = 5_000,
    stepTimeoutMs = 600_000,
    callTimeoutMs = 10_000,
  } = options;
  const { release, steps, signal = new AbortController().signal } = options;
  if (typeof release !== 'string' || release === '') throw new InvalidArgumentError('A release needs a name.');
  const growing =
    Array.isArray(steps) &&
    steps.every((each, index) => typeof each === 'number' && each > (steps[index - 1] ?? 0) && each <= 100);
  if (!growing || steps.length < 2 || steps.at(-1) !== 100)
    throw new InvalidArgumentError(
      `steps must be two or more, and grow from above 0 to 100 percent; they are ${inspect(steps)}.`,
    );
  const within = (name: string, value: number, least: number, most: number) => {
    if (typeof value !== 'number' || !(value >= least && value <= most))
      throw new InvalidArgumentError(`${name} must be a number from ${least} to ${most}; it is ${inspect(value)}.`);
  };
  const longest = 2 ** 31 - 1;
  within('minRequests', minRequests, 1, Number.MAX_SAFE_INTEGER);
  within('maxErrorShare', maxErrorShare, 0, 1);
  within('alpha', alpha, 1e-12, 0.5);
  within('intervalMs', intervalMs, 1, longest);
  within('stepTimeoutMs', stepTimeoutMs, 1, longest);
  within('callTimeoutMs', callTimeoutMs, 1, longest);
  return {
    ...options,
    steps: [...steps],
    minRequests,
    maxErrorShare,
    alpha,
    intervalMs,
    stepTimeoutMs,
    callTimeoutMs,
    signal,
  };
}
