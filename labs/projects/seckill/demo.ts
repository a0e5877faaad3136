import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { random, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Gate, giveBack, OrderBook, OrderWorker, orderIdOf, reconcile, SCHEMA } from './src/index.ts';
import { Branch } from './test/branch.ts';

const options = {
  title: 'Flash sale 电商秒杀',
  subtitle: 'A shop sells 100 kettles to 5,000 people who come in the same second',
  dir: import.meta.dirname,
};
const UNITS = 100;
const BUYERS = 5_000;
const AT_ONCE = 250;

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  const servers = await story.use(startRedis());
  const [node] = servers.nodes;
  const prefix = servers.namespace;
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 16 }), (it) => it.end());
  pool.on('error', () => {});
  const redis = bin.adopt(new Redis(node.url), (it) => it.disconnect());
  await pool.query(SCHEMA);
  const source = random(story.seed);
  const gate = new Gate({ redis, prefix, tries: 1_000_000 });
  const book = new OrderBook({ pool });

  /** Runs `work` for each of `count`, `AT_ONCE` at a time. */
  const crowd = async (count: number, work: (n: number) => Promise<unknown>) => {
    let next = 0;
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < count) await work(next++);
      }),
    );
  };

  await story.scene('Look, then take: sold more than there is', async () => {
    story.say(
      `A table has a row with a stock of ${UNITS}. A thousand buyers each read it, and if it is more than 0 write one less and an order. That is three statements, and others' stand between them.`,
    );
    await pool.query('CREATE TABLE naive (stock integer); CREATE TABLE naive_orders (buyer integer)');
    await pool.query('INSERT INTO naive VALUES ($1)', [UNITS]);
    await crowd(1_000, async (buyer) => {
      const { rows } = await pool.query<{ stock: number }>('SELECT stock FROM naive');
      const stock = rows[0]?.stock ?? 0;
      if (stock < 1) return;
      await pool.query('UPDATE naive SET stock = $1', [stock - 1]);
      await pool.query('INSERT INTO naive_orders VALUES ($1)', [buyer]);
    });
    const { rows } = await pool.query<{ n: number }>('SELECT count(*)::integer AS n FROM naive_orders');
    const sold = rows[0]?.n ?? 0;
    story.verdict(`Sold more than the ${UNITS} that there are`, `${sold} sold, ${sold - UNITS} too many`, sold > UNITS);
  });

  await story.scene('Take, then put back: refused what there is', async () => {
    story.say(
      'DECR cannot sell one twice: each caller is told his own number. Whoever is told less than 0 was too late, and puts one back by INCR. But while a crowd is too late at once, the number is far below 0, and a unit that comes back from a cancelled order is nobody’s.',
    );
    const key = `${prefix}counter`;
    const own = bin.adopt(new Redis(node.url), (it) => it.disconnect());
    await redis.set(key, 0);
    let lowest = 0;
    let sold = 0;
    let returned = 0;
    const refused: number[] = [];
    let over = false;
    const returning = (async () => {
      for (; returned < 20; returned++) {
        await delay(3);
        lowest = Math.min(lowest, (await own.incr(key)) - 1);
      }
      over = true;
    })();
    await crowd(20_000, async () => {
      if (over) return;
      if ((await redis.decr(key)) >= 0) sold += 1;
      else {
        refused.push(returned - sold);
        // Its way through the network: no two buyers step alike.
        await delay(source.int(1, 5));
        await redis.incr(key);
      }
    });
    await returning;
    const wrong = refused.filter((left) => left > 0).length;
    story.say(`20 units came back while the crowd was refused. The counter was down to ${lowest} at times.`);
    story.verdict('Buyers were told "sold out" while a unit was on sale', `${wrong} of ${refused.length}`, wrong > 0);
  });

  await story.scene('Reserve, then send the order: a kill in between', async () => {
    story.say(
      'The reservation is a script in Redis, so nothing is sold twice. The order goes into a stream, in the next step, to be written down by a worker. The process is killed (-9) while it sells.',
    );
    let lost = 0;
    let rounds = 0;
    for (; lost === 0 && rounds < 10; rounds++) {
      const sku = `torn-${rounds}`;
      await book.offer(sku, UNITS, new Date(0));
      await reconcile(gate, book, sku);
      const child = spawn(process.execPath, [join(import.meta.dirname, 'test/crasher.ts'), node.url, prefix, sku], {
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const gone = once(child, 'exit');
      await until(async () => Number(await redis.hget(gate.keys(sku).item, 'stock')) < UNITS / 2, {
        timeoutMs: 10_000,
      });
      child.kill('SIGKILL');
      await gone;
      const state = await gate.state(sku);
      lost = (state?.buyers.size ?? 0) - (state?.waiting.size ?? 0);
    }
    const tries = rounds === 1 ? 'at the first kill' : `at kill ${rounds}`;
    story.verdict('Units are reserved for nobody, for good', `${lost} of ${UNITS}, ${tries}`, lost > 0);
    story.code('src/scripts.ts', {
      from: "if tonumber(stock) < 1 then return {'sold_out'} end",
      to: "return {'ok'}`;",
    });
    story.say('One script does both: no crash comes between the reservation and its order.');
  });

  const sku = 'kettle';
  await book.offer(sku, UNITS, new Date(0));
  await reconcile(gate, book, sku);

  await story.scene(`${BUYERS.toLocaleString('en')} buyers, four processes, and one is killed`, async () => {
    story.say(
      'The gate in Redis says who gets one; workers write the orders into Postgres, where a CHECK and a UNIQUE have the last word. Each buyer asks over HTTP, and asks again with the same request until there is an answer. One of the four is killed when half is sold.',
    );
    const stores = { postgres: pg.url, redis: node.url, prefix, impl: join(import.meta.dirname, 'src/index.ts'), sku };
    const branches = await Promise.all([1, 2, 3, 4].map(() => Branch.open(stores)));
    for (const branch of branches) bin.use(branch);
    // Known to each other before it starts: connections, compiled code.
    await Promise.all(branches.map((branch) => branch.post('/buy', { user: 'w', sku: 'none', requestId: 'r' })));
    const phases = { before: { ms: createHistogram(), n: 0 }, after: { ms: createHistogram(), n: 0 } };
    const told: Record<string, number> = {};
    let again = 0;
    let killed: Promise<void> | undefined;
    const outside: string[] = [];
    const began = performance.now();
    let soldOutAt = 0;
    const audit = (async () => {
      while (soldOutAt === 0) {
        const state = await gate.state(sku);
        const sum = (state?.stock ?? 0) + (state?.buyers.size ?? 0);
        if (sum !== UNITS) outside.push(`${sum}`);
        await delay(2);
      }
    })();
    await crowd(BUYERS, async (n) => {
      for (;;) {
        const phase = soldOutAt > 0 ? phases.after : phases.before;
        const asked = performance.now();
        const said = await source
          .pick(branches)
          .post('/buy', { user: `b${n}`, sku, requestId: 'r' })
          .catch(() => undefined);
        record(phase.ms, performance.now() - asked);
        phase.n += 1;
        if (said === undefined) {
          again += 1;
          continue;
        }
        told[said.outcome] = (told[said.outcome] ?? 0) + 1;
        if (said.outcome === 'sold_out') soldOutAt ||= performance.now();
        if ((told['ok'] ?? 0) >= UNITS / 2) killed ??= branches.shift()?.kill();
        return;
      }
    });
    const over = performance.now();
    await Promise.all([killed, audit]);
    await until(async () => (await book.state(sku)).buyers.size === UNITS, { timeoutMs: 8_000, what: 'the orders' });
    const row = (name: string, { ms, n }: { ms: RecordableHistogram; n: number }, took: number) =>
      [name, n, Math.round(n / (took / 1_000)), (ms.percentile(99) / 1e6).toFixed(0)] as const;
    story.table({
      columns: ['', 'requests', 'a second', 'p99 ms'],
      rows: [
        row('until it is sold out', phases.before, soldOutAt - began),
        row('after that', phases.after, over - soldOutAt),
      ],
    });
    await Promise.all(branches.map((branch) => branch.kill()));
    const { stock, buyers } = await book.state(sku);
    story.say(`${again} requests had no answer and were sent again.`);
    story.verdict(
      `${UNITS} were told yes, the others no`,
      `${told['ok']} and ${told['sold_out']}`,
      told['ok'] === UNITS,
    );
    story.verdict(
      'Each yes is an order: none too many, none lost',
      `${buyers.size} orders, ${stock} left`,
      buyers.size === UNITS && stock === 0,
    );
    story.verdict(
      'Left and reserved made up the stock whenever one looked',
      `${outside.length} times not`,
      outside.length === 0,
    );
  });

  await story.scene('Who does not pay in time, and who pays too late', async () => {
    story.say(
      '70 pay. Then the time to pay is over for the other 30, whose units come back once, though three processes look. 10 of them pay after all.',
    );
    const ids = [...(await book.state(sku)).buyers.values()];
    await Promise.all(ids.slice(0, 70).map((id, n) => book.pay(id, `p${n}`)));
    await pool.query("UPDATE seckill_orders SET due = clock_timestamp() WHERE state = 'pending'");
    await Promise.all([book.expire(), book.expire(), book.expire()]);
    await Promise.all([giveBack(gate, book), giveBack(gate, book)]);
    const late = await Promise.all(ids.slice(70, 80).map((id, n) => book.pay(id, `late${n}`)));
    const left = (await gate.state(sku))?.stock;
    const { stock, paid } = await book.state(sku);
    story.verdict('30 units are on sale again, in both stores', `${left} and ${stock}`, left === 30 && stock === 30);
    const refunded = late.filter((said) => said === 'refunded').length;
    story.verdict(
      'Late money is owed back, and sells nothing',
      `${refunded} refunds, ${paid} paid`,
      refunded === 10 && paid === 70,
    );
  });

  await story.scene('Redis loses everything', async () => {
    story.say(
      '20 more are sold, and 5 of them are still on their way to the book when Redis is emptied. The gate is shut until it is counted anew from the book.',
    );
    await using worker = new OrderWorker({ gate, book, sku, onError: () => {} });
    await Promise.all(Array.from({ length: 15 }, (_, n) => gate.buy(`c${n}`, sku, 'r')));
    await until(async () => (await book.state(sku)).buyers.size === 85, { timeoutMs: 8_000, what: 'the orders' });
    await worker[Symbol.asyncDispose]();
    await Promise.all(Array.from({ length: 5 }, (_, n) => gate.buy(`e${n}`, sku, 'r')));
    await redis.del(...Object.values(gate.keys(sku)));
    const shut = (await gate.buy('d0', sku, 'r')).outcome;
    const { rebuilt } = await reconcile(gate, book, sku);
    const said = await Promise.all(Array.from({ length: 40 }, (_, n) => gate.buy(`d${n}`, sku, 'again')));
    const ok = said.filter(({ outcome }) => outcome === 'ok').length;
    story.code('src/book.ts', { from: '// A sequence, since', to: 'let generation' });
    story.verdict(
      'The gate is shut while nobody knows what is left',
      `${shut}, then counted anew: ${rebuilt}`,
      shut === 'busy',
    );
    story.verdict('15 of 40 get the 15 that are left', `${ok}`, ok === 15);
    const again = await gate.buy('c0', sku, 'other');
    story.verdict(
      'Who has one is still known',
      `${again.outcome}, order ${orderIdOf(sku, 'c0', 'r').slice(0, 8)}`,
      again.outcome === 'duplicate',
    );
  });
});

function record(ms: RecordableHistogram, value: number): void {
  ms.record(Math.max(1, Math.round(value * 1e6)));
}
