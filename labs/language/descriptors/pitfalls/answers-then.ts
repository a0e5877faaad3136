// Flaw: the get trap hands every name to the hook, `then` too: the object is taken for a promise, and await never ends.
// Seen in: https://github.com/fgnass/typed-rpc/pull/33
// Caught by: a hook that answers anything does not make a promise of the object
import { read } from '../src/lookup.ts';
import { definer, InstanceTraps } from '../src/py-class.ts';

export * from '../src/index.ts';

class Answering extends InstanceTraps {
  override get(target: object, key: PropertyKey, receiver: unknown): unknown {
    if (typeof key === 'symbol') return super.get(target, key, receiver);
    return read(this.record, key, () => undefined);
  }
}

export const pyClass = definer(Answering);
