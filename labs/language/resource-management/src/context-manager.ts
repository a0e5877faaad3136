import { type ContextManager, type Ending, entered } from './context.ts';
import { ReentrantError, YieldError } from './errors.ts';
import { chain } from './suppressed.ts';

/** Yields once, what the body is to have. It may return `'handled'` after it has caught the body's error. */
export type ManagerBody<T, A> = Generator<T, A, void> | AsyncGenerator<T, A, void>;

export interface ManagerOptions {
  /** Whether a manager may be entered again before it has been left. Default false. Each entry runs a new generator. */
  readonly reentrant?: boolean;
}

/**
 * Makes context managers from a generator: what stands before its `yield` enters, what stands after it exits.
 * The error of the body is thrown at the `yield`: what `catch` catches is still thrown on, unless the generator returns
 * `'handled'`. What follows the `yield` outside of `finally` runs only if the body is known to have returned, so not at
 * the end of an `await using` block.
 *
 * @throws from `enter`: what the generator throws, YieldError when it doesn't yield, ReentrantError when the same
 *   manager is entered already; from `exit`: what the generator throws, YieldError when it yields again (it is closed)
 */
export function contextManager<P extends readonly unknown[], T, A>(
  body: (...args: P) => ManagerBody<T, A>,
  { reentrant = false }: ManagerOptions = {},
): (...args: P) => ContextManager<T, A | undefined> {
  const name = body.name || 'without a name';
  return (...args) => {
    let open = 0;
    const enter = async () => {
      if (open > 0 && !reentrant) {
        throw new ReentrantError(`${name} is entered already: make a second one, or declare it { reentrant: true }.`);
      }
      open += 1;
      try {
        const generator: ManagerBody<T, A | undefined> = body(...args);
        const first = await generator.next();
        if (first.done) throw new YieldError(name, 'never');
        return entered(first.value, (ending) => resume(generator, name, ending).finally(() => void open--));
      } catch (error) {
        open -= 1;
        throw error;
      }
    };
    return { enter };
  };
}

async function resume<A>(generator: ManagerBody<unknown, A | undefined>, name: string, ending: Ending) {
  const step =
    ending.kind === 'threw'
      ? await generator.throw(ending.error)
      : ending.kind === 'returned'
        ? await generator.next()
        : await generator.return(undefined);
  if (step.done) return step.value;
  const refused = new YieldError(name, 'again', ending.kind === 'threw' ? { cause: ending.error } : undefined);
  try {
    await generator.return(undefined);
  } catch (error) {
    throw chain(error, refused);
  }
  throw refused;
}
