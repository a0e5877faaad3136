import { DisposedError } from './errors.ts';
import { once } from './once.ts';
import { chain } from './suppressed.ts';

/** How a body ended, as far as anybody can tell: `using` and `await using` tell nothing. */
export type Ending =
  | { readonly kind: 'returned' }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'unknown' };

/**
 * Something that is held, and its way back. `exit` may answer `'handled'`: then the error of the body ends there. Any
 * other answer, `true` included, changes nothing: `() => keys.delete(key)` must not swallow errors.
 * `await using` calls `exit` too, with an ending of kind `unknown`.
 */
export interface Entered<T, A = void> extends AsyncDisposable {
  /** @throws DisposedError once it is being given back. */
  readonly value: T;
  /** Gives `value` back. Whoever asks again gets the first answer. @throws what giving back throws, chained to the error of the body */
  exit(ending: Ending): Promise<A>;
}

/** Python's context manager: `enter` is `__enter__`; the `exit` of what it gives is `__exit__`. */
export interface ContextManager<T, A = void> {
  enter(): Entered<T, A> | PromiseLike<Entered<T, A>>;
}

/** What a body returned; also undefined where an error of the body may have been handled. */
export type Outcome<R, A> = 'handled' extends A ? R | undefined : R;

/**
 * An Entered of `value`, which `exit` gives back, once. What `exit` throws after an error of the body doesn't hide that
 * error: see `chain`.
 */
export function entered<T, A>(value: T, exit: (ending: Ending) => A | PromiseLike<A>): Entered<T, A> {
  const chained = async (ending: Ending) => {
    try {
      return await exit(ending);
    } catch (error) {
      throw ending.kind === 'threw' ? chain(error, ending.error) : error;
    }
  };
  return holding(value, once(chained));
}

/** For an `exit` that runs once, and chains, by itself. */
export function holding<T, A>(value: T, exit: (ending: Ending) => Promise<A>): Entered<T, A> {
  let held = true;
  const giveBack = (ending: Ending) => {
    held = false;
    return exit(ending);
  };
  return {
    get value() {
      if (!held) throw new DisposedError('What was entered');
      return value;
    },
    exit: giveBack,
    [Symbol.asyncDispose]: async () => void (await giveBack({ kind: 'unknown' })),
  };
}

/**
 * Python's `with`: enters `manager`, runs `body`, and exits when the body has ended, telling how it did.
 *
 * @returns what the body returned; undefined when the manager handled its error
 * @throws what entering throws; the error of the body; what exiting throws
 */
export function withContext<T, A, R>(
  manager: ContextManager<T, A>,
  body: (value: T) => R | PromiseLike<R>,
): Promise<Outcome<R, A>>;
export async function withContext<T, R>(
  manager: ContextManager<T, unknown>,
  body: (value: T) => R | PromiseLike<R>,
): Promise<R | undefined> {
  const held = await manager.enter();
  let result: R;
  try {
    result = await body(held.value);
  } catch (error) {
    if ((await held.exit({ kind: 'threw', error })) === 'handled') return undefined;
    throw error;
  }
  await held.exit({ kind: 'returned' });
  return result;
}

/** Exits because of `error`, and throws it, whatever `exit` answers. */
export async function exitAndThrow({ exit }: Pick<Entered<unknown, unknown>, 'exit'>, error: unknown): Promise<never> {
  try {
    await exit({ kind: 'threw', error });
  } catch (later) {
    throw chain(later, error);
  }
  throw error;
}
