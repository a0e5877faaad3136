import { type Principal, type Router, runAs, serve } from '#lab';

/** One food delivery, as a dialect delivers it: test/standard/delivery.ts and test/legacy/delivery.ts. */
export interface Delivery {
  /** The rider's address book, with the cache above the guard, and with the guard above the cache. */
  readonly book: Readonly<Record<'cacheAbove' | 'guardAbove', (order: number) => string>>;
  readonly router: Router;
  /** The way to the customer, with the guard in the base class and an override that forgot it. */
  readonly override: () => string;
  /** Builds the routes of the class with that override. */
  readonly registerOverride: () => unknown;
  /** What the handler of GET /orders/7 took as the order's number. */
  readonly seen: readonly unknown[];
}

/** What came of it. */
export interface Delivered {
  /** Addresses that a guest read, of one asked for. */
  readonly leaks: Readonly<Record<'cacheAbove' | 'guardAbove' | 'override', number>>;
  readonly routes: number;
  readonly served: number;
  /** Request → status. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Why the override was refused as a route; undefined where it was not. */
  readonly refusal: string | undefined;
  /** The type of the order's number in the handler. */
  readonly idType: string;
}

const rider: Principal = { name: 'Rui', can: (permission) => permission === 'rider' };
const guest: Principal = { name: 'Gus', can: () => false };

export async function deliver({ book, router, override, registerOverride, seen }: Delivery): Promise<Delivered> {
  const leak = (ask: () => string) => (runAs(guest, () => attempt(ask)).value === undefined ? 0 : 1);
  const afterRider = (ask: (order: number) => string) => {
    runAs(rider, () => ask(7));
    return leak(() => ask(7));
  };
  await using server = await serve(router, {
    identify: ({ headers }) =>
      headers['authorization'] === 'Rui' ? rider : headers['authorization'] ? guest : undefined,
    onError: () => {},
  });
  const ask = async (method: string, path: string, who?: string) => {
    const request = { method, ...(who ? { headers: { authorization: who } } : {}) };
    return (await fetch(`${server.url}${path}`, request)).status;
  };
  const answers = await Promise.all(
    router.routes.map(({ method, path }) => ask(method, path.replaceAll(/:\w+/g, '7'), 'Rui')),
  );
  const statuses = {
    'GET /orders/7': await ask('GET', '/orders/7'),
    'GET /nowhere': await ask('GET', '/nowhere'),
    'PUT /orders/7': await ask('PUT', '/orders/7'),
    'GET /orders/%zz': await ask('GET', '/orders/%zz'),
    'GET /orders/7/address, nobody': await ask('GET', '/orders/7/address'),
    'GET /orders/7/address, a guest': await ask('GET', '/orders/7/address', 'Gus'),
    'GET /orders/7/address, a rider': await ask('GET', '/orders/7/address', 'Rui'),
  };
  return {
    leaks: {
      cacheAbove: afterRider(book.cacheAbove),
      guardAbove: afterRider(book.guardAbove),
      override: leak(override),
    },
    routes: router.routes.length,
    served: answers.filter((status) => status < 300).length,
    statuses,
    refusal: attempt(registerOverride).error,
    idType: typeof seen[0],
  };
}

function attempt<T>(ask: () => T): { value?: T; error?: string } {
  try {
    return { value: ask() };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}
