// Flaw: the slot gets its new owner before its keys have moved; the old one deletes what is not its any more.
// Seen in: https://github.com/redis/redis/issues/7153
// Caught by: a slot moves with its keys while it is used: no error, no increment lost or made twice
import type { ClusterRouter, ReshardOptions } from '../src/index.ts';

export * from '../src/index.ts';

export async function reshard(router: ClusterRouter, slot: number, to: string, _options?: ReshardOptions) {
  await router.refresh();
  const from = router.owners()[slot] ?? '';
  const target = await router.node(to);
  const id = String(await target.cluster('MYID'));
  await target.cluster('SETSLOT', slot, 'NODE', id);
  await router.refresh();
  return { from, keys: 0 };
}
