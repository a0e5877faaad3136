// Flaw: who leaves only stops waiting; his place in the line is still there, and the permit it gets comes back never.
// Seen in: https://github.com/Effect-TS/effect/pull/6910
// Caught by: no permit goes to a waiter who has left
import { Semaphore as Reference, shield, type WaitOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class Semaphore extends Reference {
  override async acquire({ signal }: WaitOptions = {}): Promise<Disposable> {
    const permit = super.acquire();
    return signal ? shield(permit, { signal, late: () => {} }) : permit;
  }
}
