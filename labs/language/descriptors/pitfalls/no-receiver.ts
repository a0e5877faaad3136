// Flaw: the set trap ignores its receiver, so a write to an object that inherits from an instance changes the instance.
// Seen in: https://github.com/sindresorhus/on-change/issues/74
// Caught by: an object that inherits from an instance writes to itself, and a Proxy around it does not
import { definer, InstanceTraps } from '../src/py-class.ts';

export * from '../src/index.ts';

class Deaf extends InstanceTraps {
  override set(target: object, key: PropertyKey, value: unknown): boolean {
    return super.set(target, key, value, this.record.self);
  }
}

export const pyClass = definer(Deaf);
