// Flaw: the body fills a namespace of its own: what the meta prepared, for instance an objection, is never asked.
// Seen in: https://github.com/python/cpython/pull/154028
// Caught by: the namespace of prepare sees a second definition, which JavaScript drops
import { derive, defineClass as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const defineClass: typeof reference = (meta, ...rest) =>
  reference(
    derive(meta, () => ({ prepare: () => new Map() })),
    ...rest,
  );
