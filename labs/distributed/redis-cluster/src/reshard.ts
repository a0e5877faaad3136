import { inspect } from 'node:util';
import { endsOf } from './ends.ts';
import { InvalidArgumentError, ReshardError } from './errors.ts';
import { assertCallOptions } from './request.ts';
import type { ClusterRouter } from './router.ts';

export interface ReshardOptions {
  /** Keys that one MIGRATE moves; both nodes stand still meanwhile, for `silentMs` at most. Default 100. */
  readonly batch?: number;
  /** Checked between two batches. The slot then stays half moved, and served: `reshard` again finishes it. */
  readonly signal?: AbortSignal;
}

const MIGRATE_MS = 5_000;

/**
 * Moves a slot and its keys to another primary while it is used. Redis Cluster specification, "Live reconfiguration".
 *
 * Can be called again after any failure, and goes on from there. One at a time for a slot: CLUSTER SETSLOT has no lock, and
 * two moves of one slot to different nodes leave keys where nobody looks for them.
 * @param to `host:port` of a primary, as the cluster says it
 * @returns where the slot was, and how many keys were moved now
 * @throws InvalidArgumentError, ReshardError, or the signal's reason
 */
export async function reshard(
  router: ClusterRouter,
  slot: number,
  to: string,
  options: ReshardOptions = {},
): Promise<{ from: string; keys: number }> {
  assertCallOptions(options);
  const { batch = 100, signal } = options;
  if (!Number.isInteger(batch) || batch < 1) {
    throw new InvalidArgumentError(`batch must be a whole number from 1: it is ${inspect(batch)}.`);
  }
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      throw new ReshardError(slot, name, error);
    }
  };
  const { from, source, target, sourceId, targetId, primaries } = await endsOf(router, slot, to, step);
  let keys = 0;
  if (from === to) return { from, keys };
  // The target first: from the moment in which the source sends anybody there, it must let them in.
  await step('IMPORTING', () => target.cluster('SETSLOT', slot, 'IMPORTING', sourceId));
  await step('MIGRATING', () => source.cluster('SETSLOT', slot, 'MIGRATING', targetId));
  const port = to.slice(to.lastIndexOf(':') + 1);
  const host = to.slice(0, to.lastIndexOf(':'));
  for (;;) {
    const some = await step('GETKEYSINSLOT', () => source.cluster('GETKEYSINSLOT', slot, batch));
    if (some.length === 0) break;
    await step('MIGRATE', () =>
      // REPLACE: a MIGRATE whose end was not heard leaves the key on both nodes, and the source has served it since.
      source.call('MIGRATE', host, port, '', 0, MIGRATE_MS, 'REPLACE', ...router.login, 'KEYS', ...some.map(String)),
    );
    keys += some.length;
  }
  // The target first again: a slot with two claimants has an owner, a slot that nobody claims is lost.
  for (const address of [to, from, ...primaries]) {
    await step('NODE', async () => (await router.node(address)).cluster('SETSLOT', slot, 'NODE', targetId));
  }
  await step('SLOTS', () => router.refresh());
  return { from, keys };
}
