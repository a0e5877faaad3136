import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { overlaps, type Span, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Redlock as BlindDel } from './pitfalls/no-token.ts';
import { connectNodes, Fencing, NotAcquiredError, Redlock } from './src/index.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
/** Visits that began while somebody else's lease on the same locker was still good. */
const clashes = (spans: readonly Span[]) => new Set(overlaps(spans).map(([, later]) => later)).size;
const QUEUE = { maxMs: 10_000, delayMs: 4, jitterMs: 12 };
/** A scene goes on for `ms`, and on a slow machine until it has seen what it is about, or for 15 s. */
const atLeast = (ms: number, seen: () => boolean) =>
  Promise.all([delay(ms), until(seen, { timeoutMs: 15_000 }).catch(() => {})]);

const options = {
  title: 'Redlock 红锁',
  subtitle: 'The supermarket lockers: one key, five cupboards, and who may open the door',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const redis = await story.use(startRedis({ nodes: 5 }));
  const [first, ...others] = redis.nodes;
  const urls = redis.nodes.map((node) => node.url);
  const started = startPostgres();
  started.catch(() => {});
  await using bin = new AsyncDisposableStack();
  const clients = (to: readonly string[]) =>
    bin.adopt(connectNodes(to), (nodes) => nodes.forEach((node) => void node.disconnect()));
  /** A scene that kills servers. */
  const brokenOnPurpose = async (title: string, body: () => Promise<void>) => {
    if (redis.faults) await story.scene(title, body);
    else story.skip(title, 'a server that is not ours is not ours to kill');
  };
  let lockers = 0;
  const fresh = () => `${redis.namespace}locker:${++lockers}`;

  /** Customers who queue for one locker, until `over`; a slow one overstays the TTL. Each section ends when its lease does. */
  const rush = (customers: Redlock[], locker: string, ttlMs: number, stay: (n: number) => number) => {
    const spans: (Span & { asked: number })[] = [];
    const refusals: { asked: number; at: number }[] = [];
    const start = performance.now();
    const now = () => performance.now() - start;
    let open = true;
    const done = Promise.all(
      customers.map(async (redlock, index) => {
        for (let visit = 0; open; visit++) {
          const asked = now();
          try {
            await using lease = await redlock.acquire([locker], ttlMs);
            const span = { who: String.fromCharCode(65 + index), asked, from: now(), to: lease.validUntil - start };
            spans.push(span);
            await delay(stay(index + visit));
            span.to = Math.min(now(), span.to);
          } catch (error) {
            if (!(error instanceof NotAcquiredError)) throw error;
            refusals.push({ asked, at: now() });
          }
        }
      }),
    );
    const over = async () => {
      open = false;
      await done;
    };
    done.catch(() => {});
    return { spans, refusals, now, over };
  };

  await story.scene('One cupboard, one key, and a blind DEL', async () => {
    story.say(
      'A lock on one Redis: `SET locker 1 NX PX 40`, and `DEL locker` when done. Every sixth customer is slow and overstays ' +
        'the 40 ms. His key has run out, the next one is inside, and then he hands "his" key back.',
    );
    const stay = (n: number) => (n % 6 === 0 ? 60 : 8);
    const visit = async (Lock: typeof Redlock, enough: (spans: readonly Span[]) => boolean) => {
      const options = { nodeTimeoutMs: 40, retry: QUEUE };
      const customers = Array.from({ length: 8 }, () => new Lock(clients([first.url]), options));
      const { spans, over } = rush(customers, fresh(), 40, stay);
      await atLeast(400, () => enough(spans));
      await over();
      return { visits: spans.length, clashes: clashes(spans) };
    };
    const blind = await visit(BlindDel, (spans) => clashes(spans) > 0);
    story.verdict(
      'A DEL that does not look whose key it is lets two customers in at once',
      `${blind.clashes} of ${blind.visits} visits began with somebody inside`,
      blind.clashes > 0,
    );
    story.code('src/nodes.ts', { from: "local token = string.match(redis.call('GET', key) or ''", to: 'end' });
    const checked = await visit(Redlock, (spans) => spans.length >= blind.visits);
    story.verdict(
      'A key with a random number on it, compared and deleted in one step, ends that',
      `${checked.clashes} of ${checked.visits} visits`,
      checked.clashes === 0 && checked.visits >= blind.visits,
    );
  });

  await brokenOnPurpose('The cupboard loses power, and the copy does not know', async () => {
    story.say(
      'A replica stands by. Replication is asynchronous: the key that A has just been given is still on its way.',
    );
    const [master, replica] = [first, others[0] ?? first];
    const admin = new Redis(replica.url);
    const locker = fresh();
    await using link = await master.proxy();
    try {
      const source = new Redis(master.url);
      await source.config('SET', 'repl-diskless-sync-delay', '0');
      await admin.replicaof('127.0.0.1', link.port);
      await until(async () => (await admin.info('replication')).includes('master_link_status:up'));
      link.partition();
      const a = await new Redlock(clients([master.url])).acquire([locker], 5_000);
      await master.kill();
      source.disconnect();
      await admin.replicaof('NO', 'ONE');
      const b = await new Redlock(clients([replica.url])).acquire([locker], 5_000);
      const both = Math.min(a.remaining(), b.remaining());
      story.verdict('After the failover A and B hold the same locker', `both for the next ${ms(both)}`, both > 0);
    } finally {
      await admin.flushall();
      admin.disconnect();
      await master.restart();
    }
  });

  await brokenOnPurpose('Five cupboards that know nothing of each other', async () => {
    story.say('Redlock: the locker is yours when 3 of 5 cupboards say so, and for what is left of the TTL.');
    story.code('src/redlock.ts', { from: 'const token = this.newToken()', to: 'return this.grant' });
    const TTL = 300;
    const patience = { nodeTimeoutMs: TTL / 2, retry: { ...QUEUE, maxMs: 60 } };
    const customers = Array.from({ length: 6 }, () => new Redlock(clients(urls), patience));
    const { spans, refusals, now, over } = rush(customers, fresh(), TTL, () => 25);
    const power: { node: number; from: number; to: number }[] = [];
    const cut = async (node: number) => {
      await redis.nodes[node]?.kill();
      const outage = { node, from: now(), to: Number.NaN };
      power.push(outage);
      return async () => {
        outage.to = now();
        await redis.nodes[node]?.restart();
      };
    };
    /** Visits that were asked for since `from`. */
    const since = (from: number) => spans.filter(({ asked }) => asked > from);
    await atLeast(400, () => since(0).length > 2);
    const dead = [await cut(1), await cut(3)];
    const two = now();
    await atLeast(450, () => since(two).length > 2);
    const [alive, twoMs] = [since(two).length, now() - two];
    const mend = await cut(4);
    const three = now();
    const refused = () => refusals.filter(({ asked }) => asked > three);
    await atLeast(400, () => refused().length >= customers.length);
    const [shut, refusedBy] = [since(three).length, refused()];
    await mend();
    const back = now();
    await atLeast(700, () => since(back).length > 2);
    const [again, backMs] = [since(back).length, now() - back];
    await Promise.all(dead.map((restart) => restart()));
    await over();
    story.timeline({
      title: 'Who held the locker, and which cupboards had power',
      unit: 'ms',
      picture: true,
      lanes: [
        ...customers.map((_, index) => {
          const who = String.fromCharCode(65 + index);
          return {
            label: `customer ${who}`,
            spans: spans
              .filter((span) => span.who === who)
              .map(({ from, to }) => ({ from, to, tone: 'good' as const })),
          };
        }),
        ...urls.map((_, node) => ({
          label: `cupboard ${node + 1}`,
          spans: power
            .filter((outage) => outage.node === node)
            .map(({ from, to }) => ({ from, to, label: 'no power', tone: 'bad' as const })),
        })),
      ],
    });
    story.verdict('With 2 of 5 dead the lock goes on', `${alive} visits in ${ms(twoMs)}`, alive > 0);
    const slowest = Math.max(...refusedBy.map(({ asked, at }) => at - asked));
    story.verdict(
      'With 3 of 5 dead nobody gets in: refused, in bounded time',
      `${shut} visits, ${refusedBy.length} refusals, the slowest after ${ms(slowest)}`,
      shut === 0 && refusedBy.length > 0,
    );
    story.verdict(
      'When one of the three is back, so is the lock',
      `${again} visits in the next ${ms(backMs)}`,
      again > 0,
    );
    const double = clashes(spans);
    story.verdict('Never two at once', `${double} of ${spans.length} visits`, double === 0 && spans.length > 0);
  });

  const pg = await story.use(started);
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  const fencing = new Fencing(pool, 'locker');
  await fencing.migrate();
  await pool.query('CREATE TABLE contents (locker text PRIMARY KEY, holder text)');
  const contents = async (locker: string) =>
    (await pool.query<{ holder: string }>('SELECT holder FROM contents WHERE locker = $1', [locker])).rows[0]?.holder;
  const put = 'UPDATE contents SET holder = $2 WHERE locker = $1';
  const place = async () => {
    const locker = fresh();
    await pool.query("INSERT INTO contents VALUES ($1, 'empty'), ($2, 'empty')", [locker, `${locker} unfenced`]);
    return locker;
  };

  await story.scene('What no lock can do: a holder that stands still', async () => {
    const locker = await place();
    const gate = new Int32Array(new SharedArrayBuffer(4));
    const a = new Worker(new URL('./test/stalled-holder.ts', import.meta.url), {
      workerData: { urls, databaseUrl: pg.url, locker, ttlMs: 400, gate },
    });
    const [{ holding }] = await once(a, 'message');
    const stalled = performance.now();
    story.say(`A holds the locker for 400 ms, has token ${holding}, and its thread stops: a long garbage collection.`);
    await using b = await new Redlock(clients(urls), { retry: QUEUE }).acquire([locker], 5_000);
    const token = await fencing.take(b);
    await pool.query(put, [`${locker} unfenced`, 'B']);
    await fencing.write(locker, token, (tx) => tx.query(put, [locker, 'B']));
    const pause = performance.now() - stalled;
    const answer = once(a, 'message');
    Atomics.store(gate, 0, 1);
    Atomics.notify(gate, 0);
    const [{ outcome }] = await answer;
    story.say(`After ${ms(pause)} B is inside, with token ${token}, and has written. Now A goes on and writes too.`);
    const [open, fenced] = [await contents(`${locker} unfenced`), await contents(locker)];
    story.verdict('A store that takes any write has lost what B wrote', `it says "${open}"`, open === 'A');
    story.verdict(
      `A store that has seen token ${token} refuses token ${holding}`,
      `A's write: ${outcome}; it says "${fenced}"`,
      outcome === 'stale' && fenced === 'B',
    );
  });

  await brokenOnPurpose('Two more accidents, and the same rescue', async () => {
    story.say('A has cupboards 3, 4 and 5. If one of them forgets, then with 1 and 2 there is a second majority.');
    const accident = async (name: string, befall: (locker: string) => Promise<unknown>) => {
      const locker = await place();
      const absent = redis.nodes.slice(0, 2);
      await Promise.all(absent.map((node) => node.kill()));
      const a = await new Redlock(clients(urls)).acquire([locker], 5_000);
      const older = await fencing.take(a);
      await Promise.all(absent.map((node) => node.restart()));
      await befall(locker);
      const b = await new Redlock(clients(urls)).acquire([locker], 5_000);
      const newer = await fencing.take(b);
      const both = Math.min(a.remaining(), b.remaining());
      const write = (fence: bigint, who: string) => fencing.write(locker, fence, (tx) => tx.query(put, [locker, who]));
      const outcomes = [await write(newer, 'B'), await write(older, 'A')];
      return { row: [name, `A and B for ${ms(both)}`, outcomes[0] ?? '', outcomes[1] ?? ''], both, outcomes };
    };
    const restart = await accident('cupboard 3 restarts without its data', () =>
      (redis.nodes[2] ?? first).kill().then(() => redis.nodes[2]?.restart()),
    );
    const jump = await accident(
      "cupboard 3's clock leaps, the key expires",
      (locker) =>
        clients(urls)[2]
          ?.pexpire(locker, 1)
          .then(() => delay(5)) ?? Promise.resolve(),
    );
    story.table({
      caption: 'Two holders of one lock',
      columns: ['accident', 'who holds it', "B's write", "A's write"],
      rows: [restart.row, jump.row],
    });
    story.verdict(
      'Redlock gave one locker to two, and the fence kept the store right',
      `${[restart, jump].filter(({ both }) => both > 0).length} of 2 accidents, ` +
        `${[restart, jump].filter(({ outcomes }) => outcomes[1] === 'stale').length} stale writes refused`,
      [restart, jump].every(({ both, outcomes }) => both > 0 && outcomes[0] === 'ok' && outcomes[1] === 'stale'),
    );
    story.say(
      'A lock keeps people from doing work twice. Where doing it twice is a disaster, the store needs a fence.',
    );
  });
});
