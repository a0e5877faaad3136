// Flaw: whatever has `get` and `set` is taken for a descriptor, and so a Map in a class is asked for instances.
// Seen in: https://github.com/kriszyp/alkali/issues/5 (proposed there: "if the target value has a get and set, we would use them")
// Caught by: a Map is a value, although it has get, set and delete
import { type DefineClass, descriptor, pyClass as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const pyClass: DefineClass = (name, bases, namespace, options) => {
  for (const value of Object.values(namespace)) {
    if (value instanceof Object && 'get' in value && 'set' in value) Object.assign(value, descriptor({}));
  }
  return reference(name, bases, namespace, options);
};
