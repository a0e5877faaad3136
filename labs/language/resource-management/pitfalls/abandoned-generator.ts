// Flaw: never calls return(): a generator that is not run to its end stays where it is, and its finally never runs.
// Seen in: https://github.com/tc39/proposal-async-iteration/issues/126
// Caught by: a generator that never yields is refused, and one that yields twice is closed
import { type ManagerBody, contextManager as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function contextManager<P extends readonly unknown[], T, A>(body: (...args: P) => ManagerBody<T, A>) {
  const unclosed = (...args: P): ManagerBody<T, A> =>
    Object.assign(body(...args), { return: async () => ({ done: true, value: undefined }) });
  return reference(Object.defineProperty(unclosed, 'name', { value: body.name }));
}
