import { type ContextManager, entered } from './context.ts';
import { NotDisposableError, ReentrantError } from './errors.ts';
import type { Handled } from './exit-stack.ts';

/**
 * Closes `thing` in the end: by its `close()`, or by `close`, which may return a promise. Something like
 * `server.close(done)`, which calls back, has to be made a promise first.
 *
 * @throws NotDisposableError at once, when neither is there; from `enter`: ReentrantError the second time, since it
 *   would be handed out closed
 */
export function closing<T extends { close(): unknown }>(thing: T): ContextManager<T>;
export function closing<T>(thing: T, close: (thing: T) => unknown): ContextManager<T>;
export function closing<T extends { close?(): unknown }>(
  thing: T,
  close: (thing: T) => unknown = closerOf(thing),
): ContextManager<T> {
  let taken = false;
  return {
    enter() {
      if (taken) throw new ReentrantError('What is being closed, or is closed, cannot be entered again.');
      taken = true;
      return entered(thing, async () => void (await close(thing)));
    },
  };
}

function closerOf(thing: { close?(): unknown } | null | undefined): () => unknown {
  if (typeof thing?.close !== 'function') throw new NotDisposableError(thing);
  return () => thing.close?.();
}

/** Handles the errors of which `expected` says `true`: `suppress((error) => error instanceof NotFoundError)`. */
export function suppress(expected: (error: unknown) => boolean): ContextManager<undefined, Handled> {
  return {
    enter: () =>
      entered(undefined, (ending) =>
        ending.kind === 'threw' && expected(ending.error) === true ? 'handled' : undefined,
      ),
  };
}

/** Gives `value`, and does nothing in the end: for code that takes a manager where there is nothing to manage. */
export function nullContext<T>(value: T): ContextManager<T> {
  return { enter: () => entered(value, () => {}) };
}
