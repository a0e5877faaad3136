// Flaw: Promise.all rejects with the first failure, and nobody has what the others have acquired, or will.
// Seen in: https://github.com/nodejs/help/issues/2487
// Caught by: when one of several cannot be had, those that were are given back, the late ones too
import { type ContextManager, type Ending, ExitStack, entered } from '../src/index.ts';

export * from '../src/index.ts';

export function acquireAll(
  ...managers: readonly ContextManager<unknown, unknown>[]
): ContextManager<unknown[], unknown> {
  return {
    async enter() {
      const held = await Promise.all(managers.map(async (manager) => manager.enter()));
      const stack = new ExitStack();
      for (const each of held) stack.push((ending: Ending) => each.exit(ending));
      return entered(
        held.map(({ value }) => value),
        stack.exit,
      );
    },
  };
}
