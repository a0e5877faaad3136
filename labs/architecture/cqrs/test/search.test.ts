// A read model in OpenSearch, which has no transaction over documents and checkpoint. A file of its own: its server takes
// seconds of a processor to start.
import { Client } from '@opensearch-project/opensearch';
import { startOpenSearch, startPostgres } from '@shared/services';
import { describeWith, detour, History, outcome, part, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  CommandBus,
  CqrsError,
  InvalidArgumentError,
  type Item,
  type OrderCommand,
  type OrderEvent,
  order,
  PoisonEventError,
  PostgresEventStore,
  type Recorded,
  StaleReadError,
  StoreError,
} from '#lab';
import type * as inOpenSearch from '../src/opensearch-projector.ts';

const { orderSearch, SearchProjector, SearchQueries }: typeof inOpenSearch = await import(
  part('opensearch-projector.ts')
);

const BURGER: readonly Item[] = [{ name: 'grilled cheeseburger', quantity: 2 }];
const FRIES: readonly Item[] = [{ name: 'fries', quantity: 1 }];
const DUCK: readonly Item[] = [{ name: '北京烤鸭汉堡', quantity: 1 }];
const SLOW = { timeout: 60_000 };

await describeWith(
  'cqrs, searched in OpenSearch',
  { search: () => startOpenSearch(), pg: () => startPostgres() },
  ({ search, pg }) => {
    const pool = new Pool({ connectionString: pg.url, max: 4 });
    pool.on('error', () => {});
    const client = new Client({ node: search.url, maxRetries: 0 });
    afterAll(async () => {
      await Promise.all([pool.end(), client.close()]);
    });

    let shops = 0;
    /** A shop of the test's own, whose index shows nothing by itself. */
    const open = async () => {
      const store = new PostgresEventStore<OrderEvent>(pool, `o${++shops}`);
      await store.migrate();
      const bus = new CommandBus(store, order);
      let commands = 0;
      const send = (orderId: string, wish: Wish) => bus.send({ id: `c${++commands}`, orderId, ...wish });
      const place = (orderId: string, items = BURGER) => send(orderId, { type: 'place', customer: 'Li', items });
      const prefix = `${search.namespace}${shops}-`;
      const projector = async (
        options: inOpenSearch.SearchProjectorOptions = {},
        projection: inOpenSearch.SearchProjection<OrderEvent, inOpenSearch.OrderDocument> = orderSearch,
        log: Pick<typeof store, 'readAll'> = store,
      ) => {
        const made = new SearchProjector(client, log, projection, { prefix, refreshMs: 3_600_000, ...options });
        await made.migrate();
        return made;
      };
      const queries = new SearchQueries(client, prefix);
      const found = async (query: object, atLeast?: bigint) => {
        const documents = await queries.search(orderSearch, query, atLeast === undefined ? {} : { atLeast });
        return documents.map(({ items, status }) => `${items} ${status}`).sort();
      };
      return { store, send, place, projector, queries, found, prefix };
    };
    const all = { match_all: {} };
    const match = (query: string) => ({ multi_match: { query, fields: ['items', 'items.zh'] } });
    const drain = async (projector: { round(): Promise<number> }) => {
      while ((await projector.round()) > 0);
    };
    /** Two orders go their way: eight events. */
    const day = async ({
      send,
      place,
    }: {
      send: Send;
      place(orderId: string, items?: readonly Item[]): Promise<unknown>;
    }) => {
      await place('7');
      await place('8', DUCK);
      await send('7', { type: 'change', items: [...BURGER, ...FRIES] });
      for (const type of ['cook', 'finish', 'collect'] as const) await send('7', { type });
      await send('8', { type: 'cook' });
      return (await send('8', { type: 'finish' })).position;
    };
    /** A client of a test's own; `hear` learns of each answer before whoever asked for it, and may keep it from him. */
    const listening = (hear: (answers: number, asked: { method?: string; path?: string }) => unknown) => {
      const own = new Client({ node: search.url, maxRetries: 0 });
      onTestFinished(() => own.close());
      let answers = 0;
      const request = own.transport.request.bind(own.transport);
      Reflect.set(own.transport, 'request', async (...args: unknown[]) => {
        const answer = await Reflect.apply(request, undefined, args);
        await hear(++answers, Object(args[0]));
        return answer;
      });
      return own;
    };
    const EVENING = ['grilled cheeseburger ×2, fries ×1 collected', '北京烤鸭汉堡 ×1 ready'];

    test('an order is found by a word in whatever form it was written, in two languages', SLOW, async () => {
      const shop = await open();
      const copier = await shop.projector({ batch: 3 });
      const position = await day(shop);
      await drain(copier);
      expect(await shop.found(all, position)).toEqual(EVENING);
      // `LIKE '%grilling%'` would not find the first, and no ordinary index serves `LIKE '%烤鸭%'`.
      const words = [
        ['grilling', EVENING[0]],
        ['cheeseburgers', EVENING[0]],
        ['烤鸭', EVENING[1]],
      ] as const;
      for (const [word, hit] of words) expect(await shop.found(match(word)), word).toEqual([hit]);
      expect(await shop.found({ term: { status: 'ready' } }), 'a status is one word').toEqual([EVENING[1]]);
      await expect(shop.found({ sounds_like: 'burger' })).rejects.toMatchObject({
        constructor: StoreError,
        written: 'no',
      });
      for (let n = 10; n < 20; n++) await shop.place(`${n}`);
      const { position: atLeast } = await shop.place('20');
      await drain(copier);
      const limits = [undefined, 1, 20].map(async (limit) => {
        const found = await shop.queries.search(orderSearch, all, { atLeast, ...(limit !== undefined && { limit }) });
        return found.length;
      });
      expect(await Promise.all(limits), 'as many as were asked for, or ten').toEqual([10, 1, 13]);
    });

    test(
      'what is written is found after a refresh, and whoever waits for his own order sees it at once',
      SLOW,
      async () => {
        const { place, projector, found, queries } = await open();
        const copier = await projector();
        const { position } = await place('7');
        const late = queries.search(orderSearch, all, { atLeast: position, timeoutMs: 30 });
        await expect(late).rejects.toMatchObject({ constructor: StaleReadError, position: 0n, atLeast: position });
        const endless = queries.search(orderSearch, all, { atLeast: position, timeoutMs: Number.NaN });
        await expect(endless, 'a wait that is no number').rejects.toThrow(InvalidArgumentError);
        await drain(copier);
        expect(await found(all), 'the copier is done, and no search shows it').toEqual([]);
        const PLACED = ['grilled cheeseburger ×2 placed'];
        expect(await found(all, position)).toEqual(PLACED);
        const loud: typeof orderSearch = {
          ...orderSearch,
          version: 2,
          evolve: (before, event) => ({ ...orderSearch.evolve(before, event), status: 'LOUD' }),
        };
        const next = await projector({}, loud);
        await drain(next);
        expect(await found(all), 'a new version is built beside the one that is searched').toEqual(PLACED);
        await next.publish();
        expect(await found(all), 'it shows what it has from the first moment').toEqual([
          'grilled cheeseburger ×2 LOUD',
        ]);
        expect(await next.round(), 'it has its own checkpoint').toBe(0);
      },
    );

    test(
      'whoever waits for his own order sees it also where a new version is published between any two answers',
      SLOW,
      async () => {
        const { place, projector, prefix } = await open();
        const copier = await projector();
        // The other one is never so far: the copier of the first has come on since it was looked at.
        const next = await projector({}, { ...orderSearch, version: 2 });
        for (const n of [1, 2]) {
          await copier.publish();
          const { position: atLeast } = await place(`${n}`);
          await drain(copier);
          const queries = new SearchQueries(
            listening((answers) => answers === n && next.publish()),
            prefix,
          );
          expect(await queries.search(orderSearch, all, { atLeast }), `after answer ${n}`).toHaveLength(n);
        }
      },
    );

    test(
      'a copier that dies between any two answers of OpenSearch loses nothing and does nothing twice',
      SLOW,
      async () => {
        const history = new History<string>();
        const shop = await open();
        await day(shop);
        /** Works until the n-th answer, and not one instruction more; another copier finishes. */
        const die = async (n: number) => {
          const projection = { ...orderSearch, name: `orders-${n}` };
          const dead = Promise.withResolvers<string>();
          const mortal = listening((answers, { method, path }) => {
            if (answers < n) return;
            dead.resolve(`${method} ${String(path).split('/').at(-1)}`);
            return new Promise(() => {});
          });
          const next = await shop.projector({}, projection);
          const first = new SearchProjector(mortal, shop.store, projection, { prefix: shop.prefix });
          const after = await Promise.race([dead.promise, drain(first).then(() => 'its end')]);
          await drain(next);
          const index = `${shop.prefix}${projection.name}`;
          await client.indices.refresh({ index });
          const { body } = await client.search({ index, body: { version: true, query: all } });
          const found = body.hits.hits
            .map(({ _version, _source }) => `${_source?.items} ${_source?.status}, version ${_version}`)
            .sort();
          history.record(`died after ${after}: ${found.join(' | ')}`);
          return { after, found };
        };
        const deaths = await Promise.all([1, 2, 3].map(die));
        const once = [`${EVENING[0]}, version 5`, `${EVENING[1]}, version 3`];
        expect(
          deaths.map(({ found }) => found),
          history.toString(),
        ).toEqual(deaths.map(() => once));
        const places = ['POST _mget', 'PUT _bulk', 'PUT checkpoint'];
        expect(
          deaths.map(({ after }) => after),
          'before the documents, between them and the checkpoint, and after it',
        ).toEqual(places);
      },
    );

    test(
      'what is searched is not harmed by events that come twice or in disorder, nor by a copier that is late',
      SLOW,
      async () => {
        const shop = await open();
        const position = await day(shop);
        let sent: Recorded<OrderEvent>[] = [];
        const readAll = async (after: bigint, limit: number) => {
          const fresh = await shop.store.readAll(after, limit);
          const again = [...sent, ...fresh.toReversed(), ...fresh];
          sent = fresh;
          return fresh.length === 0 ? [] : again;
        };
        const late = Promise.withResolvers<void>();
        const stands = Promise.withResolvers<void>();
        class Late extends SearchProjector<OrderEvent, inOpenSearch.OrderDocument> {
          protected override async write(
            ...batch: Parameters<inOpenSearch.SearchProjector<OrderEvent, inOpenSearch.OrderDocument>['write']>
          ) {
            stands.resolve();
            await late.promise;
            await super.write(...batch);
          }
        }
        const copier = await shop.projector({ batch: 3 }, orderSearch, { readAll });
        const round = new Late(client, shop.store, orderSearch, { prefix: shop.prefix, batch: 3 }).round();
        await stands.promise;
        await drain(copier);
        late.resolve();
        await round;
        expect(await shop.found(all, position), 'older documents and checkpoints are refused').toEqual(EVENING);
        expect(await copier.round()).toBe(0);
        const inclusive = { readAll: (after: bigint, limit: number) => shop.store.readAll(after - 1n, limit) };
        const again = await shop.projector({}, orderSearch, inclusive);
        expect(await again.round(), 'of a log that gives the last event again and again').toBe(0);
      },
    );

    test('an event whose document can’t be made or is refused stops its search model, and is named', SLOW, async () => {
      const { store, place, send, projector, queries, found } = await open();
      const healthy = await projector();
      const first = await place('7');
      const { position } = await place('8', DUCK);
      const third = await place('9');
      const changed = await send('8', { type: 'change', items: BURGER });
      const { position: last } = await send('8', { type: 'cook' });
      const fussy: typeof orderSearch = {
        ...orderSearch,
        version: 2,
        evolve: (document, event) => {
          if (event.stream === 'order-8') throw new Error('no such burger');
          return orderSearch.evolve(document, event);
        },
      };
      const unspoken: typeof orderSearch = {
        ...orderSearch,
        version: 4,
        evolve: (document, event) => Object.assign(orderSearch.evolve(document, event), { at: event.position }),
      };
      const unfit = { ...orderSearch, version: 3, properties: { customer: { type: 'date' } } };
      const spoilt: typeof orderSearch = {
        ...orderSearch,
        version: 5,
        properties: { customer: { type: 'date' } },
        evolve: (document, event) => {
          const customer = event.version === 1 ? '2026-01-01' : 'Li';
          return { ...orderSearch.evolve(document, event), customer };
        },
      };
      const cases = [
        [await projector({}, fussy), position, first.position, 1],
        [await projector({}, unfit), first.position, 0n, 0],
        [await projector({}, unspoken), first.position, 0n, 0],
        [await projector({}, spoilt), changed.position, third.position, 3],
      ] as const;
      for (const [copier, at, before, documents] of cases) {
        const error = await drain(copier).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ constructor: PoisonEventError, position: at });
        await expect(copier.round(), 'nothing is passed over').rejects.toThrow(PoisonEventError);
        await copier.publish();
        if (before > 0n) expect(await found(all, before), 'what came before it').toHaveLength(documents);
      }
      await healthy.publish();
      await drain(healthy);
      expect(await found(all, last)).toHaveLength(3);
      const nowhere = new SearchQueries(client, `${search.namespace}none-`);
      const wrong: [string, () => unknown][] = [
        ['an upper-case name', () => projector({}, { ...orderSearch, name: 'Orders' })],
        ['a wildcard', () => new SearchQueries(client, '*').search(orderSearch, all)],
        ['a batch of nothing', () => projector({ batch: 0 })],
        ['a limit of nothing', () => queries.search(orderSearch, all, { limit: 0 })],
        ['more than OpenSearch gives at once', () => queries.search(orderSearch, all, { limit: 10_001 })],
        [
          'a name of 201 characters',
          () => new SearchProjector(client, store, orderSearch, { prefix: 'x'.repeat(195) }),
        ],
        ['no index', () => nowhere.search(orderSearch, all)],
        ['no index to wait for', () => nowhere.search(orderSearch, all, { atLeast: 1n })],
      ];
      for (const [what, attempt] of wrong)
        await expect(async () => attempt(), what).rejects.toThrow(InvalidArgumentError);
    });

    test(
      'a document is made from what is kept of it, whether its events come in one batch or in two',
      SLOW,
      async () => {
        const { store, place, send, prefix } = await open();
        const { position } = await place('7');
        await send('7', { type: 'cook' });
        const next = await send('7', { type: 'finish' });
        type Dated = { readonly at: Date | string; readonly seen: readonly string[] };
        const dated: inOpenSearch.SearchProjection<OrderEvent, Dated> = {
          name: 'dated',
          version: 1,
          properties: {},
          evolve: (document, { at }) => ({ at, seen: [...(document?.seen ?? []), typeof document?.at] }),
        };
        for (const [version, batch] of [1, 500].entries()) {
          const copier = new SearchProjector(client, store, { ...dated, version }, { prefix, batch });
          await copier.migrate();
          await drain(copier);
          await copier.publish();
          const [found] = await new SearchQueries(client, prefix).search(dated, all, { atLeast: next.position });
          expect(found?.seen, `${batch} a batch`).toEqual(['undefined', 'string', 'string']);
        }
        // What the client won't read it would not read at each round from then on.
        const hidden = { ...dated, version: 2, evolve: () => JSON.parse('{"__proto__":1}') };
        const copier = new SearchProjector(client, store, hidden, { prefix });
        await copier.migrate();
        const error = await drain(copier).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ constructor: PoisonEventError, position });
      },
    );

    test('what stands at a limit is within it, and what is not said is as the options say', SLOW, async () => {
      const { store, place } = await open();
      const name = 'orders'.padEnd(200 - search.namespace.length, 'x');
      for (const [version, batch] of [
        [0, 1],
        [2 ** 31 - 1, 500],
      ] as const) {
        const options = { prefix: search.namespace, batch, refreshMs: batch };
        await new SearchProjector(client, store, { ...orderSearch, name, version }, options).migrate();
      }
      // With "of order-" before them 512 bytes, which OpenSearch takes as an id, and 513.
      for (const length of [503, 504]) await place('x'.repeat(length));
      const { position: atLeast } = await place('7');
      const readAll = vi.fn((after: bigint, limit: number) => store.readAll(after, limit));
      const copier = new SearchProjector(client, { readAll }, orderSearch);
      await copier.migrate();
      const queries = new SearchQueries(client);
      const late = outcome(queries.search(orderSearch, all, { atLeast: 99n }), 30_000);
      await drain(copier);
      expect(readAll.mock.calls.map(([, limit]) => limit)).toEqual([500, 500]);
      const index = 'shop-orders-1';
      const { body } = await client.indices.getSettings({ index });
      expect(body[index]?.settings?.index).toMatchObject({ refresh_interval: '1000ms' });
      expect(await queries.search(orderSearch, all, { atLeast, limit: 10_000 })).toHaveLength(3);
      expect((await late).error).toMatchObject({
        constructor: StaleReadError,
        message: expect.stringContaining('after 1000 ms'),
      });
    });

    test('whichever question OpenSearch does not answer, whoever asked is told', SLOW, async () => {
      const shop = await open();
      await day(shop);
      let answers = 0;
      let fails = 0;
      const deaf = listening(() => {
        if (++answers === fails) throw new Error('socket hang up');
      });
      const queries = new SearchQueries(deaf, shop.prefix);
      const named = (name: string) => ({ ...orderSearch, name });
      const begun = await shop.projector({ batch: 1 }, named('begun'));
      await begun.round();
      const copier = new SearchProjector(deaf, shop.store, named('begun'), { prefix: shop.prefix, batch: 1 });
      const jobs: [what: string, questions: number, job: () => Promise<unknown>][] = [
        ['migrate', 4, () => new SearchProjector(deaf, shop.store, named(`new-${fails}`), shop).migrate()],
        ['round', 4, () => copier.round()],
        ['search', 3, () => queries.search(named('begun'), all, { atLeast: 1n })],
      ];
      for (const [what, questions, job] of jobs) {
        // The last one first: what had been done until then is not asked for again.
        for (fails = questions; fails > 0; fails--) {
          answers = 0;
          const where = `${what}, question ${fails}`;
          await expect(job(), where).rejects.toMatchObject({ constructor: StoreError, written: 'unknown' });
        }
      }
    });

    test('what OpenSearch refuses is told from what it fails at, and from what was never migrated', SLOW, async () => {
      const { projector, prefix } = await open();
      const unknown = { ...orderSearch, properties: { items: { type: 'burger' } } };
      await expect(projector({}, unknown), 'a mapping').rejects.toMatchObject({
        constructor: StoreError,
        written: 'no',
      });
      await projector();
      let status = 400;
      await using way = await detour(() => search.node, {
        answered: (bytes) => bytes.replace(/(?<=^HTTP\/1.1 |"status":)400/g, `${status}`),
      });
      const far = new Client({ node: way.url(search.url), maxRetries: 0 });
      onTestFinished(() => far.close());
      for (const written of ['no', 'unknown'] as const) {
        for (status of written === 'no' ? [400, 429] : [500, 503]) {
          const asked = new SearchQueries(far, prefix).search(orderSearch, { sounds_like: 'burger' });
          await expect(asked, `${status}`).rejects.toMatchObject({ constructor: StoreError, written });
        }
      }
    });

    test('a document that OpenSearch can’t write just now is no poison event, and is written later', SLOW, async () => {
      const shop = await open();
      const position = await day(shop);
      const copier = await shop.projector();
      const index = `${shop.prefix}orders-1`;
      const block = (shut: boolean) => client.indices.putSettings({ index, body: { 'index.blocks.write': shut } });
      await block(true);
      let status = 403;
      await using way = await detour(() => search.node, {
        answered: (bytes) => bytes.replaceAll('"status":403', `"status":${status}`),
      });
      const far = new Client({ node: way.url(search.url), maxRetries: 0 });
      onTestFinished(() => far.close());
      for (status of [429, 500, 503]) {
        const round = new SearchProjector(far, shop.store, orderSearch, shop).round();
        await expect(round, `${status}`).rejects.toMatchObject({ constructor: StoreError, written: 'no' });
      }
      await block(false);
      await drain(copier);
      expect(await shop.found(all, position)).toEqual(EVENING);
    });

    test('a document that can’t be read is not taken for one that is not there', SLOW, async () => {
      const { store, place, projector, prefix } = await open();
      await place('7');
      await drain(await projector());
      await place('8');
      const index = `${prefix}orders-1`;
      const lost = listening((answers) => answers === 1 && client.indices.delete({ index }));
      const round = new SearchProjector(lost, store, orderSearch, { prefix }).round();
      await expect(round).rejects.toMatchObject({ constructor: StoreError, written: 'no' });
      expect((await client.indices.exists({ index })).body, 'an index that nobody has migrated').toBe(false);
    });

    test('a log that lacks an event of a stream is told, and makes no document', SLOW, async () => {
      const { store, place, send, projector, found } = await open();
      await place('7');
      const { position } = await send('7', { type: 'change', items: FRIES });
      await send('7', { type: 'cook' });
      const readAll = async (after: bigint, limit: number) =>
        (await store.readAll(after, limit)).filter((event) => event.position !== position);
      await (await projector({ batch: 1 }, orderSearch, { readAll })).round();
      const gap = (await projector({}, orderSearch, { readAll })).round();
      await expect(gap).rejects.toMatchObject({ constructor: CqrsError, message: expect.stringContaining('same log') });
      expect(await found(all, 1n)).toEqual(['grilled cheeseburger ×2 placed']);
    });

    test(
      'an OpenSearch whose answer is lost is told from a poison event, and the next round goes on',
      SLOW,
      async () => {
        const shop = await open();
        const position = await day(shop);
        const copier = await shop.projector();
        const net = await search.node.proxy();
        onTestFinished(() => net[Symbol.asyncDispose]());
        const far = new Client({ node: net.url, maxRetries: 0 });
        onTestFinished(() => far.close());
        const written = async () => (await client.exists({ index: `${shop.prefix}orders`, id: 'of order-8' })).body;
        class Cut extends SearchProjector<OrderEvent, inOpenSearch.OrderDocument> {
          protected override async write(
            ...batch: Parameters<inOpenSearch.SearchProjector<OrderEvent, inOpenSearch.OrderDocument>['write']>
          ) {
            net.partition('down');
            const writing = super.write(...batch);
            await until(written, { what: 'the documents to arrive' });
            net.reset();
            await writing;
          }
        }
        const cut = new Cut(far, shop.store, orderSearch, { prefix: shop.prefix }).round();
        await expect(cut).rejects.toMatchObject({ constructor: StoreError, written: 'unknown' });
        await drain(copier);
        expect(await shop.found(all, position)).toEqual(EVENING);
      },
    );
  },
);

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
type Wish = DistributiveOmit<OrderCommand, 'id' | 'orderId'>;
type Send = (orderId: string, wish: Wish) => Promise<{ readonly position: bigint }>;
