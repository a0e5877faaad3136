// Flaw: resumes the generator by next() even after an error, so that what is meant for success runs, and commits.
// Seen in: https://github.com/python/cpython/issues/114475 (where it is expected)
// Caught by: a generator is a manager: up to the yield it enters, and the body's error is thrown there
import { type ContextManager, entered, type ManagerBody, contextManager as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function contextManager<P extends readonly unknown[], T, A>(body: (...args: P) => ManagerBody<T, A>) {
  return (...args: P): ContextManager<T, A | undefined> => ({
    async enter() {
      const held = await reference(body)(...args).enter();
      return entered(held.value, () => held.exit({ kind: 'returned' }));
    },
  });
}
