// Flaw: the loaders are made once, for all requests: what Ann may read is the answer to Ben, and nothing is ever read anew.
// Seen in: https://github.com/lablup/backend.ai/issues/12020
// Caught by: a request reads what its own user may read, and after a mutation what was written
import { type Loaders, createLoaders as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function createLoaders<
  Context extends object,
  M extends Readonly<Record<string, (context: Context) => unknown>>,
>(makers: M): Loaders<Context, M> {
  const loaders = reference<Context, M>(makers);
  let first: Context | undefined;
  return {
    of(context) {
      first ??= context;
      return loaders.of(first);
    },
    clear() {},
  };
}
