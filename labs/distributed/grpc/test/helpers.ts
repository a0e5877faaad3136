import { Code, ConnectError, type ConnectRouter, createClient } from '@connectrpc/connect';
import { expect, onTestFinished } from 'vitest';
import { type ChannelOptions, openChannel, RetryPolicy, RpcServer, type ServeOptions } from '#lab';
import { OrderService, PriceService } from './shop/v1/shop_pb.ts';
import { urlOf } from './shop.ts';

/** Ends with the test, whatever became of it. */
export const ends = <T extends AsyncDisposable | Disposable>(resource: T): T => {
  onTestFinished(async () => {
    if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
    else resource[Symbol.dispose]();
  });
  return resource;
};

export const serve = async (routes: (router: ConnectRouter) => void, options?: ServeOptions) =>
  ends(await RpcServer.serve(routes, options));

export const channelTo = (server: { readonly port: number }, options?: ChannelOptions) =>
  ends(openChannel(urlOf(server), options));

export const pricesOf = (server: { readonly port: number }, options?: ChannelOptions) =>
  createClient(PriceService, channelTo(server, options).transport);

export const ordersOf = (server: { readonly port: number }, options?: ChannelOptions) =>
  createClient(OrderService, channelTo(server, options).transport);

/** A clock on which a sleep takes no time, and that knows how long they were. */
export const quickClock = () => {
  let now = 0;
  const slept: number[] = [];
  const sleep = async (ms: number) => {
    now += ms;
    slept.push(ms);
  };
  return { slept, clock: { mono: () => now, sleep } };
};

/** A client with a retry policy, and the attempts that a server saw of it. `answer` says how the nth of them ends. */
export const retrying = async (
  answer: (attempt: number) => ConnectError | undefined,
  options: ConstructorParameters<typeof RetryPolicy>[0] = {},
) => {
  const { slept, clock } = quickClock();
  const seen: { method: string; timeout: string | null; previous: string | null }[] = [];
  const note = (name: string, header: Headers) => {
    seen.push({
      method: name,
      timeout: header.get('grpc-timeout'),
      previous: header.get('grpc-previous-rpc-attempts'),
    });
    const error = answer(seen.length);
    if (error) throw error;
  };
  const server = await serve((router) => {
    router.service(PriceService, {
      getPrice: (_, context) => {
        note('GetPrice', context.requestHeader);
        return { cents: 1n };
      },
      async *watchPrices(_, context) {
        note('WatchPrices', context.requestHeader);
        yield { number: 1 };
      },
    });
    router.service(OrderService, {
      placeOrder: (_, context) => {
        note('PlaceOrder', context.requestHeader);
        return { cents: 1n };
      },
    });
  });
  const policy = new RetryPolicy({ clock, ...options });
  const interceptors = [policy.interceptor];
  return {
    policy,
    slept,
    seen,
    prices: pricesOf(server, { interceptors }),
    orders: ordersOf(server, { interceptors }),
  };
};

export const unavailable = (metadata: Record<string, string> = {}) =>
  new ConnectError('too busy', Code.Unavailable, metadata);

/** How a call failed: the name of its code; 'ok' if it didn't. */
export const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'ok',
    (error: unknown) => (error instanceof ConnectError ? (Code[error.code] ?? '') : String(error)),
  );

export const refuses = (what: string, body: () => unknown, error: new (...args: never[]) => Error) =>
  expect(body, what).toThrow(error);
