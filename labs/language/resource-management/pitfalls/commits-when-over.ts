// Flaw: takes the end of an `await using` block for success, though the block may have thrown: half a transfer is kept.
// Seen in: https://github.com/tc39/proposal-explicit-resource-management/issues/49
// Caught by: await using cannot tell how its block ended: only the finally of a generator runs
import { type ContextManager, type ManagerBody, contextManager as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function contextManager<P extends readonly unknown[], T, A>(body: (...args: P) => ManagerBody<T, A>) {
  return (...args: P): ContextManager<T, A | undefined> => ({
    async enter() {
      const held = await reference(body)(...args).enter();
      return Object.defineProperty(held, Symbol.asyncDispose, {
        value: async () => void (await held.exit({ kind: 'returned' })),
      });
    },
  });
}
