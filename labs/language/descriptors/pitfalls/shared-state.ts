// Flaw: the value is kept on the descriptor, which all instances of the class have in common.
// Seen in: https://github.com/ladybug-tools/honeybee/issues/223
// Caught by: each instance has a value of its own
import { type Attribute, descriptor, type FieldOptions, range as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function range(lo: number, hi: number, options: FieldOptions<number> = {}): Attribute<number> {
  const inner = reference(lo, hi, options);
  const everybody = {};
  return descriptor<number>({
    get: (o, owner) => inner.get?.(o && everybody, owner) ?? inner,
    set: (_, value) => inner.set?.(everybody, value),
    delete: () => inner.delete?.(everybody),
    setName: (owner, name) => inner.setName?.(owner, name),
  });
}
