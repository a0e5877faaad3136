// Flaw: the fence is the number in the node's name, which begins anew with the lock's path.
// Seen in: https://github.com/samuel/go-zookeeper/issues/207
// Caught by: fences grow from holder to holder, even when the path of the lock is made anew
import { type Contender, type Lock, Locks as Reference } from '../src/index.ts';
import { HeldLock } from '../src/lock.ts';

export * from '../src/index.ts';

export class Locks extends Reference {
  protected override async grant(path: string, own: Contender, guid: string): Promise<Lock | undefined> {
    const lock = await super.grant(path, own, guid);
    return lock && new HeldLock(this.session, lock.node, BigInt(own.sequence), () => lock.release().then(() => true));
  }
}
