// Flaw: the instance's dictionary is asked first, so that one write to it gets past every data descriptor.
// Seen in: https://github.com/micropython/micropython/issues/6600
// Caught by: a data descriptor beats the instance, and the instance beats a non-data descriptor
import { getattr as reference } from '../src/index.ts';
import { instances } from '../src/lookup.ts';

export * from '../src/index.ts';

export function getattr(o: object, name: PropertyKey, ...fallback: [fallback?: unknown]): unknown {
  const own = instances.get(o)?.raw;
  return own && Object.hasOwn(own, name) ? own[name] : reference(o, name, ...fallback);
}
