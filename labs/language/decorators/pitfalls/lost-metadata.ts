// Flaw: the wrapper takes the method's place without its metadata, so what others noted on the method is gone.
// Seen in: https://github.com/Papooch/decorate-all/issues/2
// Caught by: a wrapped method keeps the metadata that others put on it
import { caching } from '../src/core/cache.ts';
import { wrap } from '../src/core/method.ts';
import { type CacheOptions, legacy as reference } from '../src/index.ts';
import type { MethodDecoratorOf } from '../src/legacy/index.ts';

export * from '../src/index.ts';

const cached =
  (options: CacheOptions): MethodDecoratorOf =>
  (_prototype, name, descriptor) => {
    if (descriptor.value) descriptor.value = wrap(descriptor.value, String(name), caching(options));
  };

export const legacy = { ...reference, cached };
