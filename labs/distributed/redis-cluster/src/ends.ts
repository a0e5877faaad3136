import { inspect } from 'node:util';
import type { Redis } from 'ioredis';
import { InvalidArgumentError } from './errors.ts';
import { SLOTS } from './key-slot.ts';
import type { ClusterRouter } from './router.ts';

/** The two ends of a slot's move. */
export interface Ends {
  /** `host:port` of the node that has the slot now. */
  readonly from: string;
  readonly source: Redis;
  readonly target: Redis;
  readonly sourceId: string;
  readonly targetId: string;
  readonly primaries: readonly string[];
}

/**
 * Asks the cluster who has the slot, and whether it is on its way already.
 * @throws InvalidArgumentError when the slot can't go there; what `step` throws when a node doesn't answer
 */
export async function endsOf(
  router: Pick<ClusterRouter, 'refresh' | 'owners' | 'node'>,
  slot: number,
  to: string,
  step: <T>(name: string, work: () => Promise<T>) => Promise<T>,
): Promise<Ends> {
  await step('SLOTS', () => router.refresh());
  const owners = router.owners();
  const from = Number.isInteger(slot) ? owners[slot] : undefined;
  const primaries = [...new Set(owners)].filter((address) => address !== undefined);
  if (from === undefined) {
    throw new InvalidArgumentError(
      `Slot ${inspect(slot)} has no owner: slots are whole numbers from 0 to ${SLOTS - 1}.`,
    );
  }
  if (!primaries.includes(to)) {
    throw new InvalidArgumentError(`${to} is no primary that has slots: ${primaries.join(', ')} are.`);
  }
  const [source, target] = [
    await step('connect', () => router.node(from)),
    await step('connect', () => router.node(to)),
  ];
  const idOf = (node: Redis) => step('MYID', async () => String(await node.cluster('MYID')));
  const [sourceId, targetId] = [await idOf(source), await idOf(target)];
  const nodes = await step('NODES', async () => String(await source.cluster('NODES')));
  const bound = new RegExp(`\\[${slot}->-(\\w+)\\]`).exec(nodes)?.[1] ?? targetId;
  if (bound !== targetId) {
    throw new InvalidArgumentError(
      `Slot ${slot} is half moved to ${bound}, and ${to} is ${targetId}: finish that first.`,
    );
  }
  return { from, source, target, sourceId, targetId, primaries };
}
