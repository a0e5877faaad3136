// Flaw: values are kept in a Map by instance, which keeps every instance that ever had one alive.
// Seen in: https://github.com/jazzband/jsonmodels/issues/64
// Caught by: a value dies with its instance
import { type Attribute, descriptor, type FieldOptions, typed as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function typed<T>(guard: (value: unknown) => value is T, options: FieldOptions<T> = {}): Attribute<T> {
  const inner = reference(guard, options);
  const values = new Map<object, T>();
  return descriptor<T>({
    get: (o, owner) => (o && values.has(o) ? (values.get(o) ?? inner) : (inner.get?.(o, owner) ?? inner)),
    set(o, value) {
      inner.set?.(o, value);
      values.set(o, value);
    },
    setName: (owner, name) => inner.setName?.(owner, name),
  });
}
