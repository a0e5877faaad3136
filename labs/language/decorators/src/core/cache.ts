import { type Clock, systemClock } from './clock.ts';
import { MisuseError } from './errors.ts';
import { type Behaviour, checkOption, isPromise, refuseGenerator } from './method.ts';
import { unhurried } from './timeout.ts';

export interface CacheOptions {
  /** How long a result is used, in milliseconds; of a promise, from when it is fulfilled. */
  readonly ttlMs: number;
  /** Results kept for each instance; above it, the one not used for longest is dropped. */
  readonly max: number;
  /** What makes two calls the same, from the method's own arguments. Default: equal arguments, of primitive types only. */
  key?(...args: readonly unknown[]): string;
  readonly clock?: Pick<Clock, 'mono'>;
}

interface Entry {
  readonly value: unknown;
  validUntil: number;
}

/**
 * Remembers results, for each instance its own, and no longer than the instance lives. Who asks while the first call
 * is on its way shares its promise, so a `@timeout` above gives up waiting and aborts nothing in it; one below ends a
 * call that hangs, which else is shared for ever. What throws or rejects is not remembered.
 *
 * Every caller gets the same object: hand out what nobody changes. And every caller gets it, so a guard belongs above.
 *
 * @throws MisuseError on bad options, on a generator; from a call with an object as argument and no `key`.
 */
export function caching(options: CacheOptions): Behaviour {
  const { ttlMs, max, key = keyOf, clock = systemClock } = options;
  checkOption('ttlMs of @cached', ttlMs, Number.MIN_VALUE, Number.POSITIVE_INFINITY);
  checkOption('max of @cached', max, 1, Number.POSITIVE_INFINITY, true);
  return (method, name) => {
    refuseGenerator('cached', method, name);
    const caches = new WeakMap<object, Map<string, Entry>>();
    return function (...args) {
      // Detached from its instance, it has nobody to remember for.
      if (this === null || (typeof this !== 'object' && typeof this !== 'function')) {
        return Reflect.apply(method, this, args);
      }
      const cache = caches.get(this) ?? new Map<string, Entry>();
      if (cache.size === 0) caches.set(this, cache);
      const wanted = key(...args);
      const known = cache.get(wanted);
      if (known && known.validUntil > clock.mono()) {
        cache.delete(wanted);
        cache.set(wanted, known);
        return known.value;
      }
      const value = unhurried(() => {
        const result = Reflect.apply(method, this, args);
        // A query that runs anew for each `await` is settled once, and its result is kept.
        return isPromise(result) ? Promise.resolve(result) : result;
      });
      const entry: Entry = { value, validUntil: clock.mono() + ttlMs };
      remember(cache, wanted, entry, max);
      if (value instanceof Promise) {
        // As long as it's on its way it is shared, however long it takes.
        entry.validUntil = Number.POSITIVE_INFINITY;
        value.then(
          () => {
            entry.validUntil = clock.mono() + ttlMs;
          },
          () => {
            if (cache.get(wanted) === entry) cache.delete(wanted);
          },
        );
      }
      return value;
    };
  };
}

function remember(cache: Map<string, Entry>, key: string, entry: Entry, max: number): void {
  cache.delete(key);
  cache.set(key, entry);
  if (cache.size <= max) return;
  const [oldest] = cache.keys();
  if (oldest !== undefined) cache.delete(oldest);
}

/** Tells `1` from `'1'`, and `('a', 'b')` from `('a,b')`. */
function keyOf(...args: readonly unknown[]): string {
  const [first] = args;
  // The most frequent call by far; no other key begins like this.
  if (args.length === 1 && typeof first === 'string') return `=${first}`;
  let key = '';
  for (const arg of args) {
    if (typeof arg === 'symbol' || typeof arg === 'function' || (typeof arg === 'object' && arg !== null)) {
      throw new MisuseError(
        `@cached can't compare arguments of type ${typeof arg}: give it a \`key\` that makes a text of them`,
      );
    }
    const text = String(arg);
    key += `${typeof arg}:${text.length}:${text};`;
  }
  return key;
}
