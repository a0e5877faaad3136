import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { InvalidArgumentError, ReshardError } from './errors.ts';
import { SLOTS } from './key-slot.ts';
import type { ClusterRouter } from './router.ts';

export interface ReshardOptions {
  /** Keys that one MIGRATE moves; both nodes stand still meanwhile. Default 100. */
  readonly batch?: number;
  /** Milliseconds for one MIGRATE. Default 5,000. */
  readonly timeoutMs?: number;
  /** Checked between two batches. The slot then stays half moved, and served: `reshard` again finishes it. */
  readonly signal?: AbortSignal;
}

/**
 * Moves a slot and its keys to another primary while it is used. Redis Cluster specification, "Live reconfiguration".
 *
 * Can be called again after any failure, and goes on from there.
 * @param to `host:port` of a primary, as the cluster says it
 * @returns where the slot was, and how many keys were moved now
 * @throws InvalidArgumentError, ReshardError, UnreachableError, or the signal's reason
 */
export async function reshard(
  router: ClusterRouter,
  slot: number,
  to: string,
  { batch = 100, timeoutMs = 5_000, signal }: ReshardOptions = {},
): Promise<{ from: string; keys: number }> {
  if (!Number.isInteger(slot) || slot < 0 || slot >= SLOTS) {
    throw new InvalidArgumentError(`A slot is a whole number from 0 to ${SLOTS - 1}: it is ${inspect(slot)}.`);
  }
  if (!Number.isInteger(batch) || batch < 1) {
    throw new InvalidArgumentError(`batch must be a whole number from 1: it is ${inspect(batch)}.`);
  }
  await router.refresh();
  const owners = router.owners();
  const from = owners[slot];
  if (from === undefined || !owners.includes(to)) {
    throw new InvalidArgumentError(
      from === undefined
        ? `Slot ${slot} has no owner.`
        : `${to} is no primary that has slots: ${[...new Set(owners)].join(', ')} are.`,
    );
  }
  let keys = 0;
  const step = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      throw new ReshardError(slot, name, error);
    }
  };
  const [source, target] = [await router.node(from), await router.node(to)];
  const idOf = (node: Redis) => step('MYID', async () => String(await node.cluster('MYID')));
  const [sourceId, targetId] = [await idOf(source), await idOf(target)];
  const nodes = await step('NODES', async () => String(await source.cluster('NODES')));
  const bound = new RegExp(`\\[${slot}->-(\\w+)\\]`).exec(nodes)?.[1] ?? targetId;
  if (bound !== targetId) {
    throw new InvalidArgumentError(
      `Slot ${slot} is half moved to ${bound}, and ${to} is ${targetId}: finish that first.`,
    );
  }
  if (from === to) return { from, keys };
  // The target first: from the moment in which the source sends anybody there, it must let them in.
  await step('IMPORTING', () => target.cluster('SETSLOT', slot, 'IMPORTING', sourceId));
  await step('MIGRATING', () => source.cluster('SETSLOT', slot, 'MIGRATING', targetId));
  const port = to.slice(to.lastIndexOf(':') + 1);
  const host = to.slice(0, to.lastIndexOf(':'));
  for (;;) {
    const some = await step('GETKEYSINSLOT', () => source.cluster('GETKEYSINSLOT', slot, batch));
    if (some.length === 0) break;
    await step('MIGRATE', () => source.call('MIGRATE', host, port, '', 0, timeoutMs, 'KEYS', ...some.map(String)));
    keys += some.length;
  }
  // The target first again: a slot with two claimants has an owner, a slot that nobody claims is lost.
  for (const address of [to, from, ...new Set(owners)]) {
    if (address === undefined) continue;
    await step('NODE', async () => (await router.node(address)).cluster('SETSLOT', slot, 'NODE', targetId));
  }
  await router.refresh();
  return { from, keys };
}
