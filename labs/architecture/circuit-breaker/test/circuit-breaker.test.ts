import { getEventListeners, once } from 'node:events';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { History, outcome, random } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type BreakerOptions,
  BulkheadFullError,
  CallTimeoutError,
  CircuitBreaker,
  CircuitOpenError,
  FallbackError,
  InvalidOptionError,
  type Transition,
} from '#lab';
import { begun, handClock } from './hand-clock.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const DOWN = new Error('payment: 503');
const pay = async () => 'paid';
const fail = async () => {
  throw DOWN;
};

/** A call that ends when the test says so, whatever its signal says. */
function pending() {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  promise.catch(() => {});
  const signals: AbortSignal[] = [];
  const call = vi.fn((signal: AbortSignal) => {
    signals.push(signal);
    return promise;
  });
  return { call, signals, resolve: () => resolve('paid'), reject: () => reject(DOWN) };
}

/** Opens at half of four calls, for a second; one probe of 500 ms at most. */
function fuse(options: BreakerOptions = {}) {
  const time = handClock();
  const breaker = new CircuitBreaker({
    name: 'payment',
    window: { type: 'count', size: 4 },
    minCalls: 4,
    failureRate: 0.5,
    openMs: 1_000,
    halfOpen: { permits: 1, probeTimeoutMs: 500 },
    clock: time.clock,
    ...options,
  });
  return { ...time, breaker };
}

/** Calls that succeed (.) or fail, one after the other; each takes as long as `work`. */
const feed = async (breaker: CircuitBreaker, calls: string, work?: () => Promise<unknown>) => {
  for (const each of calls) {
    const call = each === '.' ? pay : fail;
    await breaker.run(work ? () => work().then(call) : call).catch(() => {});
  }
};

async function blown(options: BreakerOptions = {}) {
  const fused = fuse(options);
  await feed(fused.breaker, 'xxxx');
  expect(fused.breaker.state, 'four failures of four').toBe('open');
  return fused;
}

describe('circuit breaker', () => {
  // ── closed ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a closed circuit hands on what the call returns and what it throws', async () => {
    const { breaker } = fuse();
    expect(breaker.state).toBe('closed');
    expect(await breaker.run(pay)).toBe('paid');
    expect(await breaker.run(() => 7)).toBe(7);
    expect((await outcome(breaker.run(fail))).error).toBe(DOWN);
    const thrown = outcome(
      breaker.run(() => {
        throw DOWN;
      }),
    );
    expect((await thrown).error).toBe(DOWN);
  });

  test('a circuit opens at exactly the minimum number of calls', async () => {
    const { breaker } = fuse({ window: { type: 'count', size: 10 }, minCalls: 6 });
    await feed(breaker, 'xxxxx');
    expect(breaker.state, 'after five failures, of the six calls that it takes').toBe('closed');
    await feed(breaker, 'x');
    expect(breaker.state, 'after six failures, of the six calls that it takes').toBe('open');
  });

  test('a circuit opens at exactly the failure rate', async () => {
    const options: BreakerOptions = { window: { type: 'count', size: 100 }, minCalls: 100, failureRate: 0.07 };
    const below = fuse(options).breaker;
    await feed(below, `${'x'.repeat(6)}${'.'.repeat(94)}`);
    expect(below.state, '6 of 100').toBe('closed');
    const at = fuse(options).breaker;
    await feed(at, `${'x'.repeat(7)}${'.'.repeat(93)}`);
    expect(at.state, '7 of 100').toBe('open');
  });

  test('an open circuit refuses at once, and needs no timer to let a probe through', async () => {
    let now = 0;
    const { breaker } = await blown({ clock: { mono: () => now, after: () => () => {} } });
    now += 400;
    const call = vi.fn(pay);
    const { error } = await outcome(breaker.run(call));
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(error).toHaveProperty('retryAfterMs', 600);
    expect(String(error)).toContain('payment is open for another 600 ms');
    expect(call).not.toHaveBeenCalled();
    now += 599;
    expect(breaker.state).toBe('open');
    now += 1;
    expect(breaker.state).toBe('half-open');
    expect((await outcome(breaker.run(call))).value).toBe('paid');
  });

  test('an idle gap longer than the window forgets everything', async () => {
    const { breaker, pass } = fuse({ window: { type: 'time', size: 10_000, buckets: 10 }, minCalls: 5 });
    await feed(breaker, 'xxxx');
    await pass(3_600_000);
    await feed(breaker, 'x');
    expect(breaker.state, 'one failure in the last hour').toBe('closed');
    expect(breaker.snapshot().window).toEqual({ calls: 1, failures: 1, slow: 0 });
  });

  test('slow calls open the circuit though they succeed', async () => {
    const { breaker, pass } = fuse({ slowMs: 200, slowRate: 0.5 });
    const take = async (ms: number) => {
      const { call, resolve } = pending();
      const running = begun(breaker.run(call));
      await pass(ms);
      resolve();
      await running;
    };
    await take(199);
    await take(199);
    await take(200);
    expect(breaker.state).toBe('closed');
    await take(900);
    expect(breaker.state, 'two of four were slow').toBe('open');
  });

  test('what no circuit can be made from is refused', () => {
    const bad: [string, object][] = [
      ['no minimum', { minCalls: 0 }],
      ['a rate in a text', { failureRate: '0.5' }],
      ['a time limit in a text', { timeoutMs: '300' }],
      ['a bigint', { slowMs: 200n }],
      ['what has no text', { timeoutMs: Object.create(null) }],
      ['a window of no kind', { window: { type: 'calls', size: 4 } }],
      ['an opening in a text', { openMs: '1000' }],
      ['a function that gives a text', { openMs: () => '1000' }],
      ['a predicate that is none', { isFailure: 'always' }],
      ['a minimum that is not a number', { minCalls: Number.NaN }],
      ['half a call', { minCalls: 1.5 }],
      ['a rate of nothing', { failureRate: 0 }],
      ['a rate that is not a number', { failureRate: Number.NaN }],
      ['a rate above all', { failureRate: 50 }],
      ['a minimum that the window cannot hold', { window: { type: 'count', size: 3 } }],
      ['a window of nothing', { window: { type: 'time', size: 0 } }],
      ['a window of more calls than memory is for', { window: { type: 'count', size: 2 ** 24 + 1 } }],
      ['a window that is not a number', { window: { type: 'time', size: Number.NaN } }],
      ['no buckets', { window: { type: 'time', size: 1_000, buckets: 0 } }],
      ['more buckets than memory is for', { window: { type: 'time', size: 2 ** 40, buckets: 2 ** 16 + 1 } }],
      ['a negative slowness', { slowMs: -1 }],
      ['a slowness that no call is below', { slowMs: 0 }],
      ['a slow rate of nothing', { slowMs: 100, slowRate: 0 }],
      ['a slow rate without slowness', { slowRate: 0.5 }],
      ['an endless opening', { openMs: Number.POSITIVE_INFINITY }],
      ['an opening that is not a number', { openMs: Number.NaN }],
      ['a function that gives no number', { openMs: () => Number.NaN }],
      ['no probe', { halfOpen: { permits: 0 } }],
      ['probes that are not a number', { halfOpen: { permits: Number.NaN } }],
      ['probes of which all may fail', { halfOpen: { maxFailureRate: 1 } }],
      ['probes of which more than all may fail', { halfOpen: { maxFailureRate: 1.5 } }],
      ['a probe without an end', { halfOpen: { probeTimeoutMs: Number.POSITIVE_INFINITY } }],
      ['a time limit of 0', { timeoutMs: 0 }],
      ['a time limit beyond any timer', { timeoutMs: 2 ** 31 }],
    ];
    for (const [what, options] of bad) expect(() => fuse(options), what).toThrow(InvalidOptionError);
    const least: BreakerOptions[] = [
      { window: { type: 'count', size: 1 }, minCalls: 1, failureRate: 1, openMs: 0, timeoutMs: 1 },
      { window: { type: 'time', size: 1, buckets: 1 }, minCalls: 1, slowMs: 0.1, slowRate: 1 },
      { window: { type: 'time', size: 10 }, halfOpen: { permits: 1, maxFailureRate: 0, probeTimeoutMs: 1 } },
    ];
    const most: BreakerOptions[] = [
      { window: { type: 'count', size: 2 ** 24 }, timeoutMs: 2 ** 31 - 1 },
      { window: { type: 'time', size: Number.MAX_SAFE_INTEGER, buckets: 2 ** 16 }, openMs: Number.MAX_SAFE_INTEGER },
      { halfOpen: { probeTimeoutMs: 2 ** 31 - 1 }, slowMs: Number.MAX_SAFE_INTEGER },
    ];
    for (const options of [...least, ...most]) expect(() => fuse(options), JSON.stringify(options)).not.toThrow();
  });

  test('what is not said is as Hystrix has it', async () => {
    const { clock, pass } = handClock();
    const breaker = new CircuitBreaker({ clock });
    await feed(breaker, 'x');
    await pass(10_000);
    await feed(breaker, `${'.'.repeat(10)}${'x'.repeat(9)}`);
    expect(breaker.state, '19 calls in 10,000 ms').toBe('closed');
    await feed(breaker, 'x');
    expect(breaker.state, '10 of 20').toBe('open');
    expect((await outcome(breaker.run(pay))).error).toMatchObject({ retryAfterMs: 5_000 });
    await pass(5_000);
    const probe = outcome(breaker.run(pending().call));
    expect((await outcome(breaker.run(pay))).error, 'one probe').toBeInstanceOf(CircuitOpenError);
    await pass(4_999);
    expect(breaker.state).toBe('half-open');
    await pass(1);
    expect((await probe).error, 'after 5,000 ms').toBeInstanceOf(CallTimeoutError);
  });

  test('what the caller changes after the check changes nothing', async () => {
    const window = { type: 'count' as const, size: 4 };
    const { breaker, pass } = await blown({ window });
    window.size = 1;
    await pass(1_000);
    await feed(breaker, '.x.');
    expect(breaker.snapshot().window.calls, 'in the window after a recovery').toBe(2);
  });

  test('a bad time limit is refused before anything is called', async () => {
    const { breaker } = fuse();
    const call = vi.fn(pay);
    expect((await outcome(breaker.run(call, { timeoutMs: Number.NaN }))).error).toBeInstanceOf(InvalidOptionError);
    expect(call).not.toHaveBeenCalled();
  });

  // ── what is no evidence ─────────────────────────────────────────────────────────────────────────────────────────

  test('an error that is an answer does not count', async () => {
    const declined = new Error('402: card declined');
    const { breaker } = fuse({ isFailure: (error) => error !== declined });
    for (let n = 0; n < 20; n++) {
      const { error } = await outcome(breaker.run(() => Promise.reject(declined)));
      expect(error).toBe(declined);
    }
    expect(breaker.state).toBe('closed');
    expect(breaker.snapshot().window.calls, 'neither a failure nor a success').toBe(0);
  });

  test('a refusal does not count, by another policy or by the circuit itself', async () => {
    const { breaker, pass } = fuse();
    for (let n = 0; n < 20; n++) {
      await outcome(breaker.run(() => Promise.reject(new BulkheadFullError('full', 0))));
    }
    expect(breaker.state).toBe('closed');
    expect(breaker.snapshot().totals).toMatchObject({ failure: 0, ignored: 20 });
    await feed(breaker, 'xxxx');
    for (let n = 0; n < 20; n++) await outcome(breaker.run(pay));
    expect(breaker.snapshot().totals).toMatchObject({ failure: 4, rejected: 20, opened: 1 });
    await pass(1_000);
    expect(await breaker.run(pay)).toBe('paid');
    expect(breaker.state).toBe('closed');
  });

  test('a caller who leaves ends his own call, and it does not count', async () => {
    const { breaker } = fuse();
    const gone = new Error('the customer closed the page');
    for (let n = 0; n < 20; n++) {
      const { call, signals } = pending();
      const caller = new AbortController();
      const running = outcome(breaker.run(call, { signal: caller.signal }));
      caller.abort(gone);
      expect((await running).error).toBe(gone);
      expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    }
    const call = vi.fn(pay);
    expect((await outcome(breaker.run(call, { signal: AbortSignal.abort(gone) }))).error).toBe(gone);
    expect(call, 'he had left before').not.toHaveBeenCalled();
    expect(breaker.state).toBe('closed');
    expect(breaker.snapshot().window.calls).toBe(0);
    await feed(breaker, 'xxxx');
    const late = await outcome(breaker.run(call, { signal: AbortSignal.abort(gone) }));
    expect(late.error, 'who has left is not told that it is open').toBe(gone);
    expect(breaker.snapshot().totals.rejected).toBe(0);
  });

  // ── time limits ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('a call beyond its time limit is cancelled, told to its caller, and has failed', async () => {
    const { breaker, pass } = fuse({ timeoutMs: 300 });
    const { call, signals } = pending();
    const running = outcome(breaker.run(call));
    await pass(299);
    expect(signals[0]?.aborted).toBe(false);
    await pass(1);
    const { error } = await running;
    expect(error).toBeInstanceOf(CallTimeoutError);
    expect(signals[0]?.aborted, 'the signal of the call').toBe(true);
    expect(signals[0]?.reason).toBe(error);
    expect(breaker.snapshot()).toMatchObject({ window: { calls: 1, failures: 1, slow: 0 }, totals: { timeout: 1 } });
  });

  test('one call beyond its time limit leaves all other calls alone', async () => {
    const { breaker, pass } = fuse();
    const [hasty, patient, later] = [pending(), pending(), pending()];
    const [first, second] = [outcome(breaker.run(hasty.call, { timeoutMs: 100 })), outcome(breaker.run(patient.call))];
    await pass(100);
    expect((await first).error).toBeInstanceOf(CallTimeoutError);
    expect(patient.signals[0]?.aborted, 'a call under way').toBe(false);
    const third = outcome(breaker.run(later.call, { timeoutMs: 100 }));
    expect(later.signals[0]?.aborted, 'a call after it').toBe(false);
    patient.resolve();
    later.resolve();
    expect([(await second).value, (await third).value]).toEqual(['paid', 'paid']);
  });

  test('a call that has ended leaves no timer and no listener behind', async () => {
    const { breaker, timers } = fuse({ timeoutMs: 300 });
    const caller = new AbortController();
    await breaker.run(pay, { signal: caller.signal });
    await outcome(breaker.run(fail, { signal: caller.signal }));
    expect(timers()).toBe(0);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
  });

  test('a call without a time limit needs no timer', async () => {
    const { breaker, timers } = fuse();
    const { call, resolve } = pending();
    const running = [breaker.run(call), breaker.run(call, { signal: new AbortController().signal })];
    expect(timers()).toBe(0);
    resolve();
    expect(await Promise.all(running)).toEqual(['paid', 'paid']);
  });

  // ── half-open ───────────────────────────────────────────────────────────────────────────────────────────────────

  test('a probe that succeeds closes the circuit, and the past is forgotten', async () => {
    const { breaker, pass } = await blown();
    await pass(999);
    expect((await outcome(breaker.run(pay))).error).toBeInstanceOf(CircuitOpenError);
    await pass(1);
    expect(breaker.state).toBe('half-open');
    expect(await breaker.run(pay)).toBe('paid');
    expect(breaker.state).toBe('closed');
    await feed(breaker, 'xxx');
    expect(breaker.state, 'three failures of three, after the recovery').toBe('closed');
  });

  test('a probe that fails opens the circuit again, for as long as openMs says', async () => {
    const { breaker, pass } = await blown({ openMs: (times) => 1_000 * 2 ** (times - 1) });
    await pass(1_000);
    await feed(breaker, 'x');
    expect(breaker.state).toBe('open');
    await pass(1_999);
    expect(breaker.state).toBe('open');
    await pass(1);
    await feed(breaker, 'x');
    await pass(3_999);
    expect(breaker.state).toBe('open');
    await pass(1);
    await feed(breaker, '.xxxx');
    await pass(1_000);
    expect(breaker.state, 'after a recovery it counts from 1 again').toBe('half-open');
    const hasty = await blown({ openMs: (times) => (times === 1 ? 1_000 : 0) });
    await hasty.pass(1_000);
    await feed(hasty.breaker, 'x');
    expect(hasty.breaker.state, 'a second time of 0 ms').toBe('half-open');
  });

  test('an openMs that is no duration, or throws, leaves the circuit open for as long as the first time', async () => {
    let asked = 0;
    const later: unknown[] = [Number.NaN, '2000'];
    const openMs = (times: number) => {
      if (++asked === 1) return 1_000 * times;
      if (times === 4 || times === 1) throw new Error('the configuration is being read');
      return Number(times) < 4 ? (later[times - 2] as number) : 1_000;
    };
    const { breaker, pass } = await blown({ openMs });
    {
      using _incident = breaker.isolate();
      expect((await outcome(breaker.run(pay))).error).toMatchObject({ retryAfterMs: 1_000 });
    }
    await feed(breaker, 'xxxx');
    await pass(1_000);
    for (const what of ['a second time that is not a number', 'a third in a text', 'a fourth that throws']) {
      expect((await outcome(breaker.run(fail))).error, what).toBe(DOWN);
      await pass(999);
      expect(breaker.state, what).toBe('open');
      await pass(1);
      expect(breaker.state, what).toBe('half-open');
    }
    expect(await breaker.run(pay)).toBe('paid');
  });

  test('no more probes than permits are let through, and the rest are refused at once', async () => {
    const { breaker, pass, turn } = await blown({ halfOpen: { permits: 3, probeTimeoutMs: 500 } });
    await pass(1_000);
    const probe = pending();
    const ends = Array.from({ length: 50 }, () => outcome(breaker.run(probe.call)));
    await turn();
    expect(probe.call).toHaveBeenCalledTimes(3);
    const refusals = await Promise.all(ends.slice(3));
    expect(refusals.filter(({ error }) => error instanceof CircuitOpenError)).toHaveLength(47);
    probe.resolve();
    await Promise.all(ends);
    expect(breaker.state, 'all three are well').toBe('closed');
  });

  test('probes decide together: as many may fail as maxFailureRate says', async () => {
    const halfOpen = { permits: 4, maxFailureRate: 0.25, probeTimeoutMs: 500 };
    const one = await blown({ halfOpen });
    await one.pass(1_000);
    await feed(one.breaker, '.x.');
    expect(one.breaker.state, 'three of four are back').toBe('half-open');
    await feed(one.breaker, '.');
    expect(one.breaker.state, 'one of four failed').toBe('closed');
    const two = await blown({ halfOpen });
    await two.pass(1_000);
    await feed(two.breaker, 'xx');
    expect(two.breaker.state, 'two have failed: the rest cannot save it').toBe('open');
  });

  test('a probe that hangs runs out of time, and the circuit opens again', async () => {
    const { breaker, pass, timers } = await blown();
    await pass(1_000);
    const probe = pending();
    const running = outcome(breaker.run(probe.call));
    const other = await outcome(breaker.run(pay));
    expect(other.error, 'another caller does not wait for the probe').toBeInstanceOf(CircuitOpenError);
    await pass(500);
    expect(breaker.state, 'after the time limit of a probe').toBe('open');
    expect(probe.signals[0]?.aborted).toBe(true);
    expect((await running).error).toBeInstanceOf(CallTimeoutError);
    expect(timers()).toBe(0);
    await pass(1_000);
    expect(await breaker.run(pay)).toBe('paid');
  });

  test('a probe may take as long as any call, where halfOpen does not say less', async () => {
    const { clock, pass } = handClock();
    const breaker = new CircuitBreaker({ clock, minCalls: 1, timeoutMs: 60_000 });
    await feed(breaker, 'x');
    await pass(5_000);
    const report = pending();
    const probe = outcome(breaker.run(report.call));
    await pass(20_000);
    report.resolve();
    expect((await probe).error, 'of an answer that takes 20 s, as always').toBeUndefined();
    expect(breaker.state, 'of a service that is well').toBe('closed');
    await feed(breaker, 'x');
    await pass(5_000);
    const hung = outcome(breaker.run(pending().call));
    await pass(60_000);
    expect(breaker.state, 'after the time limit of each call').toBe('open');
    expect((await hung).error).toBeInstanceOf(CallTimeoutError);
  });

  test('a probe that proves nothing gives its permit back', async () => {
    const declined = new Error('402: card declined');
    const { breaker, pass } = await blown({ isFailure: (error) => error !== declined });
    await pass(1_000);
    await outcome(breaker.run(() => Promise.reject(declined)));
    expect(breaker.state, 'an answer is no verdict').toBe('half-open');
    const caller = new AbortController();
    const leaver = pending();
    const left = outcome(breaker.run(leaver.call, { signal: caller.signal }));
    caller.abort();
    await left;
    expect(leaver.call, "after a probe that was a declined card: the next caller's call").toHaveBeenCalledOnce();
    expect((await outcome(breaker.run(pay))).value, 'after a probe whose caller left: the next one').toBe('paid');
    expect(breaker.state).toBe('closed');
  });

  test('a slow probe is no sign of health', async () => {
    const { breaker, pass } = await blown({ slowMs: 200 });
    await pass(1_000);
    const probe = pending();
    const running = outcome(breaker.run(probe.call));
    await pass(300);
    probe.resolve();
    expect((await running).value, 'its caller is served all the same').toBe('paid');
    expect(breaker.state).toBe('open');
  });

  // ── generations ─────────────────────────────────────────────────────────────────────────────────────────────────

  test('failures that arrive while the circuit is open do not keep it open longer', async () => {
    const { breaker, pass } = fuse();
    const late = [pending(), pending(), pending()];
    const ends = late.map(({ call }) => outcome(breaker.run(call)));
    await feed(breaker, 'xxxx');
    for (const { reject } of late) {
      await pass(300);
      reject();
      await pass(0);
    }
    await Promise.all(ends);
    await pass(100);
    expect(breaker.state, '1,000 ms after it opened').toBe('half-open');
  });

  test('a success from before the circuit opened does not close it', async () => {
    const { breaker, pass } = fuse();
    const old = pending();
    const slow = begun(breaker.run(old.call));
    await feed(breaker, 'xxxx');
    await pass(1_000);
    const probe = pending();
    const probing = outcome(breaker.run(probe.call));
    old.resolve();
    expect(await slow).toBe('paid');
    expect(breaker.state, 'the probe is still under way').toBe('half-open');
    probe.reject();
    await probing;
    expect(breaker.state, 'the probe has failed').toBe('open');
  });

  test('failures from before a recovery do not open the circuit again', async () => {
    const { breaker, pass } = fuse();
    const old = Array.from({ length: 8 }, pending);
    const ends = old.map(({ call }) => outcome(breaker.run(call)));
    await feed(breaker, 'xxxx');
    await pass(1_000);
    await feed(breaker, '.');
    expect(breaker.state).toBe('closed');
    for (const { reject } of old) reject();
    await Promise.all(ends);
    expect(breaker.state, 'eight failures of calls that began in the outage').toBe('closed');
    expect(breaker.snapshot().window.calls).toBe(0);
    expect(breaker.snapshot().totals.late).toBe(8);
  });

  // ── plan B ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a fallback answers for a failure, a time-out and a refusal, and is told which', async () => {
    const { breaker, pass } = fuse({ timeoutMs: 300 });
    const fallback = vi.fn(async (_error: unknown) => 'pay at the door');
    expect(await breaker.run(fail, { fallback })).toBe('pay at the door');
    const hanging = outcome(breaker.run(pending().call, { fallback }));
    await pass(300);
    expect((await hanging).value).toBe('pay at the door');
    await feed(breaker, 'xx');
    expect(await breaker.run(pay, { fallback })).toBe('pay at the door');
    const [failure, timeout, refusal] = fallback.mock.calls.map(([error]) => error);
    expect(failure).toBe(DOWN);
    expect(timeout).toBeInstanceOf(CallTimeoutError);
    expect(refusal).toBeInstanceOf(CircuitOpenError);
    expect(breaker.snapshot().totals.failure, 'a call that a fallback answered for has failed').toBe(4);
  });

  test('an answer needs no fallback, and neither does a caller who left', async () => {
    const declined = new Error('402: card declined');
    const { breaker, turn } = fuse({ isFailure: (error) => error !== declined });
    const fallback = vi.fn(async () => 'pay at the door');
    expect((await outcome(breaker.run(() => Promise.reject(declined), { fallback }))).error).toBe(declined);
    const caller = new AbortController();
    const left = outcome(breaker.run(pending().call, { fallback, signal: caller.signal }));
    caller.abort(new Error('gone'));
    expect((await left).error).toEqual(new Error('gone'));
    expect(fallback).not.toHaveBeenCalled();
    const late = new AbortController();
    const hanging = outcome(breaker.run(fail, { fallback: () => pending().call(late.signal), signal: late.signal }));
    await turn();
    late.abort(new Error('gone'));
    expect((await hanging).error, 'who leaves while the fallback hangs').toEqual(new Error('gone'));
    expect(getEventListeners(late.signal, 'abort')).toEqual([]);
  });

  test('a fallback that fails does not hide the first error', async () => {
    const { breaker } = fuse();
    const empty = new Error('the cache is empty');
    const { error } = await outcome(breaker.run(fail, { fallback: () => Promise.reject(empty) }));
    expect(error).toBeInstanceOf(FallbackError);
    expect(error).toMatchObject({ cause: DOWN, fallbackError: empty });
    expect(String(error)).toMatch(/the cache is empty.*payment: 503/);
    expect(breaker.snapshot().totals.fallback, 'calls that a fallback answered').toBe(0);
    const strange = Object.create(null);
    const both = await outcome(breaker.run(fail, { fallback: () => Promise.reject(strange) }));
    expect(both.error, 'an error without a text').toMatchObject({ cause: DOWN, fallbackError: strange });
  });

  test('what is thrown, and nobody can look at, is a failure as any other', async () => {
    // The draft of a reducer that has ended, say; or an error whose text throws.
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const untold = Object.assign(new Error(), { message: Symbol('untold') });
    for (const thrown of [proxy, untold]) {
      const fails = () => Promise.reject(thrown);
      const { breaker, pass } = await blown();
      await pass(1_000);
      expect((await outcome(breaker.run(fails))).error === thrown, 'the error of a probe').toBe(true);
      await pass(1_000);
      expect(await breaker.run(pay, { timeoutMs: 300 }), 'after a probe that failed so').toBe('paid');
      expect(await breaker.run(fails, { fallback: () => 'pay at the door' })).toBe('pay at the door');
      const both = await outcome(breaker.run(fail, { fallback: fails }));
      expect(both.error).toBeInstanceOf(FallbackError);
      expect(both.error instanceof FallbackError && both.error.fallbackError === thrown).toBe(true);
      const warned = begun(once(process, 'warning', { signal: AbortSignal.timeout(1_000) }));
      breaker.on('transition', fails);
      using _deployment = breaker.isolate();
      expect(await warned, 'of a listener').toHaveLength(1);
    }
  });

  // ── what others see ─────────────────────────────────────────────────────────────────────────────────────────────

  test('a refusal says who, why and until when, and builds no stack trace', async () => {
    const { breaker } = await blown();
    const { error } = await outcome(breaker.run(pay));
    expect(inspect(error)).toMatch(/CircuitOpenError: payment is open for another 1000 ms; not called\./);
    expect(error).toMatchObject({ name: 'CircuitOpenError', retryAfterMs: 1_000 });
    expect(error instanceof Error && error.stack, 'a trace costs more than the rest of a refusal').not.toMatch(
      /\n +at /,
    );
    expect(new Error('of somebody else').stack, 'others have theirs').toMatch(/\n +at /);
    // As node --frozen-intrinsics has it.
    Object.defineProperty(Error, 'stackTraceLimit', { writable: false });
    onTestFinished(() => void Object.defineProperty(Error, 'stackTraceLimit', { writable: true }));
    expect((await outcome(breaker.run(pay))).error, 'where the limit is locked').toBeInstanceOf(CircuitOpenError);
    // The time is up between the refusal and its words, however often a circuit looks at the clock.
    for (const looks of [1, 2, 3]) {
      const times = [0];
      const clock = { mono: () => (times.length > 1 ? times.shift() : times[0]) ?? 0, after: () => () => {} };
      const late = fuse({ minCalls: 1, clock }).breaker;
      await feed(late, 'x');
      times.splice(0, 1, ...Array.from({ length: looks }, () => 999), 1_020);
      const { error: refused } = await outcome(late.run(pay));
      const left = refused instanceof CircuitOpenError ? refused.retryAfterMs : 0;
      expect([0, 1], `milliseconds left: time is up after look ${looks} at the clock`).toContain(left);
    }
  });

  test("the stack of a failure goes on with the circuit's caller, with a time limit and without", async () => {
    for (const options of [{}, { timeoutMs: 300 }]) {
      const { breaker, turn } = fuse(options);
      const sent = Promise.withResolvers<void>();
      const charge = async () => {
        await sent.promise;
        throw new Error('payment: 503');
      };
      const placeOrder = async () => {
        await breaker.run(charge);
      };
      const ordered = outcome(placeOrder());
      await turn();
      sent.resolve();
      const { error } = await ordered;
      expect(error).toEqual(new Error('payment: 503'));
      expect(error instanceof Error && error.stack, JSON.stringify(options)).toMatch(/at (async )?placeOrder/);
    }
    const { breaker, pass } = fuse({ timeoutMs: 300 });
    const hung = pending();
    const placeOrder = async () => {
      await breaker.run(hung.call);
    };
    const ordered = outcome(placeOrder());
    await pass(300);
    const { error } = await ordered;
    expect(error).toBeInstanceOf(CallTimeoutError);
    expect(error instanceof Error && error.stack, 'of a time-out').toMatch(/at (async )?placeOrder/);
  });

  test('each change of state is told once, with its cause', async () => {
    const { breaker, pass } = fuse();
    const told: Transition[] = [];
    const off = breaker.on('transition', (transition) => told.push(transition));
    await feed(breaker, 'xxxx');
    await outcome(breaker.run(pay));
    await pass(1_000);
    await feed(breaker, '.');
    off();
    await feed(breaker, 'xxxx');
    expect(told).toEqual([
      { breaker: 'payment', from: 'closed', to: 'open', at: 0, cause: DOWN },
      { breaker: 'payment', from: 'open', to: 'half-open', at: 1_000, cause: undefined },
      { breaker: 'payment', from: 'half-open', to: 'closed', at: 1_000, cause: undefined },
    ]);
  });

  test('the cause is the last failure also where a success met the rate, and none where slowness did', async () => {
    const { breaker } = fuse();
    const slow = fuse({ slowMs: 1 });
    const causes: unknown[] = [];
    for (const each of [breaker, slow.breaker]) each.on('transition', ({ cause }) => causes.push(cause));
    await feed(breaker, 'xx..');
    await feed(slow.breaker, '..x.', () => slow.pass(1));
    expect(causes).toEqual([DOWN, undefined]);
  });

  test('a listener that throws harms neither the call nor the circuit', async () => {
    for (const fails of [
      () => {
        throw new Error('the pager is out of battery');
      },
      async () => {
        throw new Error('the pager is out of battery');
      },
    ]) {
      const { breaker } = fuse();
      const warned = once(process, 'warning');
      breaker.on('transition', fails);
      await feed(breaker, 'xxx');
      expect((await outcome(breaker.run(fail))).error).toBe(DOWN);
      expect(breaker.state).toBe('open');
      const [warning] = await warned;
      expect(warning).toEqual(new Error('the pager is out of battery'));
    }
  });

  test('every listener hears of the same changes in the same order, whatever another one does', async () => {
    const { breaker } = fuse();
    const heard: string[][] = [[], []];
    const hear = (ear: number) => (transition: Transition) => {
      heard[ear]?.push(`${transition.from} → ${transition.to}`);
      if (transition.to === 'open') breaker.isolate();
      Reflect.set(transition, 'to', 'closed');
    };
    const both = [hear(0), hear(1)].map((listener) => breaker.on('transition', listener));
    const twice = vi.fn();
    breaker.on('transition', twice)();
    breaker.on('transition', twice);
    breaker.on('transition', twice)();
    const anew = vi.fn(() => {
      stop();
      if (anew.mock.calls.length < 10) stop = breaker.on('transition', anew);
    });
    let stop = breaker.on('transition', anew);
    await feed(breaker, 'xxxx');
    expect(anew, 'who leaves and comes back with each change').toHaveBeenCalledTimes(2);
    expect(heard).toEqual([
      ['closed → open', 'open → isolated'],
      ['closed → open', 'open → isolated'],
    ]);
    expect(twice, 'one of its three subscriptions is left').toHaveBeenCalledTimes(2);
    expect(both).toHaveLength(2);
  });

  test('a circuit held open by hand stays open until the last hand lets go', async () => {
    const { breaker, pass } = fuse();
    const call = vi.fn(pay);
    {
      using _deployment = breaker.isolate();
      {
        using _incident = breaker.isolate();
        expect(breaker.state).toBe('isolated');
      }
      await pass(3_600_000);
      expect((await outcome(breaker.run(call))).error).toBeInstanceOf(CircuitOpenError);
    }
    expect(call).not.toHaveBeenCalled();
    expect(breaker.state).toBe('closed');
    expect(await breaker.run(pay)).toBe('paid');
  });

  test('a listener that holds a circuit by hand for a moment takes it from no other hand', async () => {
    const { breaker } = fuse();
    breaker.on('transition', ({ to }) => {
      if (to === 'isolated') breaker.isolate()[Symbol.dispose]();
    });
    const deployment = breaker.isolate();
    expect(breaker.state).toBe('isolated');
    deployment[Symbol.dispose]();
    expect(breaker.state).toBe('closed');
  });

  test('a snapshot says what was counted', async () => {
    const { breaker, pass } = fuse({ slowMs: 1 });
    await feed(breaker, '.x.x', () => pass(1));
    await outcome(breaker.run(pay));
    await pass(250);
    expect(breaker.snapshot()).toEqual({
      name: 'payment',
      state: 'open',
      window: { calls: 0, failures: 0, slow: 0 },
      retryAfterMs: 750,
      totals: {
        success: 2,
        failure: 2,
        ignored: 0,
        rejected: 1,
        timeout: 0,
        slow: 4,
        late: 0,
        fallback: 0,
        opened: 1,
      },
    });
  });

  // ── many calls ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('memory does not grow with the number of calls', async () => {
    setFlagsFromString('--expose-gc');
    const gc: () => void = runInNewContext('gc');
    const heap = () => {
      gc();
      return process.memoryUsage().heapUsed;
    };
    // The hardest case: time stands still, so that no call is ever too old.
    const { breaker } = fuse({ window: { type: 'time', size: 10_000, buckets: 10 }, minCalls: 20 });
    const many = async (count: number) => {
      for (let n = 0; n < count; n++) await breaker.run(pay);
    };
    await many(10_000);
    const before = heap();
    await many(60_000);
    const grown = (heap() - before) / 1024;
    expect(breaker.snapshot().window.calls).toBe(70_000);
    expect(grown, 'kilobytes for 60,000 calls').toBeLessThan(1_000);
  });

  test('a window holds what a list of all calls would say', async () => {
    const dice = random(SEED);
    for (const type of ['count', 'time'] as const) {
      // A circuit may be made long after the clock began.
      const { clock, pass } = handClock();
      await pass(12_345);
      const { breaker } = fuse({
        clock,
        window: { type, size: type === 'count' ? 8 : 1_000 },
        minCalls: type === 'count' ? 8 : 1_000_000,
        failureRate: 1,
        slowMs: 50,
      });
      const all: { at: number; failed: boolean; slow: boolean }[] = [];
      for (let step = 0; step < 400; step++) {
        // One call in eight is well and fast, so that the count window never opens.
        const [failed, slow] = [dice.next() < 0.5, dice.next() < 0.5].map((bad) => bad && step % 8 !== 0);
        const one = pending();
        const running = outcome(breaker.run(one.call));
        await pass(slow ? 50 : 0);
        (failed ? one.reject : one.resolve)();
        await running;
        all.push({ at: clock.mono(), failed: failed === true, slow: slow === true });
        if (dice.next() < 0.3) await pass(dice.int(1, dice.next() < 0.05 ? 3_000 : 250));
        const oldest = Math.floor(clock.mono() / 100) - 9;
        const kept = type === 'count' ? all.slice(-8) : all.filter(({ at }) => Math.floor(at / 100) >= oldest);
        expect(breaker.snapshot().window, `${type}, step ${step}`).toEqual({
          calls: kept.length,
          failures: kept.filter(({ failed }) => failed).length,
          slow: kept.filter(({ slow }) => slow).length,
        });
      }
    }
  });

  test('whatever the order of results: nothing runs while open, and never more probes than permits', async () => {
    const dice = random(SEED);
    const history = new History<string>();
    const { breaker, pass, turn } = fuse({ halfOpen: { permits: 3, maxFailureRate: 0.4, probeTimeoutMs: 500 } });
    let state = breaker.state;
    let probes = 0;
    const wrong: string[] = [];
    breaker.on('transition', ({ from, to, at }) => {
      state = to;
      probes = 0;
      history.record(`${at} ms: ${from} → ${to}`);
    });
    const running: ReturnType<typeof pending>[] = [];
    const ends: Promise<unknown>[] = [];
    for (let step = 0; step < 3_000; step++) {
      const next = dice.int(0, 9);
      if (next < 4) {
        const one = pending();
        const call = (signal: AbortSignal) => {
          if (state === 'open') wrong.push(`a call while open, at step ${step}`);
          if (state === 'half-open' && ++probes > 3) wrong.push(`probe ${probes}, at step ${step}`);
          running.push(one);
          return one.call(signal);
        };
        ends.push(outcome(breaker.run(call)));
      } else if (next < 8 && running.length > 0) {
        const [one] = running.splice(dice.int(0, running.length - 1), 1);
        if (dice.next() < 0.5) one?.reject();
        else one?.resolve();
        await turn();
      } else {
        await pass(dice.int(1, 400));
      }
    }
    for (const one of running) one.resolve();
    await Promise.all(ends);
    expect(wrong, history.toString()).toEqual([]);
    expect(breaker.snapshot().totals.opened, 'the dice should have opened it').toBeGreaterThan(10);
  });
});
