import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { type CallOptions, Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { needsPython, outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  BadRpcOptionError,
  type ChannelOptions,
  openChannel,
  propagate,
  RetryBudget,
  RetryPolicy,
  RpcServer,
  type ServeOptions,
  StreamBuffer,
  withDeadline,
} from '#lab';
import { Health, HealthCheckResponse_ServingStatus as Status } from '../src/grpc/health/v1/health_pb.ts';
import { channelTo, codeOf, ends, ordersOf, pricesOf, refuses, retrying, serve, unavailable } from './helpers.ts';
import { GetPriceRequestSchema, GetPriceResponseSchema, OrderService, PriceService } from './shop/v1/shop_pb.ts';
import { type Desk, desk, startBalancer, urlOf } from './shop.ts';

const CENTS = 2n ** 53n + 1n;
/** A desk that says that it was asked, and never answers. */
const mute = () => {
  const asked = Promise.withResolvers<AbortSignal>();
  const getPrice = (_: unknown, { signal }: { readonly signal: AbortSignal }) => {
    asked.resolve(signal);
    return new Promise<never>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  };
  return { asked: asked.promise, service: { getPrice } };
};

const slowDesk: Desk = {
  getPrice: ({ sku }, context) => (sku === 'slow' ? mute().service.getPrice(sku, context) : { sku, cents: CENTS }),
};

describe('on the wire', () => {
  test('a number beyond 2^53 arrives as it was sent', async () => {
    const server = await serve(desk({ getPrice: () => ({ cents: CENTS }) }));
    expect((await pricesOf(server).getPrice({})).cents).toBe(CENTS);
  });

  test('a message that is too large ends its own call alone', async () => {
    const server = await serve(desk({ getPrice: ({ sku }) => ({ sku: sku.repeat(3) }) }), { readMaxBytes: 5_000 });
    const prices = pricesOf(server, { readMaxBytes: 9_000 });
    const beside = prices.getPrice({ sku: 'tea' });
    expect(await codeOf(prices.getPrice({ sku: 'x'.repeat(6_000) })), 'a request of 6000 bytes').toBe(
      'ResourceExhausted',
    );
    expect(await codeOf(prices.getPrice({ sku: 'x'.repeat(4_000) })), 'an answer of 12 000').toBe('ResourceExhausted');
    expect((await beside).sku).toBe('teateatea');
    const plain = await serve(desk({ getPrice: () => ({}) }));
    const large = pricesOf(plain).getPrice({ sku: 'x'.repeat(4 * 1024 * 1024) });
    expect(await codeOf(large), 'more than 4 MiB, where nobody said how much').toBe('ResourceExhausted');
  });

  test('a connection that is lost ends its calls with UNAVAILABLE, and the next call has another one', async () => {
    const { asked, service } = mute();
    const server = await serve(
      desk({
        ...service,
        async *watchPrices(_, context) {
          yield { number: 1 };
          await once(context.signal, 'abort');
        },
      }),
    );
    const balancer = ends(await startBalancer(() => server.port));
    const prices = pricesOf(balancer);
    const stream = prices.watchPrices({})[Symbol.asyncIterator]();
    await stream.next();
    const call = codeOf(prices.getPrice({}));
    const { promise: gone, resolve } = Promise.withResolvers<void>();
    (await asked).addEventListener('abort', () => resolve());
    balancer.reset();
    expect(await call, 'the call under way').toBe('Unavailable');
    expect(await codeOf(stream.next()), 'the stream under way').toBe('Unavailable');
    await gone;
    expect(await codeOf(prices.watchPrices({})[Symbol.asyncIterator]().next()), 'the next call').toBe('ok');
  });

  test('what a server decides is not taken for a lost connection', async () => {
    for (const code of [Code.Canceled, Code.Aborted, Code.Internal]) {
      const server = await serve(
        desk({
          getPrice: () => {
            throw Object.assign(new Error('no'), { code });
          },
        }),
      );
      expect(await codeOf(pricesOf(server).getPrice({}))).toBe('Internal');
    }
    const server = await serve(desk(mute().service));
    const leave = new AbortController();
    const call = outcome(pricesOf(server).getPrice({}, { signal: leave.signal }));
    leave.abort(new Error('mine'));
    expect((await call).error).toMatchObject({ code: Code.Canceled, rawMessage: 'mine' });
    expect(await codeOf(pricesOf(server).getPrice({}, { timeoutMs: 20 }))).toBe('DeadlineExceeded');
  });

  test('whatever a handler throws, its caller hears of it', async () => {
    let thrown: unknown;
    const server = await serve(
      desk({
        getPrice() {
          throw thrown;
        },
        async *watchPrices() {
          yield { number: 1 };
          throw thrown;
        },
      }),
    );
    const prices = pricesOf(server, { defaultTimeoutMs: 2_000 });
    const half = new ConnectError('tea \ud800', Code.NotFound, { 'x-shelf': '7' });
    for (const [value, code] of [
      [undefined, 'Internal'],
      [null, 'Internal'],
      ['no', 'Internal'],
      [half, 'NotFound'],
    ]) {
      thrown = value;
      const codes = [prices.getPrice({}), Array.fromAsync(prices.watchPrices({}))].map(codeOf);
      expect(await Promise.all(codes), String(value)).toEqual([code, code]);
    }
    expect((await outcome(prices.getPrice({}))).error).toMatchObject({ rawMessage: 'tea \ufffd' });
    const crashes: unknown[] = [];
    const note = (error: unknown) => void crashes.push(error);
    process.on('uncaughtException', note);
    ends({ [Symbol.dispose]: () => void process.off('uncaughtException', note) });
    const long = '茶'.repeat(20_000);
    for (const [message, metadata] of [
      [long, {}],
      ['no', { connection: 'close', 'Keep-Alive': 'timeout=5', te: 'gzip' }],
      ['no', { 'x-long': 'x'.repeat(100_000) }],
    ] as const) {
      thrown = new ConnectError(message, Code.NotFound, metadata);
      const codes = [prices.getPrice({}), Array.fromAsync(prices.watchPrices({}))].map(codeOf);
      expect(await Promise.all(codes), `${message.length} ${Object.keys(metadata)}`).toEqual(['NotFound', 'NotFound']);
    }
    thrown = new ConnectError(long, Code.NotFound);
    const { error } = await outcome(prices.getPrice({}));
    const bytes = error instanceof ConnectError ? encodeURIComponent(error.rawMessage).length : Number.NaN;
    expect(bytes, 'of a message of 180 000 bytes in a header, those that came').toBe(4_095);
    expect(crashes, 'what would have ended the server').toEqual([]);
  });

  test('what HTTP/2 cannot carry fails its own call', async () => {
    const server = await serve(
      desk({
        getPrice({ sku }, { responseHeader, responseTrailer }) {
          const name = sku.endsWith('long') ? 'x-long' : 'transfer-encoding';
          const value = name === 'x-long' ? 'x'.repeat(50_000) : 'chunked';
          (sku.startsWith('header') ? responseHeader : responseTrailer).set(name, value);
          responseTrailer.set('x-short', 'x'.repeat(40_000));
          return { cents: 7n };
        },
      }),
    );
    const prices = pricesOf(server, { defaultTimeoutMs: 2_000 });
    const skus = ['header', 'trailer', 'header long', 'trailer long'];
    const codes = await Promise.all(skus.map((sku) => codeOf(prices.getPrice({ sku }))));
    expect(codes, `calls with an odd ${skus}`).toEqual(['ok', 'ok', 'Internal', 'Internal']);
    const odd = prices.getPrice({ sku: 'header' }, { headers: { connection: 'close' } });
    expect(await codeOf(odd), 'a request that nobody can send').toBe('Internal');
    const lied = prices.getPrice({ sku: 'header' }, { headers: { 'content-length': '3' } });
    const both = await Promise.all([lied, prices.getPrice({ sku: 'header' })].map(codeOf));
    expect(both, 'a request with a length of its own, and the one beside it').toEqual(['ok', 'ok']);
  });

  test('a time that no timer holds is a long one, and a fraction of a millisecond is sent as a whole one', async () => {
    const server = await serve(
      desk({
        async getPrice(_, { signal, timeoutMs }) {
          await new Promise((resolve) => setTimeout(resolve, 10));
          signal.throwIfAborted();
          return { cents: BigInt(Math.ceil(timeoutMs() ?? -1)) };
        },
      }),
    );
    const prices = pricesOf(server);
    for (const timeoutMs of [2 ** 31, Number.POSITIVE_INFINITY, 60_000.7])
      expect(await codeOf(prices.getPrice({}, { timeoutMs })), `${timeoutMs} ms`).toBe('ok');
    expect((await outcome(prices.getPrice({}, { timeoutMs: Number.NaN }))).error).toBeInstanceOf(BadRpcOptionError);
    const sent = async (timeoutMs: number) => {
      let header: string | null = 'nothing';
      const reads: Interceptor = () => async (request) => {
        header = request.header.get('grpc-timeout');
        throw new Error('read');
      };
      const { error } = await outcome(pricesOf(server, { interceptors: [reads] }).getPrice({}, { timeoutMs }));
      return error instanceof ConnectError && error.code === Code.DeadlineExceeded ? 'late' : header;
    };
    const times = [0.4, 1, 60_000.7, 2 ** 31, Number.POSITIVE_INFINITY].map(sent);
    expect(await Promise.all(times), 'what is sent').toEqual(['1m', '1m', '60000m', '99999999m', '99999999m']);
    expect(await Promise.all([0, -1, Number.NEGATIVE_INFINITY].map(sent)), 'no time').toEqual(Array(3).fill('late'));
    // The longest that a timer holds is 2147483 s.
    for (const [text, seconds] of [
      ['596H', 2_145_600],
      ['597H', 2_147_483],
      ['99999999H', 2_147_483],
      ['35791M', 2_147_460],
      ['35792M', 2_147_483],
      ['2147480S', 2_147_480],
      ['2147484S', 2_147_483],
    ] as const) {
      const says: Interceptor = (next) => (request) => {
        request.header.set('grpc-timeout', text);
        return next(request);
      };
      const { cents } = await pricesOf(server, { interceptors: [says] }).getPrice({});
      expect(Math.abs(Number(cents) / 1_000 - seconds), `${cents} ms of ${text}`).toBeLessThan(2);
    }
    const lost = { signal: new AbortController().signal, timeoutMs: () => Number.NaN };
    refuses('a caller who waits for NaN', () => propagate(lost), ConnectError);
  });

  test('a server that was killed is unavailable, and one that hangs costs no more than the deadline', async () => {
    const child = spawn(process.execPath, [new URL('./child.ts', import.meta.url).pathname], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    ends({ [Symbol.dispose]: () => void child.kill('SIGKILL') });
    const [line] = await once(child.stdout, 'data');
    const prices = pricesOf({ port: Number(line) });
    expect(await codeOf(prices.getPrice({}))).toBe('ok');
    child.kill('SIGSTOP');
    expect(await codeOf(prices.getPrice({}, { timeoutMs: 50 })), 'stopped').toBe('DeadlineExceeded');
    const call = codeOf(prices.getPrice({}));
    child.kill('SIGKILL');
    expect(await call, 'killed').toBe('Unavailable');
    await once(child, 'exit');
    expect(await codeOf(prices.getPrice({})), 'gone').toBe('Unavailable');
  });

  test('a closed channel asks nobody any more', async () => {
    const { asked, service } = mute();
    const channel = channelTo(await serve(desk(service)));
    const prices = createClient(PriceService, channel.transport);
    const call = codeOf(prices.getPrice({}));
    await asked;
    channel.close();
    expect([await call, await codeOf(prices.getPrice({}))]).toEqual(['Canceled', 'Canceled']);
  });

  test('no call, stream or server is made from what makes none', async () => {
    const caller = { signal: new AbortController().signal, timeoutMs: () => 2 ** 31 };
    const channel = (options: ChannelOptions) => openChannel('http://127.0.0.1:1', options).close();
    const serving = (options: ServeOptions) => RpcServer.serve(() => {}, options).then((server) => server.close());
    const server = await serve(() => {});
    await server.drain();
    const [timer, size] = [2 ** 31 - 1, 2 ** 32 - 1];
    const limits: [string, number, number, (value: number) => unknown][] = [
      ['marginMs', 0, timer, (marginMs) => propagate(caller, { marginMs })],
      ['defaultMs', 1, timer, (defaultMs) => propagate(caller, { defaultMs })],
      ['withDeadline', 1, timer, (timeoutMs) => withDeadline(timeoutMs)[Symbol.dispose]()],
      ['limit', 1, Number.MAX_SAFE_INTEGER, (limit) => new StreamBuffer({ limit })],
      ['maxAttempts', 1, 100, (maxAttempts) => new RetryPolicy({ maxAttempts })],
      ['initialBackoffMs', 0, timer, (initialBackoffMs) => new RetryPolicy({ initialBackoffMs })],
      ['maxBackoffMs', 0, timer, (maxBackoffMs) => new RetryPolicy({ maxBackoffMs })],
      ['multiplier', 1, 100, (multiplier) => new RetryPolicy({ multiplier })],
      ['maxTokens', 1, 1_000, (maxTokens) => new RetryBudget({ maxTokens })],
      ['tokenRatio', 0.001, 1, (tokenRatio) => new RetryBudget({ tokenRatio })],
      ['defaultTimeoutMs', 1, 99_999_999, (defaultTimeoutMs) => channel({ defaultTimeoutMs })],
      ['pingIntervalMs', 1, timer, (pingIntervalMs) => channel({ pingIntervalMs })],
      ['readMaxBytes of a channel', 1, size, (readMaxBytes) => channel({ readMaxBytes })],
      ['readMaxBytes of a server', 1, size, (readMaxBytes) => serving({ readMaxBytes })],
      ['port', 0, 65_535, (port) => serving({ port })],
      ['lameDuckMs', 0, timer, (lameDuckMs) => server.drain({ lameDuckMs })],
      ['limitMs', 0, timer, (limitMs) => server.drain({ limitMs })],
      ['lingerMs', 0, timer, (lingerMs) => server.drain({ lingerMs })],
    ];
    const whole = /limit$|Attempts|Timeout|ping|readMax|port/;
    for (const [name, least, most, make] of limits) {
      const made = async (value: unknown) => {
        const { error } = await outcome((async () => make(JSON.parse('[0]').with(0, value)[0]))());
        return error instanceof BadRpcOptionError ? 'refused' : 'taken';
      };
      const bad = [least - 0.001, most + 1, Number.NaN, '5', whole.test(name) ? 1.5 : 'five'];
      for (const value of bad) expect(await made(value), `${name} of ${value}`).toBe('refused');
      for (const value of [least, most]) expect(await made(value), `${name} of ${value}`).toBe('taken');
    }
    refuses('no URL', () => openChannel('nowhere'), TypeError);
    const { error } = await outcome(RpcServer.serve(async (router) => desk({})(router)));
    expect(error, 'routes that are added later').toBeInstanceOf(BadRpcOptionError);
    for (const url of ['localhost:50051', 'ftp://127.0.0.1']) refuses(url, () => openChannel(url), BadRpcOptionError);
    const other = await serve(() => {});
    await expect(RpcServer.serve(() => {}, { port: other.port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('what nobody says has its default', async () => {
    const lot = vi.spyOn(Math, 'random').mockReturnValue(0.25);
    ends({ [Symbol.dispose]: () => lot.mockRestore() });
    const budget = new RetryBudget({ maxTokens: 100 });
    const { slept, prices, seen } = await retrying(() => unavailable(), { maxAttempts: 8, budget });
    expect(await codeOf(prices.getPrice({}))).toBe('Unavailable');
    expect(slept.map(Math.round), 'pauses, each by a tenth too short').toEqual([45, 90, 180, 360, 720, 900, 900]);
    expect(seen[0]?.timeout, 'a call without a deadline').toBe('10000m');
    const plain = await retrying(() => unavailable());
    await codeOf(plain.prices.getPrice({}));
    expect(plain.seen.length, 'attempts').toBe(4);
    const { signal } = new AbortController();
    expect(propagate({ signal, timeoutMs: () => 100 }).timeoutMs, 'of 100 ms').toBe(95);
    const tokens = new RetryBudget();
    tokens.onFailure();
    tokens.onSuccess();
    expect(tokens.tokens, 'of ten tokens, after a failure and a success').toBeCloseTo(9.1);
    const buffer = new StreamBuffer<number>();
    let accepted = 0;
    for (let value = 0; value < 20; value++) void buffer.push(value).then(() => accepted++);
    await new Promise(setImmediate);
    expect(accepted, 'values that wait for a reader').toBe(16);
  });
});

describe('health and draining, hardened', () => {
  test('health is told for each service, and watchers hear of every change', async () => {
    const server = await serve(() => {});
    const health = createClient(Health, channelTo(server).transport);
    expect(await codeOf(health.check({ service: 'shop.v1.PriceService' }))).toBe('NotFound');
    const told = health.watch({ service: 'shop.v1.PriceService' })[Symbol.asyncIterator]();
    const next = async () => (await told.next()).value?.status;
    const warned: string[] = [];
    const note = ({ name }: Error) => warned.push(name);
    process.on('warning', note);
    ends({ [Symbol.dispose]: () => void process.off('warning', note) });
    const crowd = Array.from({ length: 12 }, () => outcome(Array.fromAsync(health.watch({ service: 'none' }))));
    expect(await next()).toBe(Status.SERVICE_UNKNOWN);
    server.health.set('shop.v1.PriceService', true);
    expect(await next()).toBe(Status.SERVING);
    server.health.set('', false);
    server.health.set('shop.v1.PriceService', false);
    expect(await next()).toBe(Status.NOT_SERVING);
    expect((await health.check({})).status).toBe(Status.NOT_SERVING);
    server.health.set('shop.v1.PriceService', true);
    expect(await next()).toBe(Status.SERVING);
    const drained = outcome(server.drain());
    expect(await next(), 'what a watcher hears of a server that leaves').toBe(Status.NOT_SERVING);
    expect((await told.next()).done, 'the watcher is let go').toBe(true);
    server.health.set('', true);
    expect((await Promise.all(crowd)).filter(({ error }) => error).length, 'watchers not let go').toBe(0);
    expect(warned, 'warnings of a leak').toEqual([]);
    expect((await drained).value, 'calls cut off: a watcher holds nobody up').toBe(0);
  });

  test('a call that outlasts the drain is cut off and counted, and hears why', async () => {
    const { asked, service } = mute();
    const server = await serve(desk(service));
    const call = codeOf(pricesOf(server).getPrice({}));
    const signal = await asked;
    const drains = [server.drain({ limitMs: 30 }), server.drain({ limitMs: 30_000 })];
    expect(await Promise.all(drains), 'calls cut off, as both drains say').toEqual([1, 1]);
    expect(signal.reason).toMatchObject({ code: Code.Unavailable });
    expect(await call).toBe('Unavailable');
    await until(() => server.calls === 0);
    const closed = await serve(desk(mute().service));
    const cut = codeOf(pricesOf(closed).getPrice({}));
    await until(() => closed.calls === 1);
    const drained = closed.drain();
    await closed.close();
    expect([closed.calls, closed.port], 'calls and port of a server that has been closed').toEqual([0, 0]);
    expect([await drained, await cut], 'a drain that is overtaken by close').toEqual([1, 'Unavailable']);
  });

  test('a handler that is deaf to its signal does not hold up close', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await serve(
      desk({
        getPrice() {
          asked.resolve();
          return new Promise<never>(() => {});
        },
      }),
    );
    const call = codeOf(pricesOf(server).getPrice({}));
    await asked.promise;
    expect((await outcome(server.close())).error).toBe(undefined);
    expect(await call).toBe('Unavailable');
    expect(await codeOf(pricesOf({ port: 1 }).getPrice({})), 'where nobody listens').toBe('Unavailable');
  });

  test('a call that crosses the GOAWAY of an idle connection goes once more, whatever its method', async () => {
    const taken: string[][] = [[], []];
    let left = Number.NaN;
    const [leaving, staying] = await Promise.all(
      taken.map((ids) =>
        serve((router) => {
          router.service(OrderService, {
            placeOrder({ orderId }, context) {
              ids.push(orderId);
              left = context.timeoutMs() ?? Number.NaN;
              return {};
            },
          });
        }),
      ),
    );
    if (!leaving || !staying) throw new Error('two servers');
    let target = leaving.port;
    const balancer = ends(await startBalancer(() => target));
    const orders = ordersOf(balancer);
    await orders.placeOrder({ orderId: 'first' });
    target = staying.port;
    const release = balancer.hold();
    const drained = outcome(leaving.drain({ lingerMs: 1_500 }), 8_000);
    await until(() => !leaving.listening, { intervalMs: 1 });
    const before = balancer.sent();
    const second = codeOf(orders.placeOrder({ orderId: 'second' }, { timeoutMs: 8_000 }));
    // On its way, or failed by now: more than two updates of a window. Then the GOAWAY comes through.
    await until(() => balancer.sent() > before + 26, { what: 'the order to be on its way' });
    await new Promise((resolve) => setTimeout(resolve, 30));
    release();
    expect(await second, 'an order that crossed the GOAWAY').toBe('ok');
    expect(taken, 'the orders of the two servers').toEqual([['first'], ['second']]);
    expect(left > 0 && left <= 7_970, `the second attempt says ${left} of 8000 ms`).toBe(true);
    await leaving.close();
    expect((await drained).value).toBe(0);
  });

  test('a server that leaves names its last call once it takes no more, and none before', async () => {
    const server = await serve(desk({ getPrice: () => ({ cents: CENTS }) }));
    const client = connect(urlOf(server)).on('error', () => {});
    onTestFinished(() => client.destroy());
    await once(client, 'connect');
    // Still to come is what it asks for: so it has to stay.
    const path = `/${PriceService.typeName}/GetPrice`;
    const call = client.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    call.on('error', () => {});
    const named: unknown[] = [];
    client.on('goaway', (_code, last) => named.push(last));
    // The server has read what was sent before.
    await new Promise<void>((heard) => client.ping(() => heard()));
    const drained = outcome(server.drain({ limitMs: 2_000, lingerMs: 300 }));
    await until(() => named.length === 2);
    // What comes between the two is in the second: nobody repeats a call that was served.
    expect(named, 'the last calls that were named').toEqual([2 ** 31 - 1, call.id]);
    call.close();
    client.close();
    expect((await drained).error).toBe(undefined);
  });
});

describe('other clients', () => {
  test('a grpc-js client gets prices, deadlines and codes', async () => {
    const server = await serve(desk(slowDesk));
    const client = new Client(new URL(urlOf(server)).host, credentials.createInsecure());
    ends({ [Symbol.dispose]: () => client.close() });
    const ask = (sku: string, options: CallOptions = {}) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          '/shop.v1.PriceService/GetPrice',
          (name: string) => Buffer.from(toBinary(GetPriceRequestSchema, create(GetPriceRequestSchema, { sku: name }))),
          (bytes) => fromBinary(GetPriceResponseSchema, bytes),
          sku,
          new Metadata(),
          options,
          (error, price) => (error ? reject(error) : resolve(price)),
        );
      });
    expect(await ask('tea')).toMatchObject({ sku: 'tea', cents: CENTS });
    const late = await outcome(ask('slow', { deadline: Date.now() + 50 }));
    expect(late.error).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    expect((await outcome(server.drain())).value, 'calls cut off: grpc-js hangs up after GOAWAY').toBe(0);
  });

  test('a Python client gets prices, deadlines and codes', async ({ skip }) => {
    const server = await serve(desk(slowDesk));
    const child = spawn('python3', [new URL('./client.py', import.meta.url).pathname, `127.0.0.1:${server.port}`]);
    ends({ [Symbol.dispose]: () => void child.kill('SIGKILL') });
    const said = Array.fromAsync(child.stdout, String);
    const [code] = await once(child, 'close').catch(() => [3]);
    skip(code === 3, needsPython('grpcio'));
    expect((await said).join('').trim()).toBe('0a037465611081808080808080' + '10\nDEADLINE_EXCEEDED');
  });
});
