// The command side on another database: the same port, the same promises.
import { startMongo, startPostgres } from '@shared/services';
import { describeWith, History, part, until } from '@shared/testkit';
import { MongoClient, MongoServerError, MongoWriteConcernError } from 'mongodb';
import { Pool } from 'pg';
import { afterAll, expect, onTestFinished, test } from 'vitest';
import {
  CommandBus,
  ConflictError,
  type EventStore,
  InvalidArgumentError,
  type OrderEvent,
  order,
  PostgresEventStore,
  Projector,
  Queries,
  type Recorded,
  StoreError,
  sales,
} from '#lab';
import type * as inMongoDB from '../src/mongo-event-store.ts';

const { MongoEventStore }: { MongoEventStore: typeof inMongoDB.MongoEventStore } = await import(
  part('mongo-event-store.ts')
);

const BURGER = [{ name: 'cheeseburger', quantity: 2 }];
const collected = (n: number, items = BURGER): OrderEvent => ({
  type: 'OrderCollected',
  data: { orderId: String(n), items },
});
const entry = (n: number, stream = `order-${n}`, expectedVersion = 0) => ({
  stream,
  expectedVersion,
  events: [collected(n)],
  commandId: `c${n}`,
});
/** All of it, in batches that end in the middle of a command. */
async function all(store: EventStore<OrderEvent>): Promise<Recorded<OrderEvent>[]> {
  const seen: Recorded<OrderEvent>[] = [];
  for (let more = true; more; ) {
    const events = await store.readAll(seen.at(-1)?.position ?? 0n, 3);
    seen.push(...events);
    more = events.length > 0;
  }
  return seen;
}

await describeWith(
  'cqrs, written in MongoDB',
  { mongo: () => startMongo(), pg: () => startPostgres() },
  ({ mongo, pg }) => {
    const pool = new Pool({ connectionString: pg.url, max: 12 });
    pool.on('error', () => {});
    const client = new MongoClient(mongo.url, { serverSelectionTimeoutMS: 2_000 });
    afterAll(async () => {
      await Promise.all([pool.end(), client.close()]);
    });

    let shops = 0;
    const inMongo = async (options: inMongoDB.MongoStoreOptions = {}, name = `m${++shops}`) => {
      const store = new MongoEventStore<OrderEvent>(client.db(), name, options);
      await store.migrate();
      return store;
    };
    const inPostgres = async () => {
      const store = new PostgresEventStore<OrderEvent>(pool, `m${++shops}`);
      await store.migrate();
      return store;
    };
    const both = async (): Promise<readonly (readonly [string, EventStore<OrderEvent>])[]> => [
      ['MongoDB', await inMongo()],
      ['Postgres', await inPostgres()],
    ];

    test('in MongoDB as in Postgres of several decisions on one version one is written', async () => {
      for (const [where, store] of await both()) {
        const append = (commandId: string, expectedVersion: number) =>
          store.append({ stream: 'order-7', expectedVersion, events: [collected(7), collected(7)], commandId });
        const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((id) => append(id, 0)));
        const lost = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
        expect(lost, where).toHaveLength(3);
        for (const error of lost) expect(error, where).toBeInstanceOf(ConflictError);
        await expect(append('e', 1), `${where}: in the middle of a command`).rejects.toThrow(ConflictError);
        await expect(append('f', 5), `${where}: a version that is not there`).rejects.toThrow(ConflictError);
        expect((await store.read('order-7')).map(({ version }) => version)).toEqual([1, 2]);
        await append('g', 2);
        expect((await all(store)).map(({ version }) => version)).toEqual([1, 2, 3, 4]);
      }
    });

    test('in MongoDB as in Postgres a command that is sent again has one effect and the same answer', async () => {
      for (const [where, store] of await both()) {
        const buses = [new CommandBus(store, order), new CommandBus(store, order)];
        const place = { id: 'the same', orderId: '7', type: 'place', customer: 'Li', items: BURGER } as const;
        const answers = await Promise.all([...buses, ...buses].map((bus) => bus.send(place)));
        expect(new Set(answers.map(({ position }) => position)).size, where).toBe(1);
        const again = store.append({ ...entry(8), commandId: 'the same' });
        await expect(again, `${where}: for another order`).rejects.toThrow(ConflictError);
        expect(await all(store), where).toMatchObject([{ type: 'OrderPlaced', position: answers[0]?.position }]);
      }
    });

    test('in MongoDB as in Postgres what is kept comes back as it went, and the rest is refused', async () => {
      const data = {
        'a.b': 1,
        $set: { _id: 'x' },
        text: '汉堡 🍔',
        list: [0.1, -1e21, 2 ** 53, null, true],
        toString: 'own',
      };
      for (const [where, store] of await both()) {
        const event = (kept: unknown) => ({ ...entry(1), events: [{ ...collected(1), data: Object(kept) }] });
        const bad = [
          store.append({ ...entry(1), events: [] }),
          store.append({ ...entry(1), events: [JSON.parse('{"type":"OrderReady"}')] }),
          store.append({ ...entry(1), events: [Object.assign(collected(1), { metadata: { clerk: 'Li' } })] }),
          store.append({ ...entry(1), expectedVersion: Number.NaN }),
          store.append(event({ half: 'user\ud83d' })),
          store.append(event({ at: new Date() })),
          store.read('order\0'),
          store.readAll(0n, 0),
          store.positionOf(''),
        ];
        for (const attempt of await Promise.allSettled(bad))
          expect(attempt, where).toMatchObject({ reason: { constructor: InvalidArgumentError } });
        const before = Date.now();
        const position = await store.append(event(data));
        const [kept] = await store.read('order-1');
        expect(kept, where).toEqual({
          ...event(data).events[0],
          stream: 'order-1',
          version: 1,
          position,
          at: kept?.at,
        });
        expect(Math.abs((kept?.at.getTime() ?? 0) - before), `${where}: by the server's clock`).toBeLessThan(60_000);
        expect(await store.backlog(0n), where).toMatchObject({ events: 1 });
        expect(await store.backlog(position), where).toEqual({ events: 0, ms: 0 });
        await until(async () => (await store.backlog(0n)).ms > 20, { what: 'the event to age' });
      }
    });

    test('in MongoDB as in Postgres a reader beside six writers skips nothing and keeps the order of each stream', async () => {
      for (const [where, store] of await both()) {
        const writers = Array.from({ length: 6 }, async (_, writer) => {
          for (let n = 0; n < 3; n++) {
            const stream = `order-${writer % 3}`;
            const events = [collected(n), collected(n)].slice(writer % 2);
            for (let written = false; !written; ) {
              const expectedVersion = (await store.read(stream)).length;
              written = await store.append({ stream, expectedVersion, events, commandId: `${writer} ${n}` }).then(
                () => true,
                (error: unknown) => {
                  if (error instanceof ConflictError) return false;
                  throw error;
                },
              );
            }
          }
        });
        let writing = true;
        const written = Promise.all(writers).finally(() => {
          writing = false;
        });
        written.catch(() => {});
        const seen: Recorded<OrderEvent>[] = [];
        for (let last = false; !last; ) {
          const over = !writing;
          const events = await store.readAll(seen.at(-1)?.position ?? 0n, 3);
          seen.push(...events);
          last = over && events.length === 0;
        }
        await written;
        expect(seen, where).toHaveLength(3 * (3 * 2 + 3));
        for (const stream of new Set(seen.map((event) => event.stream))) {
          const versions = seen.filter((event) => event.stream === stream).map(({ version }) => version);
          expect(versions, `${where}, ${stream}`).toEqual(versions.map((_, index) => index + 1));
        }
      }
    }, 60_000);

    test('of two who take one place in the log in MongoDB the later takes the next, and no place is left out', async () => {
      const stands = Promise.withResolvers<void>();
      const go = Promise.withResolvers<void>();
      class Slow extends MongoEventStore<OrderEvent> {
        protected override async end(): Promise<number> {
          const end = await super.end();
          stands.resolve();
          await go.promise;
          return end;
        }
      }
      const store = await inMongo();
      const slow = new Slow(client.db(), `m${shops}`).append(entry(1));
      await stands.promise;
      await store.append({ ...entry(2), events: [collected(2), collected(3)] });
      expect(
        (await all(store)).map(({ stream }) => stream),
        'it holds nobody up',
      ).toEqual(['order-2', 'order-2']);
      go.resolve();
      expect(await slow).toBe(3n);
      expect((await all(store)).map(({ position }) => position)).toEqual([1n, 2n, 3n]);
      class Unlucky extends MongoEventStore<OrderEvent> {
        protected override end = async () => 0;
      }
      const error = await new Unlucky(client.db(), `m${shops}`, { patienceMs: 30 })
        .append(entry(4))
        .catch((reason: unknown) => reason);
      expect(error, 'who never gets a place').toMatchObject({ constructor: StoreError, written: 'no' });
    });

    test('in MongoDB no place is taken behind one that the next primary may not have', async () => {
      const db = client.db();
      const first = await inMongo();
      const primary = db.collection(`m${shops}`);
      await first.append(entry(1));
      const store = await inMongo();
      const majority = db.collection(`m${shops}`);
      // The primary is lost as somebody writes: until then "local" shows what it alone has, and from then on nothing does.
      let lost = false;
      const commits = new Proxy(majority, {
        get:
          (_, key) =>
          (...asked: unknown[]) => {
            lost ||= key === 'updateOne';
            const on = !lost && Object(asked[1]).readConcern?.level === 'local' ? primary : majority;
            return Reflect.apply(Reflect.get(on, key), on, asked);
          },
      });
      const failing = new Proxy(db, {
        get: (of, key) => (key === 'collection' ? () => commits : Reflect.get(of, key)),
      });
      await new MongoEventStore<OrderEvent>(failing).append(entry(2));
      const seen = await all(store);
      expect(seen.map(({ stream }) => stream)).toEqual(['order-2']);
      class SentAgain extends MongoEventStore<OrderEvent> {
        #ends = 0;
        protected override async end(): Promise<number> {
          return this.#ends++ === 0 ? 0 : super.end();
        }
      }
      await new SentAgain(db, `m${shops}`).append(entry(1));
      const later = await store.readAll(seen.at(-1)?.position ?? 0n, 3);
      expect(
        later.map(({ stream }) => stream),
        'whom its own driver has sent to the next primary is seen by who had seen the other',
      ).toEqual(['order-1']);
    });

    test('in MongoDB whoever meets what no majority has yet waits for it, and is told of no conflict before', async () => {
      await inMongo();
      const nobodys = client.db().collection(`m${++shops}`);
      const first = await inMongo();
      await first.append(entry(7));
      let looks = 0;
      let confirmed = false;
      const commits = new Proxy(client.db().collection(`m${shops}`), {
        get:
          (primary, key) =>
          (...asked: unknown[]) => {
            looks++;
            const hidden = !confirmed && /^find/.test(String(key)) && Object(asked[1]).readConcern?.level !== 'local';
            const on = hidden ? nobodys : primary;
            return Reflect.apply(Reflect.get(on, key), on, asked);
          },
      });
      const lagging = new Proxy(client.db(), {
        get: (of, key) => (key === 'collection' ? () => commits : Reflect.get(of, key)),
      });
      const send = (id: string, patienceMs: number) =>
        new CommandBus(new MongoEventStore<OrderEvent>(lagging, `m${shops}`, { patienceMs }), {
          ...order,
          decide: () => [collected(7)],
        }).send({ id, orderId: '7', type: 'collect' });
      for (const id of ['c7', 'another']) {
        const tired = await send(id, 50).catch((error: unknown) => error);
        expect(tired, `${id}, who waits no longer`).toMatchObject({ constructor: StoreError, written: 'unknown' });
      }
      looks = 0;
      const both = Promise.all([send('c7', 20_000), send('another', 20_000)]);
      both.catch(() => {});
      await until(() => looks > 100, { what: 'more looks than all attempts take' });
      confirmed = true;
      expect(await both, 'the twin, and who decides anew').toEqual([{ position: 1n }, { position: 2n }]);
    });

    test('what MongoDB refuses is not written, and what it does not confirm may be', async () => {
      const refused = { message: 'Document failed validation', code: 121 };
      const unconfirmed = { code: 64, codeName: 'WriteConcernTimeout', errmsg: 'waiting for replication timed out' };
      const errors = [
        ['no', new MongoServerError(refused)],
        [
          'unknown',
          new MongoServerError({ message: 'not primary', code: 10107, errorLabels: ['RetryableWriteError'] }),
        ],
        ['unknown', new MongoWriteConcernError({ writeConcernError: unconfirmed, ok: 1 })],
      ] as const;
      for (const [written, cause] of errors) {
        const db = client.db();
        const collection = db.collection(`m${++shops}`);
        const commits = new Proxy(collection, {
          get: (of, key) => (key === 'updateOne' ? () => Promise.reject(cause) : Reflect.get(of, key).bind(of)),
        });
        const failing = new Proxy(db, {
          get: (of, key) => (key === 'collection' ? () => commits : Reflect.get(of, key)),
        });
        const told = new MongoEventStore<OrderEvent>(failing).append(entry(1));
        await expect(told, cause.message).rejects.toMatchObject({ constructor: StoreError, written, cause });
      }
    });

    test('what stands at a limit is within it in MongoDB, and a clock that was set back makes no negative lag', async () => {
      const most = 2 ** 31 - 1;
      for (const patienceMs of [1, most]) expect(await inMongo({ patienceMs })).toBeDefined();
      await expect(inMongo({ patienceMs: 0 })).rejects.toThrow(InvalidArgumentError);
      const store = await inMongo();
      await store.append({ ...entry(1, 'x'.repeat(1_000)), commandId: 'c'.repeat(1_000) });
      expect(await store.readAll(0n, 1)).toHaveLength(1);
      expect(await store.readAll(0n, most)).toHaveLength(1);
      const ahead = { $set: { at: new Date(Date.now() + 3_600_000) } };
      await client.db().collection(`m${shops}`).updateMany({}, ahead);
      expect(await store.backlog(0n)).toEqual({ events: 1, ms: 0 });
    });

    test('the projector needs no change to fill the read model in Postgres from a log in MongoDB', async () => {
      const store = await inMongo();
      for (const n of [1, 2, 3]) await store.append(entry(n));
      const till = new Projector(pool, store, sales, { prefix: `m${shops}`, batch: 2 });
      await till.migrate();
      expect(await till.lag()).toMatchObject({ events: 3 });
      while ((await till.round()) > 0);
      const sold = () =>
        new Queries(pool, `m${shops}`).query(sales, async (db, table) => (await db.query(`TABLE ${table}`)).rows);
      expect([await sold(), await till.lag()]).toEqual([
        [{ item: 'cheeseburger', sold: 6 }],
        { events: 0, ms: 0, paused: undefined },
      ]);
      await till.rebuild();
      expect(await sold()).toEqual([{ item: 'cheeseburger', sold: 6 }]);
    });

    test('whoever loses the answer of MongoDB is told that the outcome is unknown, and may send again', async () => {
      const store = await inMongo();
      const net = await mongo.nodes[0].proxy();
      onTestFinished(() => net[Symbol.asyncDispose]());
      const far = new MongoClient(net.url, { serverSelectionTimeoutMS: 300 });
      onTestFinished(() => far.close());
      const remote = new MongoEventStore<OrderEvent>(far.db(client.db().databaseName), `m${shops}`);
      expect(await remote.positionOf('c1')).toBe(undefined);
      class Deaf extends MongoEventStore<OrderEvent> {
        protected override async end(): Promise<number> {
          const end = await super.end();
          net.partition('down');
          return end;
        }
      }
      const lost = new Deaf(far.db(client.db().databaseName), `m${shops}`)
        .append(entry(1))
        .catch((error: unknown) => error);
      await until(async () => (await store.positionOf('c1')) !== undefined, { what: 'the write to arrive' });
      net.reset();
      expect(await lost).toMatchObject({ constructor: StoreError, written: 'unknown' });
      net.heal();
      await expect(store.append(entry(1)), 'sent again').rejects.toThrow(ConflictError);
      expect(await all(store)).toHaveLength(1);
      const nobody = new MongoClient('mongodb://127.0.0.1:1', { serverSelectionTimeoutMS: 50 });
      onTestFinished(() => nobody.close());
      const none = new MongoEventStore(nobody.db('none')).append(entry(1));
      await expect(none).rejects.toMatchObject({ constructor: StoreError, written: 'no' });
    });

    test('whoever writes on a connection to MongoDB that is broken already is told of it by a StoreError', async () => {
      await inMongo();
      const net = await mongo.nodes[0].proxy();
      onTestFinished(() => net[Symbol.asyncDispose]());
      const far = new MongoClient(net.url, { serverSelectionTimeoutMS: 300 });
      onTestFinished(() => far.close());
      class Cut extends MongoEventStore<OrderEvent> {
        protected override async end(): Promise<number> {
          const end = await super.end();
          net.reset();
          return end;
        }
      }
      const store = new Cut(far.db(client.db().databaseName), `m${shops}`);
      const isUp = () =>
        store.read('order-0').then(
          () => true,
          () => false,
        );
      // The driver may hear of it in time; then it asks again by itself, and there is an answer.
      for (let n = 1; n <= 10; n++) {
        const told = await store.append(entry(n)).catch((error: unknown) => error);
        if (typeof told !== 'bigint') expect(told).toMatchObject({ constructor: StoreError, written: 'unknown' });
        await until(isUp);
        net.reset();
        const seen = await store.readAll(0n, 10).catch((error: unknown) => error);
        if (!Array.isArray(seen)) expect(seen).toMatchObject({ constructor: StoreError, written: 'no' });
        await until(isUp);
      }
    });

    test('a MongoDB that is killed under its writers keeps what it said yes to, and has each command once', async () => {
      const store = await inMongo();
      const history = new History<string>();
      const told = new Map<string, bigint>();
      const bus = new CommandBus(store, order, { attempts: 50 });
      let lives = true;
      const writer = async (w: number) => {
        for (let n = 0; lives; n++) {
          const command = {
            id: `${w} ${n}`,
            orderId: `${w}-${n}`,
            type: 'place',
            customer: 'Li',
            items: BURGER,
          } as const;
          for (let done = false; !done; ) {
            done = await bus.send(command).then(
              ({ position }) => {
                told.set(command.id, position);
                return true;
              },
              (error: unknown) => {
                // Whatever the outcome was: the same command again is right.
                if (!(error instanceof StoreError)) throw error;
                history.record(`${command.id}: ${error.written}`);
                return false;
              },
            );
          }
        }
      };
      const writers = Promise.all([1, 2, 3, 4].map(writer));
      writers.catch(() => {});
      await until(() => told.size > 5, { timeoutMs: 20_000, what: 'some orders' });
      await mongo.nodes[0].kill();
      await mongo.nodes[0].restart();
      history.record(`killed and back, ${told.size} told`);
      lives = false;
      await writers;
      const events = await all(store);
      expect(
        events.map(({ position }) => Number(position)),
        history.toString(),
      ).toEqual(events.map((_, n) => n + 1));
      const written = new Map(
        events.map(({ stream, position }) => [stream.replace('order-', '').replace('-', ' '), position]),
      );
      expect([written.size, events.length], history.toString()).toEqual([told.size, told.size]);
      expect(written, history.toString()).toEqual(told);
    }, 60_000);
  },
);
