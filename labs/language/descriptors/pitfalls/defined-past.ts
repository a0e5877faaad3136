// Flaw: only `set` is trapped, but a class field is defined, not set: it lands beside the descriptor, unasked.
// Seen in: https://github.com/tc39/proposal-class-fields/issues/151
// Caught by: a class field of a subclass passes the descriptor
import { definer, InstanceTraps } from '../src/py-class.ts';

export * from '../src/index.ts';

class SetOnly extends InstanceTraps {
  override defineProperty(target: object, key: PropertyKey, property: PropertyDescriptor): boolean {
    return Reflect.defineProperty(target, key, property);
  }
}

export const pyClass = definer(SetOnly);
