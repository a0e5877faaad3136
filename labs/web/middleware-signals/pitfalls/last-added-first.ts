// Flaw: each layer wraps those before it, so the last one of the list is the outermost.
// Seen in: https://github.com/graphql-python/graphene/issues/1533
// Caught by: layers are passed in their order on the way in, and in reverse on the way out
import { compose as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const compose: typeof reference = (layers, handler) => reference(layers.toReversed(), handler);
