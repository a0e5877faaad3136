// Flaw: the value is stored first and checked then, so a refusal leaves the object with what was refused.
// Seen in: https://github.com/5monkeys/django-enumfield/pull/81
// Caught by: a refused value leaves the one that was there
import { type Attribute, descriptor, type FieldOptions, range as reference, typed } from '../src/index.ts';

export * from '../src/index.ts';

export function range(lo: number, hi: number, options: FieldOptions<number> = {}): Attribute<number> {
  const rule = reference(lo, hi, options);
  const store = typed((_value): _value is number => true, options);
  return descriptor<number>({
    get: (o, owner) => store.get?.(o, owner) ?? store,
    set(o, value) {
      store.set?.(o, value);
      rule.set?.(o, value);
    },
    delete: (o) => store.delete?.(o),
    setName: (owner, name) => rule.setName?.(owner, name),
  });
}
