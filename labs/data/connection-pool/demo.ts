import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { contest, patient, ratio, until } from '@shared/testkit';
import { Client, Pool as PgPool } from 'pg';
import { ConnectionPool as OldestFirst } from './pitfalls/oldest-first.ts';
import { ConnectionPool, type Lease, type PoolOptions, SplitPool, Transfers } from './src/index.ts';
import { killAtEachStep } from './test/kill.ts';

const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const several = (n: number) => Array.from({ length: n }, (_, index) => index);
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
const errorsOf = async (all: readonly Promise<unknown>[]): Promise<Error[]> =>
  (await Promise.allSettled(all)).flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));

const options = {
  title: 'Connection pool 连接池',
  subtitle: 'The bank: a few tellers, a queue with an end, a second vault, and money on its way',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  /** What a scene opens is closed at its end. */
  const scene = (title: string, body: (bank: ReturnType<typeof bankOf>) => Promise<void>) =>
    story.scene(title, async () => {
      await using bin = new AsyncDisposableStack();
      await body(bankOf(bin));
    });
  const bankOf = (bin: AsyncDisposableStack) => ({
    open: (o: Partial<PoolOptions> = {}, Pool = ConnectionPool) =>
      bin.adopt(new Pool({ connection: pg.url, ...o }), (pool) => pool.close({ graceMs: 0 })),
    pgPool: (max: number) => {
      const pool = new PgPool({ connectionString: pg.url, max, connectionTimeoutMillis: patient(200) });
      pool.on('error', () => {});
      return bin.adopt(pool, (it) => void it.end().catch(() => {}));
    },
    hire: async () => {
      const client = new Client({ connectionString: pg.url });
      client.on('error', () => {});
      await client.connect();
      return bin.adopt(client, (it) => it.end());
    },
  });

  await scene('A new teller for each customer', async ({ open, hire }) => {
    story.say('Hire him, train him, be served, dismiss him: a connection for each question. Or five tellers who stay.');
    const pool = await open({ min: 5, max: 5 }).open();
    const pooled = () => pool.withClient((client) => client.query('SELECT 1'));
    const hired = async () => {
      const client = new Client({ connectionString: pg.url });
      await client.connect();
      await client.query('SELECT 1');
      await client.end();
    };
    const [kept, dismissed] = await contest({ pooled, hired }, { rounds: 3, turnMs: 150 });
    const faster = kept && dismissed ? ratio(kept, dismissed) : 0;
    story.verdict('Tellers who stay serve far more', `${faster.toFixed(0)} × as many, one after another`, faster > 3);

    story.say('Then 150 customers come at once. The vault takes 100 people (`max_connections`).');
    const crowd = await errorsOf(several(150).map(hire));
    story.verdict('Who hires for each turns customers away', `${crowd.length} of 150`, crowd.length > 0);
  });

  await scene('How many tellers', async ({ open, hire }) => {
    const watch = await hire();
    const patient = open({ max: 10, maxQueue: 150 });
    const ask = () => patient.withClient((client) => client.query('SELECT pg_sleep(0.002)'));
    const served = 150 - (await errorsOf(several(150).map(ask))).length;
    const inside = `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.002)'`;
    const seen = (await watch.query<{ n: number }>(inside)).rows[0]?.n ?? 0;
    const all = served === 150 && seen <= 10;
    story.verdict('Ten tellers and a queue serve them all', `${served} of 150, by ${seen}`, all);

    story.say('More tellers are not more money out of the door: the vault has only so many hands. Fifty callers:');
    const sizes = [1, 5, 20, 50];
    const pools = await Promise.all(sizes.map((n) => open({ min: n, max: n, acquireTimeoutMs: 20_000 }).open()));
    const work = 'SELECT count(*) FROM generate_series(1, 4000)';
    const calls = pools.map((pool, n) => [`${sizes[n]}`, () => pool.withClient((c) => c.query(work))] as const);
    const standings = await contest(Object.fromEntries(calls), { rounds: 3, turnMs: 150, workers: 50 });
    story.table({
      columns: ['tellers', 'served a second', 'half wait less than', 'one of 100 longer than'],
      rows: standings.map(({ name, perSecond, p50, p99 }) => [name, Math.round(perSecond), ms(p50), ms(p99)]),
    });
    const [, five, , fifty] = standings;
    const gain = five && fifty ? ratio(fifty, five) : Number.NaN;
    story.verdict('Ten times the tellers are not twice as quick', `50 serve ${gain.toFixed(2)} × what 5 do`, gain < 2);
  });

  await scene('Who has my teller?', async ({ open, pgPool }) => {
    story.say('Ten customers leave and keep their tellers: somebody forgot `release()`. There are ten tellers.');
    const careless = pgPool(10);
    const kept = await Promise.all(several(10).map(() => careless.connect()));
    const stuck = await errorsOf(several(5).map(() => careless.query('SELECT 1')));
    story.say(`pg.Pool, after ${patient(200)} ms: "${stuck[0]?.message}". By whom?`);
    story.verdict('Everybody after them waits in vain', `${stuck.length} of 5`, stuck.length === 5);
    for (const client of kept) client.release(true);

    const leaks: string[] = [];
    const onLeak = (leak: { taken: string }) => void leaks.push(leak.taken);
    const pool = open({ max: 10, leakAfterMs: 60, acquireTimeoutMs: patient(200), onLeak });
    async function printReceipt(): Promise<void> {
      const client = await pool.acquire();
      await client.query('SELECT 1');
    }
    for (const _ of several(10)) await printReceipt();
    const [late] = await errorsOf([pool.acquire()]);
    const named = leaks.filter((taken) => taken.includes('printReceipt')).length;
    const [words, where] = [late?.message.split('\n')[0], /at \S+/.exec(late?.message ?? '')?.[0]];
    story.say(`Here: "${words}", and the next line is ${where}.`);
    story.verdict('The stack that took each is kept, and names the function', `${named} of 10 reported`, named === 10);
    story.code('src/pool.ts', { from: 'async withClient', to: 'return result' });
  });

  await scene('A teller with his drawer open', async ({ open, pgPool }) => {
    story.say('BEGIN, INSERT, and an exception before the COMMIT: who gets this teller next?');
    const [theirs, ours] = [pgPool(1), open({ max: 1 })];
    await theirs.query('CREATE TABLE book (n int)');
    const count = async (lend: () => Promise<Pick<Lease, 'query' | 'release'>>) => {
      let seen = 0;
      for (const n of several(20)) {
        const first = await lend();
        await first.query('BEGIN');
        await first.query('INSERT INTO book VALUES ($1)', [n]);
        first.release();
        const next = await lend();
        seen += (await next.query('SELECT FROM book WHERE n = $1', [n])).rowCount ?? 0;
        next.release();
      }
      return seen;
    };
    const inherited = await count(() => theirs.connect());
    story.verdict('pg.Pool hands on what was never committed', `${inherited} of 20 saw it`, inherited > 0);
    story.code('src/pool.ts', { from: 'return member.broken === undefined' });
    const clean = await count(() => ours.acquire());
    story.verdict('A teller whose drawer is open goes home instead', `${clean} of 20 saw it`, clean === 0);
  });

  await scene('Sick tellers, and the night shift', async ({ open, hire }) => {
    const watch = await hire();
    const connection = { connectionString: pg.url, application_name: 'day' };
    const day = { connection, min: 3, max: 10, idleMs: patient(250) };
    const pools = { 'last back, first out': open(day), 'in turn': open(day, OldestFirst) };
    const one = pools['last back, first out'];
    for (const client of await Promise.all(several(10).map(() => one.acquire()))) client.release();
    const ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'day'";
    const { rowCount } = await watch.query(ends);
    await until(() => one.stats.size <= 3 && one.stats.idle === 3);
    const ill = await errorsOf(several(50).map(() => one.withClient((client) => client.query('SELECT 1'))));
    story.verdict(`${rowCount} idle tellers fall ill; who meets one?`, `${ill.length} of 50 customers`, !ill.length);

    story.say('Evening: ten tellers, one customer every few milliseconds. Three should stay.');
    const begun = performance.now();
    const lines = await Promise.all(
      Object.entries(pools).map(async ([label, pool]) => {
        for (const client of await Promise.all(several(10).map(() => pool.acquire()))) client.release();
        const points: [number, number][] = [];
        while (performance.now() - begun < patient(900)) {
          await pool.withClient((client) => client.query('SELECT 1'));
          points.push([performance.now() - begun, pool.stats.size]);
          await delay(8);
        }
        return { label, points };
      }),
    );
    story.lines({
      title: 'Tellers in the bank, when one would do',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'tellers', min: 0 },
      series: lines,
      picture: true,
    });
    const [lifo, fifo] = lines.map(({ points }) => points.at(-1)?.[1] ?? 0);
    const stay = `${fifo} of ten stay; ${lifo} if the last one back is first`;
    story.verdict('Tellers who are asked in turn are never idle', stay, (fifo ?? 0) > (lifo ?? 0));
  });

  await scene('A teller who glues receipts', async ({ open }) => {
    story.say('Five tellers. Five customers call another bank inside their transaction (300 ms). Twenty only ask.');
    const CALL = 300;
    const quick = async (pool: ConnectionPool) => {
      const start = performance.now();
      await pool.withClient((client) => client.query('SELECT 1'));
      return performance.now() - start;
    };
    const wait = async (slow: (pool: ConnectionPool) => Promise<unknown>) => {
      const pool = await open({ min: 5, max: 5 }).open();
      const jobs = several(5).map(() => slow(pool));
      const waits = await Promise.all(several(20).map(() => quick(pool)));
      await Promise.all(jobs);
      return median(waits);
    };
    const inside = await wait((pool) => pool.withTx(() => delay(CALL)));
    const outside = await wait(async (pool) => {
      await pool.withTx((tx) => tx.query('SELECT 1'));
      await delay(CALL);
      await pool.withTx((tx) => tx.query('SELECT 1'));
    });
    story.verdict('The call inside the transaction starves the rest', `they wait ${ms(inside)}`, inside > CALL / 2);
    story.verdict('Between two transactions it holds nobody up', `they wait ${ms(outside)}`, outside < inside / 2);
  });

  await scene('And the money in between', async ({ open }) => {
    story.say('Commit the debit, call, commit the credit: so the textbook. We kill the process at each of its steps.');
    const COPIES = 12;
    const attempt = async (schema: string, lab: string) => {
      const pool = open({ max: 2, connection: { connectionString: pg.url, options: `-c search_path=${schema}` } });
      await pool.withClient((client) => client.query(`CREATE SCHEMA ${schema}`));
      const transfers = new Transfers(pool, async () => 'done');
      await transfers.migrate();
      const fill = `INSERT INTO account SELECT side || n, 100 FROM generate_series(0, $1) n, unnest('{a,b}'::text[]) side`;
      await pool.withClient((client) => client.query(fill, [COPIES - 1]));
      await killAtEachStep({ url: pg.url, schema, lab: new URL(lab, import.meta.url).href, copies: COPIES });
      const alive = 'SELECT FROM pg_stat_activity WHERE application_name = $1';
      await until(async () => (await pool.withClient((c) => c.query(alive, [schema]))).rowCount === 0);
      const { settled } = await transfers.resume();
      const { rows } = await pool.withClient((c) => c.query<{ sum: string }>('SELECT sum(balance) FROM account'));
      return { lost: COPIES * 200 - Number(rows[0]?.sum), settled: settled.length };
    };
    const textbook = await attempt('textbook', './pitfalls/debit-committed-first.ts');
    const sent = COPIES * 10;
    story.verdict('Killed in between, money is nowhere', `${textbook.lost} of the ${sent} sent`, textbook.lost > 0);
    story.code('src/transfer.ts', { from: 'const insert =', to: 'ON CONFLICT' });
    const mended = await attempt('mended', './src/index.ts');
    const whole = mended.lost === 0 && mended.settled > 0;
    story.verdict(
      'A pending row is found by whoever comes next',
      `${mended.lost} lost, ${mended.settled} finished later`,
      whole,
    );
  });

  const pair = await startPostgres({ standby: 1 }).catch((error: unknown) => String(error));
  if (typeof pair === 'string' || !pair.faults) {
    story.skip('A second vault', typeof pair === 'string' ? pair : 'servers that are not ours are not ours to kill');
    return;
  }
  const { node, standbys } = await story.use(pair);
  const [standby] = standbys;

  await scene('A second vault', async ({ open }) => {
    story.say('Deposits at the primary, questions at the standby. Here its copy is late: replay is paused.');
    const [primary, replica] = [open({ connection: pair.url }), open({ connection: standby.url })];
    const split = new SplitPool({ primary, replicas: [replica] }, { waitMs: 20 });
    const add = () => split.write((tx) => tx.query('INSERT INTO deposit VALUES (1)'));
    const count = async (client: Lease) => (await client.query('SELECT FROM deposit')).rowCount ?? 0;
    const { lsn } = await split.write((tx) => tx.query('CREATE TABLE deposit (n int)'));
    await split.read(count, { after: lsn });
    await until(() => replica.withClient(count).then(() => true));
    await standby.pauseReplay();
    const stale = { naive: 0, shown: 0 };
    for (const n of several(20)) {
      const written = await add();
      stale.naive += (await split.read(count)) === n + 1 ? 0 : 1;
      stale.shown += (await split.read(count, { after: written.lsn })) === n + 1 ? 0 : 1;
    }
    await standby.resumeReplay();
    story.verdict('Whoever asks the standby misses his own deposit', `${stale.naive} of 20 times`, stale.naive === 20);
    story.code('src/split.ts', { from: 'const text = `SELECT pg_is_in_recovery', to: 'AS there' });
    story.verdict('Who shows his LSN sees it: the primary answers', `missed ${stale.shown} of 20`, stale.shown === 0);

    story.say('Now the primary dies, and the standby is promoted.');
    const cut = performance.now();
    await node.kill();
    const [refused] = await errorsOf([add()]);
    await standby.promote();
    await until(() => add().then(() => true));
    const back = performance.now() - cut;
    const kept = await split.read(count);
    story.verdict(
      'Writes find the new primary by themselves',
      `first a ${refused?.name}, then written after ${ms(back)}; ${kept} deposits`,
      refused !== undefined && kept === 21,
    );
  });

  story.next([
    '`pnpm lab learn connection-pool` to build it yourself, law by law',
    '`pnpm lab bench connection-pool` beside pg-pool, tarn and generic-pool',
  ]);
});
