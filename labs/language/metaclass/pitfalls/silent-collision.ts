// Flaw: `x` takes the name attr_x from the member that had it, and who asks for attr_x gets the wrong one.
// Seen in: the PrefixMeta of the roadmap; generated members over those of the class, in
//   https://github.com/ericvsmith/dataclasses/issues/11
// Caught by: prefixMeta refuses a name that is taken, too
import { derive, type Meta, typeMeta } from '../src/index.ts';

export * from '../src/index.ts';

export function prefixMeta(prefix: string): Meta {
  return derive(typeMeta, (parent) => ({
    create(name, bases, ns, kw) {
      const renamed = [...ns].map(([key, value]): [string | symbol, unknown] => {
        const spared = typeof key === 'symbol' || key.startsWith('__');
        return [spared ? key : prefix + key, value];
      });
      return parent.create(name, bases, new Map(renamed), kw);
    },
  }));
}
