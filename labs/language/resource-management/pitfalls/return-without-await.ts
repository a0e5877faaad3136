// Flaw: returns the promise of the body without waiting for it, so what it holds is given back while it runs.
// Seen in: https://github.com/expo/await-lock/issues/1
// Caught by: what is entered is given back once the body has ended, by return or by throw
import type { ContextManager } from '../src/index.ts';

export * from '../src/index.ts';

export async function withContext<T, R>(manager: ContextManager<T, unknown>, body: (value: T) => R): Promise<R> {
  const held = await manager.enter();
  try {
    return body(held.value);
  } finally {
    await held.exit({ kind: 'returned' });
  }
}
