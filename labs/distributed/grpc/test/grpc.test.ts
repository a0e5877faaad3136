import { randomBytes } from 'node:crypto';
import { getEventListeners, once } from 'node:events';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { outcome, until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { amend, breakingChanges, propagate, RetryBudget, RetryPolicy, StreamBuffer, withDeadline } from '#lab';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../src/grpc/health/v1/health_pb.ts';
import { changed, changes } from './contracts.ts';
import { channelTo, codeOf, ends, ordersOf, pricesOf, retrying, serve, unavailable } from './helpers.ts';
import { GetPriceResponseSchema, OrderService, PriceService } from './shop/v1/shop_pb.ts';
import { desk, openShop, startBalancer } from './shop.ts';

/** A caller who waits for `left` milliseconds more. */
const caller = (left?: number, signal = new AbortController().signal) => ({ signal, timeoutMs: () => left });
const LATE = { timeoutMs: 4_000 };

describe('deadlines', () => {
  test('what is left of the deadline shrinks on each hop', async () => {
    const leaf: (number | undefined)[] = [];
    const look = (_: unknown, context: { timeoutMs(): number | undefined }) => {
      leaf.push(context.timeoutMs());
      return { cents: 499n };
    };
    const shop = ends(await openShop({ getPrice: look }, { marginMs: 100 }));
    const { cents } = await shop.orders.placeOrder({ orderId: '1', sku: 'tea' }, { timeoutMs: 8_000 });
    expect(cents, 'the price that came back').toBe(499n);
    const [counter = Number.NaN, stockroom = Number.NaN, prices = Number.NaN] = [
      shop.left.counter[0],
      shop.left.stockroom[0],
      leaf[0],
    ];
    const seen = `left at counter, stockroom, desk: ${[counter, stockroom, prices].map(Math.round).join(', ')} ms`;
    expect(counter, seen).toBeLessThanOrEqual(8_000);
    expect(stockroom, seen).toBeLessThanOrEqual(counter - 100);
    expect(prices, seen).toBeLessThanOrEqual(stockroom - 100);
    expect(prices, seen).toBeGreaterThan(0);
    expect(propagate(caller(812.6), { marginMs: 10 }).timeoutMs, 'of 812.6 ms less 10, in whole ms').toBe(802);
    expect(propagate(caller(6), { marginMs: 5 }).timeoutMs, 'of 6 ms less 5').toBe(1);
    expect(propagate(caller()).timeoutMs, 'where nobody said anything').toBe(10_000);
    expect(propagate(caller(), { defaultMs: 700 }).timeoutMs, 'of a caller without a deadline').toBe(700);
  });

  test('when no time is left nobody is asked', async () => {
    for (const left of [5.9, 5, 0.4, 0, -20]) {
      const late = await outcome((async () => propagate(caller(left), { marginMs: 5 }))());
      const code =
        late.error instanceof ConnectError ? Code[late.error.code] : `nothing, but gave ${late.value?.timeoutMs} ms`;
      expect(code, `thrown with ${left} ms left and a margin of 5`).toBe('DeadlineExceeded');
    }
    let asked = 0;
    const shop = ends(await openShop({ getPrice: () => ({ cents: BigInt(++asked) }) }, { marginMs: 2_000 }));
    const order = shop.orders.placeOrder({ orderId: '1' }, { timeoutMs: 3_000 });
    expect(await codeOf(order), 'an order that has 3 s, where each hop keeps 2').toBe('DeadlineExceeded');
    expect(asked, 'questions to the price desk').toBe(0);
  });

  test('who hangs up is heard by the last one in the chain', async () => {
    const heard = Promise.withResolvers<string>();
    const asked = Promise.withResolvers<void>();
    const shop = ends(
      await openShop({
        async getPrice(_, { signal }) {
          asked.resolve();
          await once(signal, 'abort');
          heard.resolve('hung up');
          return {};
        },
      }),
    );
    const leave = new AbortController();
    const order = outcome(shop.orders.placeOrder({ orderId: '1' }, { timeoutMs: 60_000, signal: leave.signal }));
    await asked.promise;
    leave.abort();
    expect((await outcome(heard.promise, 1_000)).value, 'what the price desk heard of it').toBe('hung up');
    expect(await order).toMatchObject({ error: { code: Code.Canceled } });
  });

  test('the steps of one piece of work share one deadline', async () => {
    using work = withDeadline(60_000);
    const first = propagate(work).timeoutMs;
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(propagate(work).timeoutMs, `ms for the second step, after ${first}`).toBeLessThan(first);
    using short = withDeadline(1);
    await until(() => short.signal.aborted, { what: 'the deadline to pass' });
    expect(short.signal.reason).toMatchObject({ code: Code.DeadlineExceeded });
    expect(() => propagate(short)).toThrow(short.signal.reason);
  });

  test('who leaves a piece of work gives his own reason, and leaves nothing behind', () => {
    const outer = new AbortController();
    const mine = new Error('mine');
    for (let round = 0; round < 20; round++) withDeadline(60_000, outer.signal)[Symbol.dispose]();
    using work = withDeadline(60_000, outer.signal);
    outer.abort(mine);
    expect(work.signal.reason).toBe(mine);
    expect(() => propagate(work)).toThrow(mine);
    using late = withDeadline(60_000, outer.signal);
    expect(late.signal.reason).toBe(mine);
  });
});

describe('retries', () => {
  test('only what is idempotent is repeated, and only when the server was not there', async () => {
    const twice = await retrying((attempt) => (attempt < 3 ? unavailable() : undefined));
    expect(await codeOf(twice.prices.getPrice({})), 'a price after two UNAVAILABLE').toBe('ok');
    expect(twice.seen.length, 'attempts to get a price').toBe(3);
    const order = await retrying((attempt) => (attempt < 3 ? unavailable() : undefined));
    expect(await codeOf(order.orders.placeOrder({})), 'an order after UNAVAILABLE').toBe('Unavailable');
    expect(order.seen.length, 'attempts to order').toBe(1);
    for (const code of [Code.Internal, Code.DeadlineExceeded, Code.NotFound, Code.ResourceExhausted, Code.Unknown]) {
      const once = await retrying(() => new ConnectError('no', code));
      expect(await codeOf(once.prices.getPrice({}))).toBe(Code[code]);
      expect(once.seen.length, `attempts after ${Code[code]}`).toBe(1);
      expect(once.policy.budget.tokens, `tokens after ${Code[code]}`).toBe(10);
    }
  });

  test('each attempt says what is left of the deadline', async () => {
    const { prices, seen } = await retrying(() => unavailable(), { initialBackoffMs: 1_000, maxBackoffMs: 1_000 });
    expect(await codeOf(prices.getPrice({}, { timeoutMs: 2_500 }))).toBe('Unavailable');
    const [first, second, third] = seen.map(({ timeout }) => Number(timeout?.replace('m', '')));
    const said = `grpc-timeout of the attempts: ${seen.map(({ timeout }) => timeout).join(', ')}`;
    expect(first, said).toBe(2_500);
    expect(second, said).toBeLessThanOrEqual(1_700);
    expect(third, said).toBeLessThanOrEqual(900);
    const previous = seen.map((attempt) => attempt.previous);
    expect(previous, 'grpc-previous-rpc-attempts of the attempts').toEqual([null, '1', '2']);
  });

  test('the server says when it wants to be asked again, or that it does not', async () => {
    const later = await retrying((attempt) =>
      attempt === 1 ? unavailable({ 'grpc-retry-pushback-ms': '321' }) : undefined,
    );
    expect(await codeOf(later.prices.getPrice({}))).toBe('ok');
    expect(later.slept, 'pauses, when the server said 321').toEqual([321]);
    for (const text of ['-1', 'soon', '0x10', '']) {
      const never = await retrying(() => unavailable({ 'grpc-retry-pushback-ms': text }));
      expect(await codeOf(never.prices.getPrice({}))).toBe('Unavailable');
      expect(never.seen.length, `attempts when the server said ${JSON.stringify(text)}`).toBe(1);
    }
  });

  test('an outage is not multiplied by the retries', async () => {
    const { prices, seen, policy } = await retrying(() => unavailable(), {
      budget: new RetryBudget({ maxTokens: 10 }),
    });
    for (let call = 0; call < 20; call++) await codeOf(prices.getPrice({}));
    expect(seen.length, 'attempts of 20 calls, until half of the ten tokens are left').toBe(23);
    expect(policy.budget.tokens, 'tokens after it').toBe(0);
    for (let answer = 0; answer < 50; answer++) policy.budget.onSuccess();
    expect(policy.budget.allows, 'half of the tokens are no permission').toBe(false);
    policy.budget.onSuccess();
    expect(policy.budget.allows, 'more than half of them are').toBe(true);
    for (let answer = 0; answer < 200; answer++) policy.budget.onSuccess();
    expect(policy.budget.tokens, 'tokens after many successes').toBe(10);
  });

  test('what the deadline has no room for is not waited for', async () => {
    const { prices, seen, slept } = await retrying(() => unavailable({ 'grpc-retry-pushback-ms': '4000' }));
    expect(await codeOf(prices.getPrice({}, { timeoutMs: 4_000 })), 'the error of the attempt, at once').toBe(
      'Unavailable',
    );
    expect([seen.length, slept.length]).toEqual([1, 0]);
  });

  test('pauses grow to their limit, with jitter, and begin anew after the server named one', async () => {
    const { prices, slept } = await retrying(
      (attempt) => unavailable(attempt === 4 ? { 'grpc-retry-pushback-ms': '7' } : {}),
      { maxAttempts: 6, initialBackoffMs: 100, maxBackoffMs: 300, budget: new RetryBudget({ maxTokens: 100 }) },
    );
    await codeOf(prices.getPrice({}));
    const about = [100, 200, 300, 7, 100];
    expect(slept.length).toBe(5);
    for (const [nth, ms] of slept.entries()) {
      const wanted = about[nth] ?? 0;
      const jitter = wanted === 7 ? 0 : wanted / 5;
      expect(Math.abs(ms - wanted), `pause ${nth + 1} of ${slept.map(Math.round)}`).toBeLessThanOrEqual(jitter);
    }
    expect(new Set(slept.map((ms) => ms % 100)).size, 'pauses that differ').toBeGreaterThan(2);
  });

  test('who leaves during a pause is not kept, and gives his own reason', async () => {
    const leave = new AbortController();
    const clock = {
      mono: () => 0,
      sleep: (_: number, signal?: AbortSignal) =>
        new Promise<void>((_resolve, reject) => {
          signal?.addEventListener('abort', () => reject(new Error('woken')));
          leave.abort(new Error('mine'));
        }),
    };
    const { prices, seen } = await retrying(() => unavailable(), { clock });
    const left = await outcome(prices.getPrice({}, { signal: leave.signal }));
    expect(left.error).toMatchObject({ code: Code.Canceled, rawMessage: 'mine' });
    expect(seen.length).toBe(1);
    const broken = await retrying(() => unavailable(), {
      clock: { ...clock, sleep: () => Promise.reject(new Error('clock')) },
    });
    expect((await outcome(broken.prices.getPrice({}))).error, 'a clock that fails').toMatchObject({
      rawMessage: 'clock',
    });
    expect(broken.seen.length).toBe(1);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const gone = new AbortController();
    const watch: Interceptor = (next) => (request) => next(request).finally(resolve);
    const answers: Interceptor = () => () => {
      setImmediate(() => gone.abort());
      throw unavailable({ 'grpc-retry-pushback-ms': '5000' });
    };
    const interceptors = [watch, new RetryPolicy().interceptor, answers];
    await outcome(pricesOf({ port: 1 }, { interceptors }).getPrice({}, { signal: gone.signal }));
    expect((await outcome(ended, 1_000)).error, 'a pause of 5 s that nobody waits for').toBe(undefined);
  });

  test('a stream is not repeated: its reader may have half of it', async () => {
    const { prices, seen } = await retrying(() => unavailable());
    expect(await codeOf(Array.fromAsync(prices.watchPrices({})))).toBe('Unavailable');
    expect(seen.length).toBe(1);
  });
});

describe('streams', () => {
  test('a slow reader slows its source', async () => {
    const buffer = new StreamBuffer<number>({ limit: 2 });
    const accepted: number[] = [];
    for (const value of [1, 2, 3, 4]) void buffer.push(value).then(() => accepted.push(value));
    await new Promise(setImmediate);
    expect(accepted, 'accepted while nobody reads, with room for two').toEqual([1, 2]);
    const reader = buffer[Symbol.asyncIterator]();
    expect(await reader.next()).toEqual({ done: false, value: 1 });
    await new Promise(setImmediate);
    expect(accepted, 'accepted after one was read').toEqual([1, 2, 3]);
    let pushed = 0;
    // Random: Connect compresses what can be compressed.
    const label = randomBytes(16_384);
    const told = Promise.withResolvers<unknown>();
    const server = await serve(
      desk({
        watchPrices({ count }, { signal }) {
          const prices = new StreamBuffer<{ number: number; label: Uint8Array }>({ limit: 4, signal });
          const source = async () => {
            for (; pushed < count; pushed++) await prices.push({ number: pushed, label });
          };
          source().then(() => told.resolve('all sent'), told.resolve);
          return prices;
        },
      }),
    );
    const leave = new AbortController();
    const stream = pricesOf(server).watchPrices({ count: 5_000 }, { signal: leave.signal })[Symbol.asyncIterator]();
    expect((await outcome(stream.next())).value).toMatchObject({ value: { number: 0 } });
    let last = -1;
    let still = 0;
    await until(() => {
      still = pushed === last ? still + 1 : 0;
      last = pushed;
      return still > 20;
    });
    expect(pushed, 'of 5000 prices of 16 KiB, sent to who has read one').toBeLessThan(200);
    leave.abort();
    expect((await outcome(told.promise)).value, 'what the source heard of it').toBeInstanceOf(ConnectError);
    await outcome(stream.next());
  });

  test('what was pushed arrives in order, then the end or the error', async () => {
    const fails = new StreamBuffer<string>({ limit: 1 });
    const pushes = ['a', 'b', 'c'].map((value) => fails.push(value));
    fails.end(new Error('source gone'));
    fails.end();
    const read: string[] = [];
    const reading = (async () => {
      for await (const value of fails) read.push(value);
    })();
    expect((await outcome(reading)).error).toEqual(new Error('source gone'));
    await Promise.all(pushes);
    expect(read).toEqual(['a', 'b', 'c']);
    const waits = new StreamBuffer<string>();
    const all = outcome(Array.fromAsync(waits));
    await waits.push('x');
    expect(waits.size).toBeLessThan(2);
    waits.end();
    expect((await all).value).toEqual(['x']);
    await expect(waits.push('y')).rejects.toMatchObject({ code: Code.FailedPrecondition });
    expect(() => waits[Symbol.asyncIterator]()).toThrow(ConnectError);
    const eager = new StreamBuffer<number>();
    const reader = eager[Symbol.asyncIterator]();
    const first = reader.next();
    void eager.push(1);
    const second = reader.next();
    void eager.push(2);
    eager.end();
    const values = (await Promise.all([first, second, reader.next()])).map(({ value }) => value);
    expect(values, 'what who asks ahead is given').toEqual([1, 2, undefined]);
    expect(await reader.return?.()).toEqual({ done: true, value: undefined });
    await expect(eager.push(3)).rejects.toMatchObject({ code: Code.FailedPrecondition });
  });

  test('what waits does not move up when the first one leaves', async () => {
    const buffer = new StreamBuffer<number>({ limit: 60_000 });
    const start = performance.now();
    for (let value = 0; value < 60_000; value++) void buffer.push(value);
    const pushed = performance.now();
    buffer.end();
    for await (const _ of buffer);
    const read = performance.now();
    expect((read - pushed) / (pushed - start), 'times as long as the pushing, to read 60 000').toBeLessThan(8);
  });

  test('whoever pushes hears that the reader has left', async () => {
    const left = new StreamBuffer<number>({ limit: 1 });
    const [, second] = [left.push(1), outcome(left.push(2))];
    for await (const _ of left) break;
    const third = outcome(left.push(3));
    expect([(await second).error, (await third).error]).toMatchObject([undefined, { code: Code.Canceled }]);
    const call = new AbortController();
    const aborted = new StreamBuffer<number>({ limit: 1, signal: call.signal });
    void aborted.push(1);
    const waiting = outcome(aborted.push(2));
    const mine = new Error('mine');
    call.abort(mine);
    expect((await waiting).error).toBe(mine);
    expect((await outcome(aborted.push(3))).error).toBe(mine);
    expect(aborted.size, 'values kept for nobody').toBe(0);
    expect((await outcome(Array.fromAsync(aborted))).error).toBe(mine);
    const ended = new AbortController();
    const whole = new StreamBuffer<number>({ limit: 1, signal: ended.signal });
    void whole.push(1);
    const last = outcome(whole.push(2), 1_000);
    whole.end();
    ended.abort(mine);
    expect((await last).error, 'what a push hears that waited when the stream was ended').toBe(mine);
    expect((await outcome(Array.fromAsync(whole))).error, 'the end of a stream that lost values').toBe(mine);
    const lost = new AbortController();
    const ended1 = new StreamBuffer<number>({ signal: lost.signal });
    await ended1.push(1);
    ended1.end();
    lost.abort(mine);
    expect((await outcome(Array.fromAsync(ended1))).error, 'the end of a stream that lost its last value').toBe(mine);
    const long = new AbortController();
    const done = new StreamBuffer<number>({ signal: long.signal });
    await done.push(1);
    done.end();
    expect(getEventListeners(long.signal, 'abort').length, 'listeners, as long as a value waits').toBe(1);
    await Array.fromAsync(done);
    expect(getEventListeners(long.signal, 'abort').length, 'listeners left').toBe(0);
    const late = new StreamBuffer<number>({ signal: call.signal });
    expect((await outcome(late.push(1))).error).toBe(mine);
  });
});

describe('health and draining', () => {
  test('a server that leaves loses no call', async () => {
    const [old, next] = [0, 0].map(() => {
      const orders: string[] = [];
      const gate = Promise.withResolvers<void>();
      return { orders, gate, server: undefined };
    });
    const running = await Promise.all(
      [old, next].map((each) =>
        serve((router) => {
          router.service(OrderService, {
            async placeOrder({ orderId }) {
              each?.orders.push(orderId);
              if (orderId === 'slow') await each?.gate.promise;
              return { cents: 1n };
            },
          });
        }),
      ),
    );
    const [leaving, staying] = running;
    if (!leaving || !staying || !old || !next) throw new Error('two servers');
    let target = leaving.port;
    const balancer = ends(await startBalancer(() => target));
    const orders = ordersOf(balancer);
    const slow = outcome(orders.placeOrder({ orderId: 'slow' }, LATE), 5_000);
    await until(() => old.orders.length === 1);
    const crossing: Promise<string>[] = [];
    const place = (id: string) => crossing.push(codeOf(orders.placeOrder({ orderId: id }, LATE)));
    for (let nth = 0; nth < 20; nth++) place(`before ${nth}`);
    target = staying.port;
    const drained = outcome(leaving.drain({ limitMs: 3_000 }), 5_000);
    for (let nth = 0; nth < 20; nth++) place(`while ${nth}`);
    const codes = await Promise.all(crossing);
    expect(
      codes.filter((code) => code !== 'ok'),
      'of 40 orders around the GOAWAY, those that failed',
    ).toEqual([]);
    expect(old.orders, 'the order under way').toContain('slow');
    old.gate.resolve();
    expect((await slow).error, 'how the order under way ended').toBe(undefined);
    expect((await drained).value, 'calls that were cut off').toBe(0);
    const taken = [...old.orders, ...next.orders].sort();
    expect(new Set(taken).size, 'orders taken, each once').toBe(taken.length);
    expect(taken.length, 'orders taken').toBe(41);
    expect(next.orders.length, 'orders at the server that stayed').toBeGreaterThan(0);
    expect(leaving.calls).toBe(0);
  });

  test('a server that leaves says so first, and serves on for a while', async () => {
    const server = await serve(desk({ getPrice: () => ({ cents: 1n }) }));
    const channel = channelTo(server);
    const health = createClient(Health, channel.transport);
    expect((await health.check({})).status, 'status').toBe(Status.SERVING);
    const drained = outcome(server.drain({ lameDuckMs: 1_000 }));
    const fresh = createClient(Health, channelTo(server).transport);
    expect((await fresh.check({})).status, 'status, asked on a new connection').toBe(Status.NOT_SERVING);
    expect(await codeOf(createClient(PriceService, channel.transport).getPrice({})), 'a call meanwhile').toBe('ok');
    await server.close();
    expect((await drained).value).toBe(0);
  });
});

describe('contracts', () => {
  test('a change that old programs do not survive is named', () => {
    for (const change of changes) {
      const { before, after } = changed(change);
      const named = breakingChanges(before, after).map(({ element }) => element);
      expect([...new Set(named)], `what breaks when ${change.name}`).toEqual(change.breaks ? [change.breaks] : []);
    }
  });

  test('what a newer program wrote survives a hop that does not know it', () => {
    const currency = { no: 9, wireType: 2, data: new Uint8Array([3, 69, 85, 82]) };
    const price = create(GetPriceResponseSchema, { sku: 'tea', cents: 499n });
    price.$unknown = [currency];
    const cheaper = amend(GetPriceResponseSchema, price, { cents: 399n });
    expect(cheaper.cents).toBe(399n);
    expect(cheaper.sku).toBe('tea');
    expect(cheaper.$unknown, 'the field that this hop does not know').toEqual([currency]);
    expect(price.cents, 'the message that was given').toBe(499n);
  });
});
