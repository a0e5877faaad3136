import { setTimeout as delay } from 'node:timers/promises';
import { startZooKeeper } from '@shared/services';
import { describeWith, History, outcome, overlaps, random, until } from '@shared/testkit';
import { expect, test } from 'vitest';
import { ConnectionLossError, FencedStore, Locks, ZooKeeperLockError } from '#lab';
import { ask } from './four-letters.ts';
import { SHORT, stage } from './support.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
/** An election takes half a second, and a multiple of it beside other work. */
const SLOW = 30_000;

await describeWith('an ensemble of three', { zk: () => startZooKeeper({ nodes: 3 }) }, ({ zk }) => {
  const { session, fresh, behindNetwork } = stage(zk);

  test('a server that says nothing is left for another one, and the session goes on', { timeout: SLOW }, async () => {
    const path = fresh();
    const [one, two] = await Promise.all(zk.nodes.slice(0, 2).map((node) => node.proxy()));
    if (!one || !two) throw new Error('two networks');
    await using _one = one;
    await using _two = two;
    const connections = async () => Number(/^Connections: (\d+)$/m.exec(await ask(zk.nodes[0], 'srvr'))?.[1]);
    const before = await connections();
    const client = await session(1_500, `${new URL(one.url).host},${new URL(two.url).host}`);
    const lock = await new Locks(client).lock(path);
    ((await connections()) > before ? one : two).partition();
    await until(() => lock.signal.aborted, { timeoutMs: 10_000, what: 'the holder to be told of the silence' });
    expect((await outcome(client.connected(), 10_000)).error).toBeUndefined();
    expect(await lock.release(), 'the release, through the other server').toBe('released');
  });

  test('among many clients, some cut off while they hold the lock, fences grow and no late write is accepted, even if the leader dies', {
    timeout: SLOW,
  }, async ({ signal: over }) => {
    const path = fresh();
    const store = new FencedStore(await session());
    const history = new History<string>();
    const spans: { who: string; from: number; to: number }[] = [];
    const grants: bigint[] = [];
    const accepted: bigint[] = [];
    let stale = 0;
    /** Leaders whose numbers the fences bear. */
    const epochs = () => new Set(grants.map((fence) => fence >> 32n)).size;
    const enough = () => over.aborted || (epochs() > 1 && grants.length >= 10 && stale >= 2);
    const write = async (fence: bigint, who: string): Promise<'ok' | 'stale'> => {
      for (;;) {
        const { value, error } = await outcome(store.write(`${path}-value`, fence, who), SLOW);
        if (value) return value;
        if (!(error instanceof ConnectionLossError)) throw error;
        await store['session'].connected();
      }
    };
    const client = async (number: number) => {
      const who = `client ${number}`;
      const dice = random(SEED + number);
      const node = zk.nodes[number % 3];
      for (let alive = true; !enough(); alive = true) {
        const { network, session: own } = await behindNetwork(SHORT, node);
        const locks = new Locks(own);
        while (alive && !enough()) {
          const { value: lock, error } = await outcome(locks.lock(path, { timeoutMs: 3_000 }), SLOW);
          if (error && !(error instanceof ZooKeeperLockError)) throw error;
          if (!lock) break;
          const from = performance.now();
          grants.push(lock.fence);
          history.record(`${who} has the lock, fence ${lock.fence}`);
          const told = new Promise<number>((resolve) => {
            lock.signal.addEventListener('abort', () => resolve(performance.now()));
          });
          // Those with an odd number are cut off now and then.
          alive = number % 2 === 0 || dice.next() < 0.4;
          if (!alive) network.partition();
          const worked = delay(dice.int(0, 8)).then(() => performance.now());
          spans.push({ who, from, to: await (alive ? Promise.race([worked, told]) : told) });
          // They don't heed the signal, like a process that stood still: they write when another one has written.
          if (!alive) await until(() => (accepted.at(-1) ?? 0n) > lock.fence || enough(), { timeoutMs: SLOW });
          const newest = accepted.at(-1) ?? 0n;
          const written = await write(lock.fence, who);
          history.record(`${who} writes under ${lock.fence}: ${written}`);
          if (written === 'stale') stale++;
          else expect(lock.fence >= newest, `a late write was accepted\n${history}`).toBe(true);
          if (written === 'ok') accepted.push(lock.fence);
          if (alive) await lock.release();
        }
        await own.close();
      }
    };
    const clients = Promise.all(Array.from({ length: 6 }, (_, number) => client(number)));
    await Promise.race([clients, until(() => grants.length >= 3, { timeoutMs: SLOW })]);
    const leader = await zk.leader();
    history.record(`the leader is killed`);
    await leader?.kill();
    await Promise.all([clients, leader?.restart()]);
    expect(overlaps(spans).map(([a, b]) => `${a.who} and ${b.who} at once\n${history}`)).toEqual([]);
    const sorted = [...new Set(grants)].sort((a, b) => (a < b ? -1 : 1));
    expect(grants, `the fences, in the order of the grants\n${history}`).toEqual(sorted);
    expect(epochs(), 'leaders').toBeGreaterThan(1);
  });
});
