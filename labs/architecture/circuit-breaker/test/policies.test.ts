import { getEventListeners } from 'node:events';
import { outcome } from '@shared/testkit';
import { type OpenMetricsContentType, Registry } from 'prom-client';
import { describe, expect, test, vi } from 'vitest';
import {
  Bulkhead,
  BulkheadFullError,
  type BulkheadOptions,
  CallTimeoutError,
  CircuitBreaker,
  CircuitOpenError,
  type Clock,
  compose,
  InvalidOptionError,
  type Policy,
  promMetrics,
  QueueTimeoutError,
  type RetryOptions,
  retry,
} from '#lab';
import { begun, handClock } from './hand-clock.ts';

const DOWN = new Error('payment: 503');
const fail = async () => {
  throw DOWN;
};

/** Calls that run until the test ends them, in the order in which they got in. */
function counter() {
  const inside: { who: number; signal: AbortSignal; end: () => void; fail: () => void }[] = [];
  const order: number[] = [];
  const call = (who: number) => (signal: AbortSignal) =>
    new Promise<number>((resolve, reject) => {
      order.push(who);
      inside.push({ who, signal, end: () => resolve(who), fail: () => reject(DOWN) });
    });
  return { call, order, inside };
}

function compartment(options: Partial<BulkheadOptions> = {}) {
  const time = handClock();
  return {
    ...time,
    bulkhead: new Bulkhead({ concurrent: 2, queue: 3, queueTimeoutMs: 400, clock: time.clock, ...options }),
  };
}

describe('bulkhead', () => {
  test('no more calls than slots are under way, and the rest wait in line', async () => {
    const { bulkhead, turn } = compartment();
    const { call, order, inside } = counter();
    const ends = [1, 2, 3, 4, 5].map((who) => begun(bulkhead.run(call(who))));
    await turn();
    expect(order).toEqual([1, 2]);
    expect(bulkhead.load).toEqual({ active: 2, waiting: 3 });
    inside[1]?.end();
    await turn();
    expect(order, 'first come, first served').toEqual([1, 2, 3]);
    inside[0]?.end();
    await turn();
    inside[2]?.end();
    inside[3]?.end();
    await turn();
    inside[4]?.end();
    expect(await Promise.all(ends)).toEqual([1, 2, 3, 4, 5]);
    expect(order).toEqual([1, 2, 3, 4, 5]);
    expect(bulkhead.load).toEqual({ active: 0, waiting: 0 });
  });

  test('a full queue refuses at once', async () => {
    const { bulkhead, turn } = compartment();
    const { call, order } = counter();
    for (let who = 1; who <= 5; who++) void begun(bulkhead.run(call(who)));
    await turn();
    const late = [6, 7, 8].map((who) => outcome(bulkhead.run(call(who))));
    await turn();
    expect(bulkhead.load, 'nobody has joined the line').toEqual({ active: 2, waiting: 3 });
    expect(order).toEqual([1, 2]);
    const refused = await Promise.all(late);
    expect(refused.every(({ error }) => error instanceof BulkheadFullError)).toBe(true);
  });

  test('a call that throws gives its slot back', async () => {
    const { bulkhead } = compartment({ concurrent: 1, queue: 0 });
    for (let n = 0; n < 5; n++) expect((await outcome(bulkhead.run(fail))).error).toBe(DOWN);
    const thrown = bulkhead.run(() => {
      throw DOWN;
    });
    expect((await outcome(thrown)).error).toBe(DOWN);
    expect(bulkhead.load).toEqual({ active: 0, waiting: 0 });
  });

  test('who waits too long is refused, and his slot goes to somebody else', async () => {
    const { bulkhead, pass, turn, timers } = compartment({ concurrent: 1 });
    const { call, order, inside } = counter();
    const first = begun(bulkhead.run(call(1)));
    const impatient = outcome(bulkhead.run(call(2)));
    await pass(300);
    const patient = begun(bulkhead.run(call(3)));
    await pass(100);
    expect((await impatient).error).toBeInstanceOf(QueueTimeoutError);
    inside[0]?.end();
    await turn();
    expect(order, 'the slot went to the one who still waits').toEqual([1, 3]);
    inside[1]?.end();
    await Promise.all([first, patient]);
    expect(bulkhead.load).toEqual({ active: 0, waiting: 0 });
    expect(timers()).toBe(0);
  });

  test('who leaves the queue takes no slot with him', async () => {
    const { bulkhead, turn } = compartment({ concurrent: 1 });
    const { call, order, inside } = counter();
    const first = begun(bulkhead.run(call(1)));
    const caller = new AbortController();
    const left = outcome(bulkhead.run(call(2), { signal: caller.signal }));
    await turn();
    caller.abort(DOWN);
    expect((await left).error).toBe(DOWN);
    expect(bulkhead.load).toEqual({ active: 1, waiting: 0 });
    inside[0]?.end();
    await first;
    expect(bulkhead.load).toEqual({ active: 0, waiting: 0 });
    expect(order).toEqual([1]);
    expect(getEventListeners(caller.signal, 'abort')).toEqual([]);
  });

  test('a slot is free when its call has ended, not when its caller has gone', async () => {
    const { bulkhead, clock, pass, turn } = compartment({ concurrent: 1, queue: 0 });
    const guarded = compose(new CircuitBreaker({ timeoutMs: 300, clock }), bulkhead);
    const { call, inside } = counter();
    const hanging = outcome(guarded.run(call(1)));
    await pass(300);
    expect((await hanging).error, 'its caller is told in time').toBeInstanceOf(CallTimeoutError);
    expect(inside[0]?.signal.aborted).toBe(true);
    await turn();
    expect(bulkhead.load.active, 'a call that ignores its signal still runs').toBe(1);
    expect((await outcome(guarded.run(call(2)))).error).toBeInstanceOf(BulkheadFullError);
    inside[0]?.fail();
    await turn();
    expect(bulkhead.load.active).toBe(0);
    const obedient = outcome(
      guarded.run((signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(DOWN)))),
    );
    await pass(300);
    expect((await obedient).error).toBeInstanceOf(CallTimeoutError);
    await turn();
    expect(bulkhead.load.active, 'after a call that heeds its signal').toBe(0);
  });

  test('who leaves in the moment in which he is let in gives the slot back', async () => {
    const { bulkhead, turn } = compartment({ concurrent: 1 });
    const { promise, resolve } = Promise.withResolvers<string>();
    const first = begun(bulkhead.run(() => promise));
    const caller = new AbortController();
    const call = vi.fn(async () => 'paid');
    const left = outcome(bulkhead.run(call, { signal: caller.signal }));
    await turn();
    void promise.then(() => caller.abort(DOWN));
    resolve('paid');
    await first;
    expect((await left).error).toBe(DOWN);
    expect(call).not.toHaveBeenCalled();
    expect(bulkhead.load).toEqual({ active: 0, waiting: 0 });
  });

  test('one full compartment leaves the next one dry', async () => {
    const payment = compartment();
    const stock = compartment();
    const { call } = counter();
    for (let who = 0; who < 20; who++) void begun(payment.bulkhead.run(call(who)));
    await payment.turn();
    expect(payment.bulkhead.load).toEqual({ active: 2, waiting: 3 });
    for (let n = 0; n < 20; n++)
      expect((await outcome(stock.bulkhead.run(async () => 'in stock'))).value).toBe('in stock');
  });

  test('what no bulkhead can be made from is refused', () => {
    const bad: [string, object][] = [
      ['a wait in a text', { queueTimeoutMs: '400' }],
      ['no slot', { concurrent: 0 }],
      ['slots that are not a number', { concurrent: Number.NaN }],
      ['half a slot', { concurrent: 1.5 }],
      ['a queue without an end', { queue: Number.POSITIVE_INFINITY }],
      ['a negative queue', { queue: -1 }],
      ['a wait of nothing', { queueTimeoutMs: 0 }],
      ['a wait without an end', { queueTimeoutMs: Number.POSITIVE_INFINITY }],
    ];
    for (const [what, options] of bad) expect(() => compartment(options), what).toThrow(InvalidOptionError);
    for (const queueTimeoutMs of [1, 2 ** 31 - 1]) expect(() => compartment({ queueTimeoutMs })).not.toThrow();
  });

  test('what is not said: nobody waits in line, and who may wait does so for a second', async () => {
    const { clock, pass } = handClock();
    const { call, inside } = counter();
    const bulkhead = new Bulkhead({ concurrent: 1, clock });
    const patient = new Bulkhead({ concurrent: 1, queue: 1, clock });
    const first = [begun(bulkhead.run(call(1))), begun(patient.run(call(1)))];
    expect((await outcome(bulkhead.run(call(2)))).error).toBeInstanceOf(BulkheadFullError);
    const waiting = outcome(patient.run(call(2)));
    await pass(999);
    expect(patient.load, 'after 999 ms').toEqual({ active: 1, waiting: 1 });
    await pass(1);
    expect((await waiting).error).toBeInstanceOf(QueueTimeoutError);
    for (const each of inside) each.end();
    await Promise.all(first);
  });
});

describe('policies together', () => {
  test('compose puts the first policy outermost', async () => {
    const log: string[] = [];
    const named = (name: string): Policy => ({
      async run(call, { signal } = {}) {
        log.push(`${name} begins`);
        const value = await call(signal ?? new AbortController().signal);
        log.push(`${name} ends`);
        return value;
      },
    });
    const answer = compose(named('outer'), named('inner')).run(async () => {
      log.push('call');
      return 'paid';
    });
    expect(await answer).toBe('paid');
    expect(log).toEqual(['outer begins', 'inner begins', 'call', 'inner ends', 'outer ends']);
    log.length = 0;
    expect(await compose(named('only')).run(() => 7), 'one policy').toBe(7);
    expect(log).toEqual(['only begins', 'only ends']);
    expect(await compose().run(() => 7), 'no policy at all').toBe(7);
  });

  test('the stack of a failure goes on with the caller of each policy, alone and composed', async () => {
    const [again, circuit, slots] = [retry({ attempts: 1 }), new CircuitBreaker(), new Bulkhead({ concurrent: 1 })];
    const policies = { again, slots, none: compose(), one: compose(circuit), all: compose(again, circuit, slots) };
    for (const [what, policy] of Object.entries(policies)) {
      const charge = async () => {
        await null;
        throw new Error('payment: 503');
      };
      const placeOrder = async () => {
        await policy.run(charge);
      };
      const { error } = await outcome(placeOrder());
      expect(error).toEqual(new Error('payment: 503'));
      expect(error instanceof Error && error.stack, what).toMatch(/at (async )?placeOrder/);
    }
  });

  const persistent = (options: Partial<RetryOptions> = {}) => {
    const time = handClock();
    const policy = retry({ attempts: 3, delayMs: 100, random: () => 0.5, clock: time.clock, ...options });
    return { ...time, policy };
  };
  const breakerOf = (options = {}) =>
    new CircuitBreaker({ window: { type: 'count', size: 10 }, minCalls: 6, ...options });

  test('a retry tries as often as it was told, with growing waits', async () => {
    const { policy, pass, turn } = persistent();
    const call = vi.fn(fail);
    const ended = outcome(policy.run(call));
    await turn();
    expect(call).toHaveBeenCalledTimes(1);
    await pass(49);
    expect(call).toHaveBeenCalledTimes(1);
    await pass(1);
    expect(call, 'after 50 ms').toHaveBeenCalledTimes(2);
    await pass(100);
    expect(call, 'after another 100 ms').toHaveBeenCalledTimes(3);
    expect((await ended).error).toBe(DOWN);
    expect(await policy.run(async () => 'paid')).toBe('paid');
    expect(() => persistent({ attempts: 0 })).toThrow(InvalidOptionError);
    expect(() => persistent({ attempts: Number.NaN })).toThrow(InvalidOptionError);
    expect(() => persistent({ delayMs: -1 })).toThrow(InvalidOptionError);
    const once = retry({ attempts: 1, clock: persistent().clock });
    expect((await outcome(once.run(fail))).error, 'one attempt is none too few').toBe(DOWN);
    const time = handClock();
    const plain = outcome(retry({ attempts: 2, random: () => 0.99, clock: time.clock }).run(fail));
    await time.pass(98.9);
    expect(time.timers(), 'a first wait of 99 ms, when nothing was said').toBe(1);
    await time.pass(0.1);
    expect((await plain).error).toBe(DOWN);
    // What nobody can look at is no refusal.
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const opaque = vi.fn(() => Promise.reject(proxy));
    const thrown = await outcome(retry({ attempts: 2, delayMs: 0 }).run(opaque));
    expect(thrown.error === proxy, 'the error of the last attempt').toBe(true);
    expect(opaque).toHaveBeenCalledTimes(2);
    const waits = new Set<number>();
    const after: Clock['after'] = (ms, callback) => {
      waits.add(ms);
      queueMicrotask(callback);
      return () => {};
    };
    // 2 ** 1024 is Infinity, and nothing times Infinity is NaN.
    await outcome(retry({ attempts: 1_100, delayMs: 0, clock: { mono: () => 0, after } }).run(fail));
    expect(waits).toEqual(new Set([0]));
  });

  test('a retry does not repeat what must not or need not be repeated', async () => {
    const { policy } = persistent({ isRetryable: (error) => error !== DOWN });
    const call = vi.fn(fail);
    expect((await outcome(policy.run(call))).error).toBe(DOWN);
    expect(call).toHaveBeenCalledTimes(1);
    const confused = persistent({
      isRetryable: () => {
        throw new TypeError('error.code is undefined');
      },
    });
    expect((await outcome(confused.policy.run(fail))).error, 'a predicate that trips hides no error').toBe(DOWN);
  });

  test('a caller who leaves ends the retry, while it waits and while its call hangs', async () => {
    const { policy, turn, timers } = persistent();
    const gone = new Error('gone');
    const hang = () => new Promise(() => {});
    for (const guarded of [policy, compose(policy), compose()]) {
      for (const [what, call] of [
        ['a pause', vi.fn(fail)],
        ['a call that ignores its signal', vi.fn(hang)],
      ] as const) {
        if (what === 'a pause' && guarded !== policy) continue;
        const caller = new AbortController();
        const running = outcome(guarded.run(call, { signal: caller.signal }));
        await turn();
        caller.abort(gone);
        expect((await running).error, what).toBe(gone);
        expect(call, what).toHaveBeenCalledTimes(1);
        expect(getEventListeners(caller.signal, 'abort'), what).toEqual([]);
      }
    }
    expect(timers()).toBe(0);
    const caller = new AbortController();
    await policy.run((signal) => signal.addEventListener('abort', () => {}), { signal: caller.signal });
    expect(getEventListeners(caller.signal, 'abort'), 'what a call leaves on its own signal').toEqual([]);
  });

  test('a circuit inside a retry sees every attempt', async () => {
    const breaker = breakerOf();
    const guarded = compose(retry({ attempts: 3, delayMs: 0 }), breaker);
    const call = vi.fn(fail);
    for (let n = 0; n < 2; n++) await outcome(guarded.run(call));
    expect(call, 'requests that the dependency received').toHaveBeenCalledTimes(6);
    expect(breaker.state, 'six failures').toBe('open');
  });

  test('a retry does not knock at an open circuit', async () => {
    const breaker = breakerOf();
    for (let n = 0; n < 6; n++) await outcome(breaker.run(fail));
    const guarded = compose(retry({ attempts: 5, delayMs: 0 }), breaker);
    expect((await outcome(guarded.run(fail))).error).toBeInstanceOf(CircuitOpenError);
    expect(breaker.snapshot().totals.rejected, 'one call, one refusal').toBe(1);
  });

  test('two circuits of one name are refused: a scrape with one series twice is lost as a whole', () => {
    const register = (...names: string[]) =>
      promMetrics(
        names.map((name) => breakerOf({ name })),
        new Registry(),
      );
    expect(() => register('payment', 'payment')).toThrow(InvalidOptionError);
    expect(() => register('pay\ud83d', 'pay\ud83c'), 'one text in UTF-8').toThrow(InvalidOptionError);
    expect(() => register('__proto__', 'constructor')).not.toThrow();
  });

  test('metrics say the state and the counts, and read them when they are scraped', async () => {
    const breaker = breakerOf({ name: 'payment' });
    const idle = breakerOf({ name: 'recommendations' });
    const registry = new Registry();
    promMetrics([breaker, idle], registry);
    for (let n = 0; n < 6; n++) await outcome(breaker.run(fail));
    await outcome(breaker.run(fail, { fallback: () => 'pay at the door' }));
    const lines = (await registry.metrics()).split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        '# TYPE circuit_breaker_calls_total counter',
        'circuit_breaker_state{name="payment",state="open"} 1',
        'circuit_breaker_state{name="payment",state="closed"} 0',
        'circuit_breaker_state{name="recommendations",state="closed"} 1',
        'circuit_breaker_calls_total{name="payment",result="failure"} 6',
        'circuit_breaker_calls_total{name="payment",result="rejected"} 1',
        'circuit_breaker_calls_total{name="recommendations",result="failure"} 0',
        'circuit_breaker_fallback_total{name="payment"} 1',
        'circuit_breaker_opened_total{name="payment"} 1',
      ]),
    );
    registry.resetMetrics();
    const open = new Registry<OpenMetricsContentType>();
    open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
    promMetrics([breaker], open);
    expect((await open.metrics()).split('\n'), 'for OpenMetrics').toEqual(
      expect.arrayContaining([
        '# TYPE circuit_breaker_calls counter',
        'circuit_breaker_calls_total{name="payment",result="failure"} 6',
      ]),
    );
  });
});
