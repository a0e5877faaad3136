// Flaw: "no value yet" is told by the value, so what is computed as null or undefined is computed at every read.
// Seen in: https://github.com/discordjs/discord.js/pull/11564
// Caught by: a lazy attribute is computed once for each instance, whatever the value
import { type Attribute, descriptor, lazy as reference, vars } from '../src/index.ts';

export * from '../src/index.ts';

export function lazy<T, O extends object = object>(compute: (o: O) => T): Attribute<T, O> {
  const inner = reference(compute);
  let key = '';
  return descriptor<T, O>({
    get(o, owner) {
      const value = inner.get?.(o, owner) ?? inner;
      if (o && value === inner) delete vars(o)[key];
      return o ? (value === inner ? compute(o) : value) : inner;
    },
    setName(owner, name) {
      key = name;
      inner.setName?.(owner, name);
    },
  });
}
