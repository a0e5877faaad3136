import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { startZooKeeper } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Locks as CreateAgain } from './pitfalls/create-again.ts';
import { Locks as Herd } from './pitfalls/herd.ts';
import { Locks as PersistentNode } from './pitfalls/persistent-node.ts';
import { FencedStore, type Lock, Locks, LockTimeoutError, Session } from './src/index.ts';
import { ask } from './test/four-letters.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
/** Milliseconds of silence after which ZooKeeper gives a client up. Real ones take 10 000 and more. */
const SESSION = 800;

const options = {
  title: 'ZooKeeper lock 临时节点锁',
  subtitle: 'The supermarket lockers: a board that forgets who is gone, and a queue in front of each door',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const zk = await story.use(startZooKeeper());
  const [server] = zk.nodes;
  await using bin = new AsyncDisposableStack();
  const open = async (sessionTimeoutMs = 20_000, to = zk.connectString) =>
    bin.use(await Session.connect(to, { sessionTimeoutMs }));
  /** A session through a network of its own. */
  const behindNetwork = async (sessionTimeoutMs?: number) => {
    const network = bin.use(await server.proxy());
    return { network, session: await open(sessionTimeoutMs, new URL(network.url).host) };
  };
  let lockers = 0;
  const fresh = () => `${zk.namespace}/locker-${++lockers}`;
  const admin = await open();
  const standing = (path: string, count: number) =>
    until(async () => (await admin.children(path)).length === count, { what: `${count} in the queue` });

  await story.scene('A note on the door that nobody takes off', async () => {
    story.say(
      `Who has a locker is a node in ZooKeeper, which everybody sees. Customer A takes one, and his phone dies. ` +
        `ZooKeeper hears nothing of him any more, and gives him up after ${SESSION} ms.`,
    );
    const die = async (Lock: typeof Locks) => {
      const path = fresh();
      const a = await behindNetwork(SESSION);
      await new Lock(a.session).lock(path);
      a.network.partition();
      const start = performance.now();
      const b = await new Locks(await open()).lock(path, { timeoutMs: 1_600 }).catch((error: unknown) => error);
      return { refused: b instanceof LockTimeoutError, after: performance.now() - start };
    };
    const kept = await die(PersistentNode);
    story.verdict(
      'A persistent node outlives its owner: the locker is taken for ever',
      `B gave up after ${ms(kept.after)}`,
      kept.refused,
    );
    const gone = await die(Locks);
    story.verdict(
      'An ephemeral node goes with the session of its owner',
      `B had the locker ${ms(gone.after)} after A died`,
      !gone.refused,
    );
  });

  await story.scene('Thirty stare at one door', async () => {
    const WAITING = 30;
    story.say(
      `${WAITING} customers want one locker. If all of them watch the board, each release wakes every one; if each of ` +
        'them watches the one before him, it wakes one. Counted by ZooKeeper itself, until the last one is served:',
    );
    const serve = async (Lock: typeof Locks) => {
      const path = fresh();
      const first = await new Lock(admin).lock(path);
      const waiting: Promise<Lock>[] = [];
      // A server takes sixty connections from one address, and no more.
      await using phones = new AsyncDisposableStack();
      for (let customer = 0; customer < WAITING; customer++) {
        waiting.push(new Lock(phones.use(await Session.connect(zk.connectString))).lock(path));
        await standing(path, customer + 2);
      }
      await until(async () => (await metric('zk_watch_count')) >= WAITING);
      const before = await wakeUps();
      await first.release();
      for (const next of waiting) await (await next).release();
      return (await wakeUps()) - before;
    };
    const herd = await serve(Herd);
    const queue = await serve(Locks);
    story.table({
      columns: ['who is watched', { label: 'wake-ups', align: 'right' }, { label: 'a release', align: 'right' }],
      rows: [
        ['the whole queue', String(herd), (herd / WAITING).toFixed(1)],
        ['the one before', String(queue), (queue / WAITING).toFixed(1)],
      ],
    });
    story.verdict(
      'With the herd, wake-ups grow with the square of those who wait',
      `${herd} for ${WAITING} customers`,
      herd > (WAITING * WAITING) / 3,
    );
    story.verdict('In a queue each release wakes one', `${queue}`, queue === WAITING);
  });

  await story.scene('The answer that never came', async () => {
    story.say(
      'A asks for a place in the queue. ZooKeeper makes it, and the connection breaks before A hears of it. ' +
        'The session lives on, so the node stays.',
    );
    const ask = async (Lock: typeof Locks) => {
      const path = fresh();
      await admin.ensure(path);
      const a = await behindNetwork();
      a.network.partition('down');
      const asking = new Lock(a.session).lock(path);
      await standing(path, 1);
      a.network.reset();
      a.network.heal();
      const lock = await asking;
      await lock.release();
      const left = (await admin.children(path)).length;
      const b = await new Locks(admin).lock(path, { timeoutMs: 300 }).catch(() => undefined);
      await b?.release();
      return { left, free: b !== undefined };
    };
    const again = await ask(CreateAgain);
    story.verdict(
      'To ask again is to stand in the queue twice: A left, and the locker is taken by his ghost',
      `nodes left: ${again.left}; B got ${again.free ? 'it' : 'nothing'}`,
      !again.free,
    );
    const found = await ask(Locks);
    story.verdict(
      'A random name finds the place that was made',
      `nodes left: ${found.left}; B got ${found.free ? 'it' : 'nothing'}`,
      found.free && found.left === 0,
    );
  });

  await story.scene('Nothing comes through', async () => {
    const path = fresh();
    const a = await behindNetwork(SESSION);
    const held = await new Locks(a.session).lock(path);
    const b = new Locks(await open()).lock(path);
    await standing(path, 2);
    await delay(150);
    const start = performance.now() - 150;
    const told = new Promise<number>((resolve) => {
      held.signal.addEventListener('abort', () => resolve(performance.now() - start));
    });
    a.network.partition();
    const next = await b;
    const taken = performance.now() - start;
    const stopped = await told;
    await delay(100);
    await next.release();
    const end = performance.now() - start;
    story.timeline({
      title: `A network that falls silent at 150 ms, and a session of ${SESSION} ms`,
      unit: 'ms',
      picture: true,
      lanes: [
        { label: 'A holds it', spans: [{ from: 0, to: stopped, tone: 'good' }] },
        { label: 'nobody may', spans: [{ from: stopped, to: taken, label: 'A was told', tone: 'bad' }] },
        { label: 'B holds it', spans: [{ from: taken, to: end, tone: 'good' }] },
      ],
    });
    story.verdict(
      'A is told to stop before ZooKeeper can give the locker to B',
      `told at ${ms(stopped)}, B had it at ${ms(taken)}`,
      stopped < taken,
    );
  });

  await story.scene('What no lock can do: a holder that stands still', async () => {
    const path = fresh();
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const a = new Worker(new URL('./test/frozen-holder.ts', import.meta.url), {
      workerData: { connectString: zk.connectString, path, sessionTimeoutMs: SESSION, gate },
    });
    const [{ fence }] = await once(a, 'message');
    const frozen = performance.now();
    story.say(`A has the locker under number ${fence}, and its thread stops: a long garbage collection.`);
    const b = await new Locks(admin).lock(path);
    const store = new FencedStore(admin);
    await store.write(`${path}-value`, b.fence, 'B');
    await admin.create(`${path}-open`, 'B', 'PERSISTENT');
    const pause = performance.now() - frozen;
    const answer = once(a, 'message');
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    const [{ outcome }] = await answer;
    story.say(`After ${ms(pause)} B is inside, number ${b.fence}, and has written. Now A goes on and writes too.`);
    const [unfenced, fenced] = [await admin.get(`${path}-open`), await store.read(`${path}-value`)];
    story.verdict(
      'A store that takes any write has lost what B wrote',
      `it says "${unfenced?.data}"`,
      unfenced?.data === 'late',
    );
    story.verdict(
      `A store that has seen ${b.fence} refuses ${fence}`,
      `A's write: ${outcome}; it says "${fenced?.value}"`,
      outcome === 'stale' && fenced?.value === 'B',
    );
  });

  await story.scene('The board is no film', async () => {
    story.say('An administrator watches the board: "in real time", they say. Fifty customers come and go at once.');
    const path = fresh();
    await admin.ensure(path);
    const watcher = await open();
    let [notices, last] = [0, -1];
    const look = async (): Promise<void> => {
      last = (
        await watcher.children(path, () => {
          notices++;
          void look();
        })
      ).length;
    };
    await look();
    const locks = new Locks(admin);
    await Promise.all(Array.from({ length: 50 }, async () => (await locks.lock(path, { mode: 'read' })).release()));
    await until(() => last === 0, { what: 'the administrator to see an empty queue' });
    story.verdict(
      'A watch says that something changed, once, and not what: changes in between are never seen',
      `100 changes, ${notices} notices`,
      notices > 0 && notices < 100,
    );
    story.verdict('Who looks again after each notice ends with the truth', `${last} in the queue`, last === 0);
  });

  async function metric(name: string | RegExp): Promise<number> {
    const lines = (await ask(server, 'mntr')).split('\n').filter((line) => line.split('\t')[0]?.match(name));
    return lines.reduce((sum, line) => sum + Number(line.split('\t')[1]), 0);
  }
  function wakeUps(): Promise<number> {
    return metric(/^zk_sum_node_(created|deleted|changed|children)_watch_count$/);
  }
});
