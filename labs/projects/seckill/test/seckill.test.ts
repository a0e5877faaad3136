import { randomUUID } from 'node:crypto';
import { resolve } from 'node:path';
import { startPostgres, startRedis } from '@shared/services';
import { describeWith, outcome, random, stillLoading, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  Gate,
  type GateOptions,
  giveBack,
  InvalidArgumentError,
  OrderBook,
  OrderWorker,
  orderIdOf,
  reconcile,
  SCHEMA,
  Shop,
  StoreUnavailableError,
  seckillApi,
  UnknownItemError,
} from '#lab';
import { Branch } from './branch.ts';

const SEED = 20_261_129;
const PAST = new Date(0);
/** What a worker takes milliseconds for: longer, and it never will. */
const ORDERED_MS = 3_000;

await describeWith(
  'seckill',
  { postgres: () => startPostgres(), redis: () => startRedis() },
  ({ postgres, redis: servers }) => {
    const pool = new Pool({ connectionString: postgres.url, max: 16 });
    pool.on('error', () => {});
    const [node] = servers.nodes;
    const connect = (url = node.url, commandTimeout = 10_000) => {
      const client = new Redis(url, {
        commandTimeout,
        socketTimeout: commandTimeout,
        maxRetriesPerRequest: 0,
        enableReadyCheck: false,
      });
      client.on('error', () => {});
      return client;
    };
    const redis = connect();
    afterAll(async () => {
      redis.disconnect();
      await pool.end();
    });

    let made = 0;
    /** A shop of its own with one item on sale. No worker runs unless it is hired. */
    async function open(stock: number, o: Partial<GateOptions> & { startsAt?: Date } = {}) {
      if (made === 0) await pool.query(SCHEMA);
      const sku = `kettle-${++made}`;
      const prefix = servers.namespace;
      const gate = new Gate({ redis, prefix, tries: 1_000_000, ...o });
      const book = new OrderBook({ pool });
      await book.offer(sku, stock, o.startsAt ?? PAST);
      await reconcile(gate, book, sku);
      const errors: unknown[] = [];
      const onError = (error: unknown) => void errors.push(error);
      const hire = (claimMs = 300, by: { gate?: Gate; book?: OrderBook } = {}) => {
        const worker = new OrderWorker({ gate, book, sku, onError, claimMs, ...by });
        // Not awaited: one that hangs with an entry in its hands ends with the process.
        onTestFinished(() => void worker[Symbol.asyncDispose]());
        return worker;
      };
      const buy = (user: string, request = 'r') => gate.buy(user, sku, request);
      /** When no order is on its way any more, there are `count`: an entry is taken out behind its order, and no more are to come. */
      const ordered = async (count: number) => {
        await until(async () => (await waiting()) === 0, { what: 'all orders to be written', timeoutMs: ORDERED_MS });
        expect((await book.state(sku)).buyers.size, 'orders').toBe(count);
      };
      /** How long there is to pay from now on. */
      const due = (ms: number) =>
        pool.query(`UPDATE seckill_orders SET due = clock_timestamp() + interval '${ms} ms' WHERE sku = $1`, [sku]);
      const waiting = async () => (await gate.state(sku))?.waiting.size;
      const stocks = async () => [(await gate.state(sku))?.stock, (await book.state(sku)).stock];
      return { sku, prefix, gate, book, buy, hire, ordered, due, stocks, waiting, errors, onError };
    }

    /** On a connection of its own; each answer is handed on behind a look, so that what one command leaves for the next is seen. */
    function watchedGate(prefix: string, look: () => Promise<void>) {
      const own = connect();
      onTestFinished(() => own.disconnect());
      const send = own.sendCommand.bind(own);
      vi.spyOn(own, 'sendCommand').mockImplementation(async (command, stream) => {
        const said = await send(command, stream);
        await look();
        return said;
      });
      return new Gate({ redis: own, prefix, tries: 1_000_000 });
    }

    /** None of them is done before each has seen what there was: the item is held until all are done or wait for a lock. */
    async function allAtOnce(sku: string, count: number, work: () => Promise<unknown>) {
      const holder = await pool.connect();
      let settled = 0;
      try {
        await holder.query('BEGIN');
        await holder.query('SELECT FROM seckill_items WHERE sku = $1 FOR UPDATE', [sku]);
        const all = Array.from({ length: count }, () => work().finally(() => settled++));
        const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
        const seen = async () => ((await pool.query(waiting)).rowCount ?? 0) + settled >= count;
        await until(seen, { what: `${count} who are done or wait for a lock` });
        await holder.query('COMMIT');
        await Promise.all(all);
      } finally {
        holder.release(true);
      }
    }

    const users = (count: number) => Array.from({ length: count }, (_, n) => `u${n}`);
    const outcomes = async (all: readonly Promise<{ outcome: string }>[]) =>
      countOf((await Promise.all(all)).map((it) => it.outcome));

    // ── core ──

    test('many buy at once: as many as there are get one, and nobody else', async () => {
      const { buy, gate, sku } = await open(10);
      expect(await outcomes(users(100).map((user) => buy(user)))).toEqual({ ok: 10, sold_out: 90 });
      const state = await gate.state(sku);
      expect([state?.stock, state?.buyers.size]).toEqual([0, 10]);
    });

    test('a user gets one: asked again with the same request it is the same one, with another it is refused', async () => {
      const { buy, gate, sku } = await open(10);
      const first = await buy('mo', 'r1');
      const again = await Promise.all([buy('mo', 'r1'), buy('mo', 'r1'), buy('mo', 'r2'), buy('mo', 'r3')]);
      expect(again).toEqual([first, first, { outcome: 'duplicate' }, { outcome: 'duplicate' }]);
      expect((await gate.state(sku))?.stock).toBe(9);
    });

    test('nobody is served before the start, by the clock of the server', async () => {
      const [seconds = 0] = await redis.time();
      const startsAt = new Date(Number(seconds) * 1_000 + 100_000);
      // The shop's own clock is a day ahead.
      const clock = vi.spyOn(Date, 'now').mockImplementation(() => Number(seconds) * 1_000 + 86_400_000);
      onTestFinished(() => clock.mockRestore());
      const { buy, stocks } = await open(10, { startsAt });
      const said = await buy('early');
      expect(said).toEqual({ outcome: 'not_started', opensInMs: expect.any(Number) });
      expect(said.outcome === 'not_started' && said.opensInMs).toBeGreaterThan(90_000);
      expect(await stocks()).toEqual([10, 10]);
      const { buy: buyNow } = await open(10, { startsAt: new Date(Number(seconds) * 1_000 - 1) });
      expect(await buyNow('punctual')).toMatchObject({ outcome: 'ok' });
    });

    test('a reservation has its order on the way from the first moment', async () => {
      const { gate, sku, prefix } = await open(10);
      const bare: string[] = [];
      const stepped = watchedGate(prefix, async () => {
        const state = await gate.state(sku);
        for (const [user, id] of state?.buyers ?? []) if (!state?.waiting.has(id)) bare.push(user);
      });
      await Promise.all(users(10).map((user) => stepped.buy(user, sku, 'r')));
      expect(bare, 'reserved, and no order on the way').toEqual([]);
      expect((await gate.state(sku))?.waiting.size).toBe(10);
    });

    test('an entry that comes again, to two workers at once too, is one order and one unit', async () => {
      const { book, sku, buy, gate } = await open(5);
      await buy('mo');
      const entry = {
        sku,
        user: 'mo',
        orderId: orderIdOf(sku, 'mo', 'r'),
        generation: (await book.state(sku)).generation,
      };
      const placed = await Promise.all([book.place(entry), book.place(entry), book.place(entry)]);
      expect([...placed, await book.place(entry)]).toEqual(['placed', 'placed', 'placed', 'placed']);
      const state = await book.state(sku);
      expect([state.stock, [...state.buyers]]).toEqual([4, [['mo', entry.orderId]]]);
      expect((await gate.state(sku))?.stock).toBe(4);
    });

    test('an order that nobody pays gives its unit back once, however many look', async () => {
      const { buy, book, gate, hire, ordered, stocks, sku, due } = await open(6);
      hire();
      await Promise.all(users(6).map((user) => buy(user)));
      await ordered(6);
      await Promise.all(['u3', 'u4', 'u5'].map((user) => book.pay(orderIdOf(sku, user, 'r'), `${sku}-${user}`)));
      await due(0);
      await allAtOnce(sku, 3, () => book.expire());
      expect((await book.state(sku)).buyers.size, 'orders that are not cancelled').toBe(3);
      expect((await book.state(sku)).stock, 'in the book').toBe(3);
      const owed = (await book.owed()).filter((it) => it.sku === sku);
      await Promise.all([giveBack(gate, book), giveBack(gate, book), giveBack(gate, book)]);
      // Somebody was killed behind the gate, before the book had it.
      for (const { user, orderId } of owed) await gate.giveBack(sku, user, orderId);
      expect(await stocks()).toEqual([3, 3]);
      expect(await outcomes([buy('u0', 'r2'), buy('d'), buy('e'), buy('f')])).toEqual({ ok: 3, sold_out: 1 });
    });

    test('payment and deadline race: one of them wins, and what is paid too late or twice is owed back', async () => {
      const { buy, book, hire, sku, ordered, due } = await open(40);
      hire();
      const ids = users(40).map((user) => orderIdOf(sku, user, 'r'));
      await Promise.all(users(40).map((user) => buy(user)));
      await ordered(40);
      // However slow the rest is, one of them is paid in time.
      const [, winner = '', ...others] = ids;
      expect(await book.pay(winner, `in-time-${sku}`)).toBe('paid');
      await due(0);
      expect(await book.pay(ids[0] ?? '', `late-${sku}`), 'late, and not cancelled yet').toBe('refunded');
      await due(150);
      const source = random(SEED);
      const paying = [ids[0] ?? '', ...others].map(async (id, n) => {
        await new Promise((done) => setTimeout(done, source.int(0, 250)));
        return { id, said: await book.pay(id, `p-${sku}-${n}`) };
      });
      const racing = new AbortController();
      const clock = (async () => {
        while (!racing.signal.aborted) await book.expire();
      })();
      const paid = await Promise.all(paying);
      await until(async () => (await book.state(sku)).buyers.size === (await book.state(sku)).paid);
      racing.abort();
      await clock;
      const states = await Promise.all(
        [{ id: winner, said: 'paid' }, ...paid].map(
          async ({ id, said }) => `${said}, ${(await book.order(id))?.state}`,
        ),
      );
      const counted = countOf(states);
      expect(Object.keys(counted).sort(), `seed ${SEED}`).toEqual(['paid, paid', 'refunded, cancelled']);
      const { stock, paid: sold } = await book.state(sku);
      expect([stock + sold, sold]).toEqual([40, counted['paid, paid']]);
      const late = paid.filter(({ said }) => said === 'refunded').length;
      expect([await book.pay(winner, `second-${sku}`), await book.pay(winner, `second-${sku}`)]).toEqual([
        'refunded',
        'refunded',
      ]);
      const owed = await pool.query('SELECT FROM seckill_refunds WHERE order_id = ANY($1)', [ids]);
      expect(owed.rowCount).toBe(late + 2);
    });

    test('a gate that has lost everything is shut until it is counted anew, and then sells what is left', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(10);
      const worker = hire();
      await Promise.all(users(4).map((user) => buy(user)));
      await ordered(4);
      await worker[Symbol.asyncDispose]();
      // Reserved, and lost before anybody has written it down.
      await Promise.all([buy('x'), buy('y')]);
      const { item, buyers, orders } = gate.keys(sku);
      await redis.del(item, buyers, orders);
      expect(await buy('early')).toEqual({ outcome: 'busy' });
      expect(await Promise.all([reconcile(gate, book, sku), reconcile(gate, book, sku)])).toContainEqual({
        rebuilt: 'lost',
        requeued: 0,
      });
      expect(await stocks()).toEqual([6, 6]);
      hire();
      expect(
        await outcomes([
          ...users(4).map((user) => buy(user, 'other')),
          ...users(12)
            .slice(4)
            .map((user) => buy(user)),
        ]),
      ).toEqual({ duplicate: 4, ok: 6, sold_out: 2 });
      await ordered(10);
      expect(await stocks()).toEqual([0, 0]);
    });

    test('what was reserved before the count and is written after it takes no unit twice', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(3);
      await Promise.all(['a', 'b', 'c'].map((user) => buy(user)));
      const { orders, item, buyers } = gate.keys(sku);
      const held = await redis.xrange(orders, '-', '+');
      await redis.del(item, buyers, orders);
      await reconcile(gate, book, sku);
      expect(await outcomes(['d', 'e'].map((user) => buy(user)))).toEqual({ ok: 2 });
      // A worker was paused with these in its hands.
      for (const [, fields] of held) await redis.xadd(orders, '*', ...fields);
      hire();
      await ordered(3);
      expect(await stocks()).toEqual([0, 0]);
      const names = [...(await book.state(sku)).buyers.keys()];
      expect(names).toEqual(expect.arrayContaining(['d', 'e']));
    });

    // ── hardening ──

    test('at every moment what is left and what is reserved are what there was', async () => {
      const { gate, sku, book, prefix } = await open(20);
      const sums = new Set<number>();
      const stepped = watchedGate(prefix, async () => {
        const state = await gate.state(sku);
        sums.add((state?.stock ?? 0) + (state?.buyers.size ?? 0));
      });
      const returning = users(20).map(async (user) => {
        const { outcome: said } = await stepped.buy(user, sku, 'r');
        if (said !== 'ok') return;
        const given = () => stepped.giveBack(sku, user, orderIdOf(sku, user, 'r'));
        expect([await given(), await given()], 'the first gives it back').toEqual([true, false]);
      });
      await Promise.all([...returning, ...users(60).map((user) => stepped.buy(user, sku, 'other'))]);
      expect([...sums], 'left and reserved').toEqual([20]);
      expect((await book.state(sku)).stock).toBe(20);
    });

    test('the count that arrives late is an old one, and is refused', async () => {
      const { buy, gate, book, sku, stocks } = await open(5);
      let late = () => Promise.resolve(true);
      await book.count(sku, async (count) => {
        late = () => gate.load(sku, count);
        return true;
      });
      await book.count(sku, (count) => gate.load(sku, count));
      await buy('mo');
      expect([await late(), await stocks()]).toEqual([false, [4, 5]]);
    });

    test('nothing is cancelled or placed between a count and its arrival', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks, due } = await open(2);
      hire();
      await buy('mo');
      await ordered(1);
      await due(0);
      let cancelling: Promise<unknown> = Promise.resolve();
      await book.count(sku, async (count) => {
        cancelling = book.expire().then(() => giveBack(gate, book));
        const waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%seckill_items%'";
        await until(async () => (await pool.query(waits)).rowCount, { what: 'the deadline to wait for the count' });
        return gate.load(sku, count);
      });
      await cancelling;
      expect(await stocks()).toEqual([2, 2]);
    });

    test('a gate that has forgotten its last seconds is found by the orders that it does not know', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(5);
      hire();
      await buy('a');
      await ordered(1);
      const { item, buyers } = gate.keys(sku);
      // As a replica has it that took over before the last writes had come.
      await redis.multi().hset(item, 'stock', 5).hdel(buyers, 'a').exec();
      expect(await reconcile(gate, book, sku)).toEqual({ rebuilt: 'orders', requeued: 0 });
      expect([await stocks(), await buy('a', 'again')]).toEqual([[4, 4], { outcome: 'duplicate' }]);
      expect(await reconcile(gate, book, sku)).toEqual({ rebuilt: undefined, requeued: 0 });
    });

    test('a reservation whose entry is lost, and a cancelled one that is still held, are found', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks, due } = await open(5);
      await buy('a');
      await redis.del(gate.keys(sku).orders);
      expect(await reconcile(gate, book, sku)).toEqual({ rebuilt: undefined, requeued: 1 });
      hire();
      await ordered(1);
      await due(0);
      await book.expire();
      for (const { orderId } of await book.owed()) await book.settled(orderId);
      expect(await stocks()).toEqual([4, 5]);
      await reconcile(gate, book, sku);
      expect(await stocks()).toEqual([5, 5]);
    });

    test('a count that reached the gate and not the book is made again', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(3);
      const failing = book.count(sku, async (count) => {
        await gate.load(sku, count);
        throw new Error('killed before the commit');
      });
      expect((await outcome(failing)).error).toMatchObject({ message: 'killed before the commit' });
      await buy('mo');
      expect(await reconcile(gate, book, sku)).toMatchObject({ rebuilt: 'generation' });
      hire();
      await ordered(1);
      expect(await stocks()).toEqual([2, 2]);
    });

    test('the book has the last word: an entry for more than there is is dropped, and nobody waits for it', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks, waiting } = await open(1);
      await redis.hset(gate.keys(sku).item, 'stock', 3);
      expect(await outcomes(['a', 'b', 'c'].map((user) => buy(user)))).toEqual({ ok: 3 });
      hire();
      await ordered(1);
      expect([await stocks(), await waiting()]).toEqual([[0, 0], 0]);
      await expect(pool.query('UPDATE seckill_items SET stock = -1 WHERE sku = $1', [sku])).rejects.toThrow('check');
      const [user = ''] = (await book.state(sku)).buyers.keys();
      const twice = pool.query("INSERT INTO seckill_orders (id, sku, buyer, due) VALUES ('x', $1, $2, now())", [
        sku,
        user,
      ]);
      await expect(twice).rejects.toThrow('seckill_one_each');
    });

    test('who has an order already and got in again gives that unit back', async () => {
      const { buy, gate, sku, hire, ordered, stocks, waiting } = await open(5);
      hire();
      await buy('mo');
      await ordered(1);
      await redis.hdel(gate.keys(sku).buyers, 'mo');
      expect([await buy('mo', 'r2'), await stocks()]).toMatchObject([{ outcome: 'ok' }, [3, 4]]);
      await until(async () => (await waiting()) === 0, { timeoutMs: ORDERED_MS });
      expect([await stocks(), (await gate.state(sku))?.buyers.size]).toEqual([[4, 4], 0]);
    });

    test('a reservation that is no longer there when it is found lost is not sent again', async () => {
      const { buy, gate, book, sku, prefix, waiting } = await open(5);
      const lost = await buy('a');
      await redis.del(gate.keys(sku).orders);
      class Slow extends Gate {
        override async state(of: string) {
          const state = await super.state(of);
          if (lost.outcome === 'ok') await gate.drop(sku, 'a', lost.orderId, 1);
          await buy('a', 'r2');
          return state;
        }
      }
      const slow = new Slow({ redis, prefix });
      expect(await reconcile(slow, book, sku)).toEqual({ rebuilt: undefined, requeued: 0 });
      expect(await waiting()).toBe(1);
    });

    test('processes that start at once make the tables, each of them', async () => {
      const schema = `fresh_${randomUUID().replaceAll('-', '')}`;
      await pool.query(`CREATE SCHEMA ${schema}`);
      const own = Array.from({ length: 6 }, () => {
        return new Pool({ connectionString: postgres.url, max: 1, options: `-c search_path=${schema}` });
      });
      onTestFinished(async () => void (await Promise.all(own.map((it) => it.end()))));
      await Promise.all(own.map((it) => it.query('SELECT')));
      const made = await Promise.all(own.map((it) => outcome(it.query(SCHEMA))));
      expect(made.map(({ error }) => error)).toEqual(own.map(() => undefined));
    });

    test('many who find the gate lost count it once, or the second count takes from who bought behind the first', async () => {
      const { gate, book, sku } = await open(5);
      await redis.del(...Object.values(gate.keys(sku)));
      let lookers = 0;
      const all = Promise.withResolvers<void>();
      // Each has looked before any of them counts.
      class Looks extends Gate {
        override async state(of: string) {
          const state = await super.state(of);
          if (++lookers === 4) all.resolve();
          await all.promise;
          return state;
        }
      }
      const looking = new Looks({ redis, prefix: servers.namespace });
      const before = (await book.state(sku)).generation;
      const done = await Promise.all(['a', 'b', 'c', 'd'].map(() => reconcile(looking, book, sku)));
      expect(countOf(done.map(({ rebuilt }) => String(rebuilt)))).toEqual({ lost: 1, undefined: 3 });
      expect((await gate.state(sku))?.generation).toBeGreaterThan(before);
      expect(await reconcile(gate, book, sku)).toEqual({ rebuilt: undefined, requeued: 0 });
    });

    test('who was told yes and waits for his order keeps it when the gate is counted anew', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(4);
      const failing = book.count(sku, async (count) => {
        await gate.load(sku, count);
        throw new Error('killed before the commit');
      });
      await outcome(failing);
      expect(await outcomes(['a', 'b', 'c'].map((user) => buy(user)))).toEqual({ ok: 3 });
      // Whom the gate has let in twice is let in once; whom it doesn't know has no part in the count.
      const { orders } = gate.keys(sku);
      const [entry] = await redis.xrange(orders, '-', '+');
      await redis.xadd(orders, '*', ...(entry?.[1] ?? []));
      await redis.xadd(orders, '*', 'nonsense', '1');
      expect(await reconcile(gate, book, sku)).toMatchObject({ rebuilt: 'generation' });
      expect((await gate.state(sku))?.stock).toBe(1);
      expect(await outcomes(['d', 'e', 'f'].map((user) => buy(user)))).toEqual({ ok: 1, sold_out: 2 });
      hire();
      await ordered(4);
      expect([[...(await book.state(sku)).buyers.keys()].sort(), await stocks()]).toEqual([
        ['a', 'b', 'c', 'd'],
        [0, 0],
      ]);
    });

    test('a book that was restored from a backup counts above the gate', async () => {
      const { buy, gate, book, sku, hire, ordered, stocks } = await open(5);
      const { item } = gate.keys(sku);
      // Also by the very next number.
      for (const by of [1_000, 1]) {
        const ahead = (await book.state(sku)).generation + by;
        await redis.hset(item, 'generation', ahead);
        await buy('mo');
        expect(await reconcile(gate, book, sku)).toMatchObject({ rebuilt: 'generation' });
        expect((await book.state(sku)).generation).toBeGreaterThan(ahead);
      }
      hire();
      await ordered(1);
      expect(await stocks()).toEqual([4, 4]);
    });

    test('whose order was cancelled is told so when the same request comes again, and gets one by another', async () => {
      const { buy, book, gate, hire, ordered, stocks, due, sku } = await open(1);
      hire();
      await buy('mo');
      await ordered(1);
      await giveBack(gate, book);
      await due(0);
      expect([await book.expire(), await giveBack(gate, book), await giveBack(gate, book)]).toEqual([1, 1, 0]);
      expect([await buy('mo'), await stocks()]).toEqual([{ outcome: 'cancelled' }, [1, 1]]);
      // A gate that has forgotten it, too, is told by the book.
      await redis.del(...Object.values(gate.keys(sku)));
      await reconcile(gate, book, sku);
      await buy('mo');
      await until(async () => (await stocks())[0] === 1, { what: 'the unit to come back', timeoutMs: ORDERED_MS });
      expect([await buy('mo'), await buy('mo', 'r2')]).toEqual([
        { outcome: 'cancelled' },
        { outcome: 'ok', orderId: orderIdOf(sku, 'mo', 'r2') },
      ]);
      await ordered(1);
    });

    test('an entry that can never be ordered stops no other', async () => {
      const { buy, book, hire, ordered, errors, waiting, sku } = await open(12);
      const never = Object.create(book, {
        place: {
          value: (entry: Parameters<OrderBook['place']>[0]) =>
            entry.user === 'u0' ? Promise.reject(new Error('not this one')) : book.place(entry),
        },
      });
      for (const user of users(12)) await buy(user);
      // All of them make the group at once, and none of them minds.
      for (const _ of users(8)) hire(100, { book: never });
      await until(async () => (await book.state(sku)).buyers.size === 11, { timeoutMs: ORDERED_MS });
      await until(async () => (await waiting()) === 1);
      expect(countOf(errors.map(String))).toEqual({ 'Error: not this one': expect.any(Number) });
      hire(100);
      await ordered(12);
    });

    test('the time limit of a command is none for a worker that waits for entries', async () => {
      const { sku, prefix, hire, buy, ordered, errors } = await open(5);
      const hasty = connect(node.url, 400);
      onTestFinished(() => hasty.disconnect());
      hire(60_000, { gate: new Gate({ redis: hasty, prefix, tries: 1_000 }) });
      await new Promise((done) => setTimeout(done, 500));
      await buy('mo');
      await ordered(1);
      expect(errors.map(String), sku).toEqual([]);
    });

    test('a worker that dies with an entry, before or after it is written, leaves it to another', async () => {
      const { buy, book, hire, ordered, stocks, sku, gate } = await open(6);
      let taken = 0;
      class Dies extends OrderBook {
        override async place(entry: Parameters<OrderBook['place']>[0]) {
          taken += 1;
          if (entry.user > 'u2') await super.place(entry);
          return new Promise<never>(() => {});
        }
      }
      const held = async () => (await redis.xpending(gate.keys(sku).orders, 'clerks'))[0];
      for (const [n, user] of users(6).entries()) {
        hire(100_000, { book: new Dies({ pool }) });
        await buy(user);
        await until(() => taken > n, { what: `${user}'s entry to be taken`, timeoutMs: ORDERED_MS });
        expect(await held(), 'entries in the hands of the dead').toBe(n + 1);
      }
      await until(async () => (await book.state(sku)).buyers.size === 3, { timeoutMs: ORDERED_MS });
      hire(1);
      await ordered(6);
      expect(await stocks()).toEqual([0, 0]);
    });

    test('a worker whose gate is gone tells it, whatever the book says, and leaves the entry to another', async () => {
      const says = ['placed', 'stale', 'cancelled', 'duplicate', 'sold_out'] as const;
      await Promise.all(
        says.map(async (said) => {
          const { buy, book, prefix, hire, ordered, errors, waiting } = await open(1);
          const own = connect();
          await own.ping();
          const place = { value: async () => own.disconnect() ?? said };
          const hired = hire(100_000, { gate: new Gate({ redis: own, prefix }), book: Object.create(book, { place }) });
          await buy('mo');
          await until(() => errors.length > 0, { timeoutMs: ORDERED_MS, what: `an error behind ${said}` });
          expect([String(errors[0]), await waiting()]).toEqual([expect.stringContaining('Connection is closed'), 1]);
          await hired[Symbol.asyncDispose]();
          hire(1);
          await ordered(1);
        }),
      );
    });

    test('a worker that is refused tells why, and waits before it asks again', async ({ skip }) => {
      skip(!servers.faults, 'it makes a user of the server, and this server is not ours');
      const { sku, prefix, buy, ordered } = await open(1);
      const [name, password] = [`clerk-${randomUUID()}`, randomUUID()];
      const allow = (...rules: string[]) => redis.call('ACL', 'SETUSER', name, ...rules);
      await allow('on', `>${password}`, `~${prefix}*`, '+@all', '-xgroup', '-xautoclaim');
      const own = connect(node.url.replace(/\/\/(?:.*@)?/, `//${name}:${password}@`));
      onTestFinished(async () => {
        own.disconnect();
        await redis.call('ACL', 'DELUSER', name);
      });
      const told: { what: string; at: number }[] = [];
      const onError = (error: unknown) => void told.push({ what: String(error), at: performance.now() });
      const gate = new Gate({ redis: own, prefix });
      await using _ = new OrderWorker({ gate, book: new OrderBook({ pool }), sku, onError });
      await until(() => told.length > 1, { what: 'a worker that may not read to say so twice' });
      await allow('+xautoclaim');
      await until(() => told.at(-1)?.what.includes('xgroup'), { what: 'a worker that may make no group to say so' });
      const [first, second] = told;
      expect([first?.what, second?.what]).toEqual(Array(2).fill(expect.stringContaining('xautoclaim')));
      const waits = told.slice(1).map(({ at }, n) => at - (told[n]?.at ?? 0));
      expect(Math.min(...waits), 'ms from one to the next').toBeGreaterThan(150);
      await allow('+xgroup');
      await buy('mo');
      await ordered(1);
    });

    test('what fails is not tried again at once, and what goes well is not waited for', async () => {
      const { buy, book, hire, sku, ordered } = await open(40);
      const tried: number[] = [];
      const place = { value: async () => Promise.reject(new Error(`try ${tried.push(performance.now())}`)) };
      await buy('u0');
      const failing = hire(1, { book: Object.create(book, { place }) });
      await until(() => tried.length > 1);
      await failing[Symbol.asyncDispose]();
      const [first = 0, second = 0] = tried;
      expect(second - first, 'ms between two tries').toBeGreaterThan(150);
      const looks: number[] = [];
      const expire = { value: async () => looks.push(performance.now()) };
      const shop = new Shop({
        gate: new Gate({ redis }),
        book: Object.create(book, { expire }),
        skus: [],
        onError: () => {},
        everyMs: 200,
      });
      await until(() => looks.length > 1);
      await shop[Symbol.asyncDispose]();
      expect((looks[1] ?? 0) - (looks[0] ?? 0), 'ms between two rounds').toBeGreaterThan(150);
      hire(1);
      await ordered(1);
      expect((await book.state(sku)).stock).toBe(39);
    });

    test('whoever ends a shop has what is under way ended first', async () => {
      const { buy, sku, gate, book, onError, waiting } = await open(1);
      const held = Promise.withResolvers<void>();
      const begun: string[] = [];
      const ended: string[] = [];
      const step = async <T>(name: string, work: () => Promise<T>) => {
        begun.push(name);
        await held.promise;
        const result = await work();
        ended.push(name);
        return result;
      };
      class Held extends OrderBook {
        override place = (entry: Parameters<OrderBook['place']>[0]) => step('place', () => book.place(entry));
        override expire = () => step('expire', async () => 0);
      }
      await buy('mo');
      const shop = new Shop({ gate, book: new Held({ pool }), skus: [sku], onError });
      await until(() => begun.length === 2, { timeoutMs: ORDERED_MS });
      const ending = shop[Symbol.asyncDispose]().then(() => [...ended].sort());
      await new Promise((later) => setImmediate(later));
      held.resolve();
      expect([await ending, await waiting()]).toEqual([['expire', 'place'], 0]);
    });

    test('an entry that nobody can read is left out, and those behind it are ordered', async () => {
      const { buy, gate, hire, ordered, sku, errors, waiting } = await open(2);
      await redis.xadd(gate.keys(sku).orders, '*', 'nonsense', '1');
      await redis.xadd(gate.keys(sku).orders, '*', 'user', 'a\0', 'order', 'x', 'generation', '1');
      await buy('mo');
      hire();
      await ordered(1);
      expect([String(errors[0]), await waiting()]).toEqual([expect.stringContaining('["nonsense","1"]'), 0]);
    });

    test('a book that is away loses nothing: the orders come when it is back', async () => {
      const { buy, book, hire, ordered, errors } = await open(3);
      let away = true;
      const flaky = Object.create(book, {
        place: {
          value: (entry: Parameters<OrderBook['place']>[0]) =>
            away ? Promise.reject(new Error('away')) : book.place(entry),
        },
      });
      hire(50, { book: flaky });
      await Promise.all(users(3).map((user) => buy(user)));
      await until(() => errors.length > 0);
      away = false;
      await ordered(3);
    });

    test('who tries too often is told to wait, and nobody else; the same request is answered all the same', async () => {
      const { buy } = await open(5, { tries: 3, windowMs: 60_000 });
      const first = await buy('mo', 'r');
      const tries = ['x', 'y', 'z', 'q'].map((request) => buy('mo', request));
      expect(await outcomes(tries)).toEqual({ duplicate: 2, busy: 2 });
      expect([await buy('mo', 'r'), await buy('jo', 'r')]).toEqual([
        first,
        { outcome: 'ok', orderId: expect.any(String) },
      ]);
      const { buy: soon } = await open(5, { tries: 1, windowMs: 200 });
      await soon('mo', 'r');
      await until(async () => (await soon('mo', 'later')).outcome === 'duplicate', { what: 'the window to end' });
    });

    test('a Redis that hangs is an error within its time, and to ask again with the same request gets one', async () => {
      const { gate, sku, prefix, stocks } = await open(5);
      const net = await node.proxy();
      const slow = connect(net.url, 200);
      onTestFinished(async () => {
        slow.disconnect();
        await net[Symbol.asyncDispose]();
      });
      const distant = new Gate({ redis: slow, prefix });
      await until(() => distant.state(sku), { what: 'it to be connected' });
      net.partition('down');
      expect((await outcome(distant.buy('mo', sku, 'r'))).error).toBeInstanceOf(StoreUnavailableError);
      await until(async () => (await stocks())[0] === 4);
      const one = { outcome: 'ok', orderId: orderIdOf(sku, 'mo', 'r') };
      expect([await gate.buy('mo', sku, 'r'), (await stocks())[0]]).toEqual([one, 4]);
      await until(() => slow.status !== 'ready', { what: 'the connection to be given up, with what waits in it' });
      net.heal();
      const again = await until(() => distant.buy('mo', sku, 'r'), { what: 'another one' });
      expect([again, (await stocks())[0]]).toEqual([one, 4]);
    });

    test('a client of the caller that gives numbers as text is understood', async () => {
      const client = new Redis(node.url, { stringNumbers: true });
      onTestFinished(() => client.disconnect());
      const { sku, book, hire, ordered, due, stocks, prefix } = await open(2);
      const gate = new Gate({ redis: client, prefix });
      const bought = await gate.buy('mo', sku, 'r');
      const orderId = bought.outcome === 'ok' ? bought.orderId : '';
      expect(await gate.requeue(sku, 'mo', orderId), 'on its way again').toBe(true);
      hire(300, { gate });
      await ordered(1);
      await due(0);
      await book.expire();
      expect(await giveBack(gate, book), 'given back').toBeGreaterThan(0);
      expect(await stocks()).toEqual([2, 2]);
      expect(await gate.load(sku, { stock: 2, startsAt: 0, generation: 1_000_000, buyers: new Map() }), 'loaded').toBe(
        true,
      );
    });

    test('a Redis that is still loading its data is asked nevertheless: nobody who has had his error gets one later', async () => {
      const { sku, prefix } = await open(5);
      await using link = await stillLoading(node.url);
      const early = connect(link.url, 200);
      onTestFinished(() => early.disconnect());
      // Its own "LOADING" comes at once, and nothing is kept for later.
      expect(await new Gate({ redis: early, prefix }).buy('mo', sku, 'r')).toMatchObject({ outcome: 'ok' });
    });

    test('a Postgres that is away is an error that says so', async () => {
      const away = new OrderBook({ pool: new Pool({ connectionString: 'postgres://127.0.0.1:1/none' }) });
      const calls = [away.order('a'), away.pay('a', 'b'), away.expire(), away.state('a'), away.owed()];
      for (const { error } of await Promise.all(calls.map((call) => outcome<unknown>(call)))) {
        expect(error).toBeInstanceOf(StoreUnavailableError);
      }
    });

    test('a Postgres that ends a statement for its own reasons is an error that says to ask again', async () => {
      const { sku, book } = await open(1);
      const own = new Pool({ connectionString: postgres.url, statement_timeout: 100 });
      const holder = await pool.connect();
      onTestFinished(async () => {
        await holder.query('ROLLBACK');
        holder.release();
        await own.end();
      });
      await holder.query('BEGIN');
      await holder.query('SELECT FROM seckill_items WHERE sku = $1 FOR UPDATE', [sku]);
      const { generation } = await book.state(sku);
      const hasty = new OrderBook({ pool: own });
      const { error } = await outcome(hasty.place({ sku, user: 'mo', orderId: 'x', generation }));
      expect(error).toBeInstanceOf(StoreUnavailableError);
    });

    test('what is no id, no number and no item is refused before anything is sent', async () => {
      const { gate, book, sku, stocks } = await open(1);
      for (const bad of ['', 'a b', 'a\0', '{x}', 'é', 'x'.repeat(65), 'a\n', undefined, null, 3, ['a']]) {
        const id: string = JSON.parse(JSON.stringify(bad ?? null));
        const calls = [
          gate.buy(id, sku, 'r'),
          gate.buy('u', id, 'r'),
          gate.buy('u', sku, id),
          book.pay(id, 'p'),
          book.order(id),
        ];
        const all = [...calls, book.offer(id, 1, PAST)].map((call) => outcome<unknown>(call));
        for (const { error } of await Promise.all(all)) expect(error, String(bad)).toBeInstanceOf(InvalidArgumentError);
      }
      for (const bad of [-1, 1.5, Number.NaN, 2 ** 31]) {
        expect((await outcome(book.offer('x', bad, PAST))).error).toBeInstanceOf(InvalidArgumentError);
        expect(() => new Gate({ redis, tries: bad })).toThrow(InvalidArgumentError);
        expect(() => new OrderBook({ pool, payWithinMs: bad })).toThrow(InvalidArgumentError);
      }
      for (const bad of [Number.NaN, -8.64e15]) {
        expect((await outcome(book.offer('x', 1, new Date(bad)))).error).toBeInstanceOf(InvalidArgumentError);
      }
      for (const bad of [0, -1, Number.NaN]) {
        expect((await outcome(book.expire(bad))).error).toBeInstanceOf(InvalidArgumentError);
        expect((await outcome(book.owed(bad))).error).toBeInstanceOf(InvalidArgumentError);
        const shop = Object.create({ gate, book });
        expect(() => seckillApi(shop, { onError: () => {}, refreshMs: bad })).toThrow(InvalidArgumentError);
        expect(() => new Shop({ gate, book, skus: [], onError: () => {}, everyMs: bad })).toThrow(InvalidArgumentError);
      }
      expect((await outcome(book.state('a\0'))).error).toBeInstanceOf(InvalidArgumentError);
      const entry = { sku, user: 'a\0', orderId: 'x', generation: 1 };
      expect((await outcome(book.place(entry))).error).toBeInstanceOf(InvalidArgumentError);
      const count = { stock: 1, startsAt: 0, generation: Number.NaN, buyers: new Map() };
      expect((await outcome(gate.load(sku, count))).error).toBeInstanceOf(InvalidArgumentError);
      expect((await outcome(book.state('nowhere'))).error).toBeInstanceOf(UnknownItemError);
      expect((await outcome(reconcile(gate, book, 'nowhere'))).error).toBeInstanceOf(UnknownItemError);
      expect(await stocks()).toEqual([1, 1]);
    });

    test('the least and the most of each number are taken, and what is left out is what the options say', async () => {
      const { sku, prefix, onError } = await open(1);
      const gate = new Gate({ redis, prefix, tries: 1, windowMs: 1 });
      const book = new OrderBook({ pool, payWithinMs: 1 });
      const first = Date.parse('0001-01-01T00:00:00Z');
      await book.offer(`${sku}-none`, 0, new Date(first));
      await book.offer(`${sku}-all`, 2 ** 31 - 1, PAST);
      expect((await book.state(`${sku}-all`)).stock).toBe(2 ** 31 - 1);
      expect((await outcome(book.offer('x', 1, new Date(first - 1)))).error).toBeInstanceOf(InvalidArgumentError);
      expect(await gate.load(`${sku}-none`, { stock: 0, startsAt: 0, generation: 0, buyers: new Map() })).toBe(true);
      const { generation } = await book.state(sku);
      const orders = ['a', 'b'].map((user) => ({ sku: `${sku}-all`, user, orderId: `${sku}-${user}`, generation: 0 }));
      for (const order of orders) expect(await book.place(order)).toBe('placed');
      await until(
        async () =>
          (await pool.query('SELECT FROM seckill_orders WHERE sku = $1 AND due < now()', [`${sku}-all`])).rowCount ===
          2,
      );
      expect([await book.expire(1), await book.expire(1), await book.expire(1)]).toEqual([1, 1, 0]);
      expect(await book.owed(1)).toHaveLength(1);
      await new OrderWorker({ gate, book, sku, onError, claimMs: 1 })[Symbol.asyncDispose]();
      const shop = new Shop({ gate, book, skus: [], onError, everyMs: 1 });
      await seckillApi(shop, { onError, refreshMs: 1 }).close();
      await shop[Symbol.asyncDispose]();
      // Nobody's options: five tries, and a quarter of an hour.
      const plain = new Gate({ redis, prefix });
      const tries = users(6).map((request) => plain.buy('mo', sku, request));
      expect(await outcomes(tries)).toEqual({ ok: 1, duplicate: 4, busy: 1 });
      const slow = new OrderBook({ pool });
      await slow.place({ sku, user: 'mo', orderId: `${sku}-mo`, generation });
      const { rows } = await pool.query(
        "SELECT due > now() + interval '14 min' AS late FROM seckill_orders WHERE id = $1",
        [`${sku}-mo`],
      );
      expect(rows).toEqual([{ late: true }]);
    });

    test('a payment pays one order', async () => {
      const { buy, book, hire, ordered, sku } = await open(2);
      hire();
      await Promise.all([buy('a'), buy('b')]);
      await ordered(2);
      const [a, b] = [orderIdOf(sku, 'a', 'r'), orderIdOf(sku, 'b', 'r')];
      const payment = `p-${sku}`;
      expect([await book.pay(a, payment), await book.pay(a, payment)]).toEqual(['paid', 'paid']);
      expect((await outcome(book.pay(b, payment))).error).toBeInstanceOf(InvalidArgumentError);
      expect((await book.order(b))?.state).toBe('pending');
      expect([await book.pay(orderIdOf(sku, 'c', 'r'), 'p'), (await book.order(b))?.state]).toEqual([
        'unknown',
        'pending',
      ]);
    });

    test('money that is owed back pays nothing, and money that has paid is not owed back', async () => {
      const { buy, book, hire, ordered, sku, due } = await open(3);
      hire();
      await buy('late');
      await ordered(1);
      await due(0);
      await book.expire();
      await Promise.all([buy('b'), buy('c')]);
      await ordered(2);
      const [late = '', b = '', c = ''] = ['late', 'b', 'c'].map((user) => orderIdOf(sku, user, 'r'));
      expect(await book.pay(late, `late-${sku}`)).toBe('refunded');
      expect((await outcome(book.pay(b, `late-${sku}`))).error).toBeInstanceOf(InvalidArgumentError);
      expect(await book.pay(c, `c-${sku}`)).toBe('paid');
      expect((await outcome(book.pay(late, `c-${sku}`))).error).toBeInstanceOf(InvalidArgumentError);
      const both = await Promise.all([b, late].map((id) => outcome(book.pay(id, `both-${sku}`))));
      expect(both.filter(({ error }) => error === undefined)).toHaveLength(1);
      const owed = await pool.query(
        'SELECT FROM seckill_refunds r JOIN seckill_orders o ON o.payment = r.payment WHERE o.sku = $1',
        [sku],
      );
      expect([(await book.state(sku)).paid, owed.rowCount]).toEqual([both[0]?.error === undefined ? 2 : 1, 0]);
    });

    test('the live view reads once for all who look', async () => {
      const { gate, book, sku, onError } = await open(2);
      const held = Promise.withResolvers<void>();
      let readings = 0;
      const state = async (of: string) => {
        readings += 1;
        await held.promise;
        return book.state(of);
      };
      const slow = Object.create(book, { state: { value: state } });
      const api = seckillApi(Object.create({ gate, book: slow }), { onError, refreshMs: 10_000 });
      let requests = 0;
      api.app.addHook('preHandler', async () => void requests++);
      onTestFinished(() => api.close());
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const look = async () => Array.fromAsync(takeLines(await fetch(`${url}/items/${sku}/live`), 1));
      const looking = users(8).map(look);
      await until(() => requests === 8 && readings > 0);
      held.resolve();
      const lines = await Promise.all(looking);
      expect(new Set(lines.flat()).size).toBe(1);
      expect(readings, 'readings for 8 who look').toBe(1);
    });

    test('over HTTP each has its status, and the live view counts', async () => {
      const { gate, book, sku, onError, ordered } = await open(2);
      const shop = new Shop({ gate, book, skus: [sku], onError, everyMs: 20 });
      const api = seckillApi(shop, { onError, refreshMs: 10 });
      onTestFinished(async () => {
        await api.close();
        await shop[Symbol.asyncDispose]();
      });
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const post = async (path: string, body: unknown) => {
        const headers = { 'content-type': 'application/json' };
        const response = await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
        return [response.status, await response.json()];
      };
      const orderId = orderIdOf(sku, 'mo', 'r');
      expect(await post('/buy', { user: 'mo', sku, requestId: 'r' })).toEqual([200, { outcome: 'ok', orderId }]);
      expect(await post('/buy', { user: 'm o', sku, requestId: 'r' })).toMatchObject([400, {}]);
      expect(await post('/buy', { user: 'mo', sku })).toMatchObject([422, {}]);
      expect(await post('/buy', { user: 'mo', sku: 'nowhere', requestId: 'r' })).toEqual([200, { outcome: 'busy' }]);
      await ordered(1);
      expect(await post('/payments', { orderId, paymentId: `h-${sku}` })).toEqual([200, { outcome: 'paid' }]);
      const order = await fetch(`${url}/orders/${orderId}`);
      expect(await order.json()).toMatchObject({ state: 'paid' });
      expect((await fetch(`${url}/items/nowhere/live`)).status).toBe(404);
      const live = await fetch(`${url}/items/${sku}/live`);
      const [line = ''] = await Array.fromAsync(takeLines(live, 1));
      expect(JSON.parse(line)).toEqual({ initial: 2, stock: 1, reserved: 1, ordered: 1, paid: 1 });
      expect(await (await fetch(url)).text()).toContain('<title>Seckill</title>');
      // Whoever goes on looking keeps no server from ending.
      const looking = await fetch(`${url}/items/${sku}/live`);
      const until = AbortSignal.timeout(5_000);
      await Promise.race([api.close(), new Promise((_, late) => until.addEventListener('abort', late))]);
      await looking.text();
    });

    test('over HTTP a store that is away is 503, and the live view goes on with what the book knows', async () => {
      const { sku, onError, prefix } = await open(2);
      const gone = connect();
      gone.disconnect();
      class Faulty extends OrderBook {
        override order = () => Promise.reject(new Error('a fault of its own'));
      }
      const shop = Object.create({ gate: new Gate({ redis: gone, prefix }), book: new Faulty({ pool }) });
      const api = seckillApi(shop, { onError, refreshMs: 200 });
      onTestFinished(() => api.close());
      const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ user: 'mo', sku, requestId: 'r' });
      expect((await fetch(`${url}/buy`, { method: 'POST', headers, body })).status).toBe(503);
      expect((await fetch(`${url}/orders/x`)).status).toBe(500);
      const asked = performance.now();
      for await (const line of takeLines(await fetch(`${url}/items/${sku}/live`), 2)) {
        expect(JSON.parse(line)).toEqual({ initial: 2, reserved: 0, ordered: 0, paid: 0 });
      }
      expect(performance.now() - asked, 'ms to the second line').toBeGreaterThan(150);
    });

    test('processes that are killed at random, and a Redis that is emptied, sell everything once', {
      timeout: 30_000,
    }, async () => {
      const stock = 60;
      const { sku, prefix, book, gate } = await open(stock);
      const source = random(SEED);
      const impl = resolve(process.env['LAB_IMPL'] ?? 'src/index.ts');
      const running: Branch[] = [];
      onTestFinished(async () => {
        await Promise.all(running.map((branch) => branch.kill()));
      });
      const start = async () =>
        running.push(await Branch.open({ postgres: postgres.url, redis: node.url, prefix, impl, sku }));
      await Promise.all([start(), start()]);
      let done = false;
      const buyer = async (user: string) => {
        const body = { user, sku, requestId: randomUUID() };
        while (!done) {
          const branch = source.pick(running);
          const said = await branch.post('/buy', body).catch(() => undefined);
          if (said !== undefined && said.outcome !== 'busy') return;
          await new Promise((again) => setTimeout(again, 20));
        }
      };
      const buying = users(200).map(buyer);
      const seen: string[] = [];
      const audit = async () => {
        const { stock: left, buyers } = await book.state(sku);
        if (left + buyers.size !== stock) seen.push(`book: ${left} left and ${buyers.size} ordered of ${stock}`);
        const state = await gate.state(sku);
        if (state !== undefined && state.stock < 0) seen.push(`gate: ${state.stock}`);
      };
      for (let round = 0; round < 2; round++) {
        await audit();
        await running.shift()?.kill();
        if (round === 1) await redis.del(...Object.values(gate.keys(sku)));
        await start();
      }
      await Promise.all(buying);
      done = true;
      // Who was told yes and lost it with Redis' memory asks again; in the end everything is sold.
      await until(
        async () => {
          await audit();
          if ((await book.state(sku)).buyers.size === stock) return true;
          await outcome(gate.buy(`late-${source.int(0, 10_000)}`, sku, 'r'));
          return false;
        },
        { timeoutMs: 15_000, what: 'everything to be sold' },
      );
      expect(seen, `seed ${SEED}`).toEqual([]);
      const final = await book.state(sku);
      expect([final.stock, final.buyers.size]).toEqual([0, stock]);
      expect(new Set(final.buyers.values()).size).toBe(stock);
    });
  },
);

function countOf(words: readonly string[]): Record<string, number> {
  const groups = Object.groupBy(words, (word) => word);
  return Object.fromEntries(Object.entries(groups).map(([word, all]) => [word, all?.length ?? 0]));
}

async function* takeLines(response: Response, count: number): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      yield line;
      count -= 1;
      if (count === 0) return;
    }
  }
}
