// Flaw: exits with the error, and throws it on whatever the exit answers.
// Seen in: https://github.com/huggingface/smolagents/pull/2033
// Caught by: the manager sees the error of the body, and its "handled" ends it
import type { ContextManager } from '../src/index.ts';

export * from '../src/index.ts';

export async function withContext<T, R>(
  manager: ContextManager<T, unknown>,
  body: (value: T) => R | PromiseLike<R>,
): Promise<R> {
  const held = await manager.enter();
  try {
    const result = await body(held.value);
    await held.exit({ kind: 'returned' });
    return result;
  } catch (error) {
    await held.exit({ kind: 'threw', error });
    throw error;
  }
}
