// Flaw: the promise is kept although it rejects, so one failure is every later reader's failure.
// Seen in: https://github.com/medikoo/memoizee/issues/117
// Caught by: a failed computation is not kept, and readers of a pending one share it
import { type Attribute, descriptor, setattr } from '../src/index.ts';

export * from '../src/index.ts';

export function lazy<T, O extends object = object>(compute: (o: O) => T): Attribute<T, O> {
  let key = '';
  const self: Attribute<T, O> = descriptor<T, O>({
    get(o) {
      if (o === undefined) return self;
      const value = compute(o);
      setattr(o, key, value);
      return value;
    },
    setName: (_, name) => {
      key = name;
    },
  });
  return self;
}
