import { announce } from './announce.ts';
import type { Origin, Servers } from './types.ts';

/** The part of a handle that every kind of server shares. Announces itself; disposes once, however often it is asked. */
export function handle(o: {
  service: string;
  origin: Origin;
  version: string;
  count: number;
  inspect: readonly string[];
  faults: boolean;
  namespace: string;
  close: () => Promise<void>;
}): Servers {
  const { close, version, count, ...rest } = o;
  const banner = `${o.service}${count > 1 ? ` ×${count}` : ''}: ${o.origin} ${version}`;
  announce(banner, 'banner');
  let closing: Promise<void> | undefined;
  return {
    ...rest,
    banner,
    [Symbol.asyncDispose]: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Fails with `error()` if `work` takes longer than `ms`; whatever work does later is ignored. */
export async function within<T>(ms: number, work: Promise<T>, error: () => Error): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(error()), ms);
  work.catch(() => {});
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** @throws RangeError */
export function atLeastOne<T>(all: readonly T[]): readonly [T, ...T[]] {
  const [first, ...rest] = all;
  if (first === undefined) throw new RangeError('there is one at least');
  return [first, ...rest];
}

/** What a server answers at `url`; '' where it is not ready to. @throws what `fetch` throws, also after a second's silence */
export async function pageOf(url: string): Promise<string> {
  const response = await fetch(url, { signal: AbortSignal.timeout(1000) });
  const text = await response.text();
  return response.ok ? text : '';
}
