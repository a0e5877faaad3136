import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { expect, test } from 'vitest';
import { z } from 'zod';
import {
  etag,
  fuzz,
  IdempotencyStore,
  idempotent,
  judge,
  Keyset,
  Problem,
  problemServer,
  problems,
  type Reply,
} from '#lab';
import { draft, ISBN, open, refusal } from './desk.ts';
import { changed } from './edit.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 1);
const PROBLEM = 'application/problem+json';
const json = ({ body }: { readonly body: string }) => JSON.parse(body);

await describeWith('the order desk', { postgres: () => startPostgres() }, ({ postgres }) => {
  const { url } = postgres;

  // ── core ──

  test('whatever goes wrong is answered as a problem, with its own status, and says nothing that is only ours', async () => {
    const thrown: { error?: unknown } = {};
    const { ask, place, stock } = await open(url, {
      onOrder: () => {
        throw thrown.error;
      },
    });
    await stock(ISBN);
    const refused = async (status: number, asking: ReturnType<typeof ask>) => {
      const { headers, ...answer } = await asking;
      const { type, problem } = refusal({ headers, ...answer });
      expect([answer.status, type, problem.status], `status, content type, status in ${answer.body}`).toEqual([
        status,
        PROBLEM,
        status,
      ]);
      return { problem, headers };
    };
    await refused(404, ask('GET', '/nothing'));
    await refused(404, ask('GET', '/books/9780000000019'));
    const { headers } = await refused(405, ask('DELETE', '/books'));
    expect(headers['allow'], 'what a 405 allows').toBe('GET, HEAD');
    await refused(400, place('k', '{"lines":'));
    await refused(413, place('k', `[${' '.repeat(30_000)}]`));
    await refused(415, place('k', 'a letter', { 'content-type': 'text/plain' }));
    await refused(401, ask('GET', '/orders/x', undefined, { authorization: 'Bearer nobody' }));
    const none = await refused(422, place('k', '7'));
    expect(none.problem.errors, 'a pointer to the whole body').toMatchObject([{ in: 'body', pointer: '' }]);
    const inQuery = await refused(400, ask('GET', '/books?limit=0'));
    expect(inQuery.problem.errors).toMatchObject([{ in: 'query', pointer: '/limit' }]);
    const inBody = await refused(422, place('k', { ...draft('', 0), note: 7 }));
    const places = inBody.problem.errors.map((each: { in: string; pointer: string }) => `${each.in} ${each.pointer}`);
    expect(places.sort()).toEqual(['body /deliverTo', 'body /lines/0/quantity', 'body /note']);

    const secret = 'password "wu4" of postgres://books@10.0.0.7';
    // A server that was asked on the way has a status of its own.
    for (const error of [new Error(secret), Object.assign(new Error(secret), { statusCode: 404 }), secret, undefined]) {
      thrown.error = error;
      const { problem } = await refused(500, place('k'));
      expect(JSON.stringify(problem), 'what a 500 tells').not.toContain('wu4');
    }
  });

  test('an order that is sent ten times is placed once, and every answer is the first one, byte for byte', async () => {
    const { place, stock, count, pool } = await open(url, { onOrder: () => delay(10) });
    await stock(ISBN);
    // All connections are open: nobody is alone at first.
    await Promise.all(Array.from({ length: 6 }, () => pool.query('SELECT pg_sleep(0.01)')));
    const patiently = () =>
      until(async () => {
        const answer = await place('the-same-key');
        return answer.status === 409 ? undefined : answer;
      });
    const answers = await Promise.all(Array.from({ length: 10 }, patiently));
    expect(await count('orders'), 'orders of ten retries').toBe(1);
    answers.push(await place('the-same-key'));
    const [first] = answers;
    const seen = answers.map(({ status, headers: { date: _, ...headers }, body }) => ({ status, headers, body }));
    expect(first?.status).toBe(201);
    expect(first?.headers['location']).toBe(`/orders/${json(first ?? { body: '{}' }).id}`);
    for (const each of seen) expect(each, 'a later answer').toEqual(seen[0]);
    expect(Object.keys(seen[10]?.headers ?? {}), 'order of the headers').toEqual(Object.keys(seen[0]?.headers ?? {}));

    await pool.query('UPDATE books SET stock = 5');
    const refused = await place('too-many', draft('Anna', 6));
    expect(refusal(refused)).toMatchObject({ status: 409, problem: { type: expect.stringContaining('sold-out') } });
    await pool.query('UPDATE books SET stock = 100');
    const again = await place('too-many', draft('Anna', 6));
    expect([again.status, again.body], 'a refusal, sent again').toEqual([409, refused.body]);
  });

  test('a key stands for one request of one customer: another payload is a 422, a repeat in flight a 409', async () => {
    const [entered, doors] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const onOrder = () => {
      entered.resolve();
      return doors.promise;
    };
    const { place, stock, count } = await open(url, { onOrder });
    await stock(ISBN);
    const first = place('k');
    await Promise.race([entered.promise, first]);
    const { value } = await outcome(place('k'), 1000).finally(doors.resolve);
    expect([value?.status, value?.headers['retry-after']], 'while the first is in flight').toEqual([409, '1']);
    expect((await first).status).toBe(201);
    const other = await place('k', draft('Somebody else, 9 Hill Street'));
    expect([other.status, refusal(other).type], 'the key with another payload').toEqual([422, PROBLEM]);
    const { lines, deliverTo, note } = draft();
    expect((await place('k', { note, deliverTo, lines })).body, 'the same in another order').toBe((await first).body);
    const ben = await place('k', draft(), { authorization: 'Bearer ben' });
    expect(ben.status).toBe(201);
    expect(json(ben).id, 'the order of another customer with this key').not.toBe(json(await first).id);
    expect(await count('orders')).toBe(2);
  });

  test('what is remembered was done, and what failed is not remembered: order and record are committed together', async () => {
    const fate: { run: (() => unknown) | undefined } = { run: undefined };
    const { place, stock, count, pool } = await open(url, { onOrder: () => fate.run?.() });
    await stock(ISBN);
    await pool.query(`CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN IF NEW.deliver_to = 'spoilt' THEN RAISE 'at the commit'; END IF; RETURN NEW; END $$;
      CREATE CONSTRAINT TRIGGER spoil AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spoil()`);
    const failing: Record<string, () => unknown> = {
      'it-throws': () => Promise.reject(new Error('no paper')),
      'its-connection-dies': () =>
        pool.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'INSERT INTO orders%'",
        ),
      'the-commit-fails': () => {},
    };
    for (const [how, run] of Object.entries(failing)) {
      fate.run = run;
      const spoilt = how === 'the-commit-fails' ? 'spoilt' : 'Anna';
      expect((await place(how, draft(spoilt))).status, how).toBe(500);
      expect([await count('orders'), await count('idempotency_keys')], `${how}: orders, records`).toEqual([0, 0]);
      fate.run = undefined;
      await pool.query('ALTER TABLE orders DISABLE TRIGGER spoil');
      expect((await place(how, draft(spoilt))).status, `${how}: the retry`).toBe(201);
      expect([await count('orders'), await count('idempotency_keys')], `${how}: after it`).toEqual([1, 1]);
      await pool.query('TRUNCATE orders, idempotency_keys; ALTER TABLE orders ENABLE TRIGGER spoil');
    }
  });

  test('pages by key neither skip nor repeat a book while others come and go', async () => {
    const { ask, stock, pool } = await open(url);
    const isbns = Array.from({ length: 23 }, (_, n) => `97800000010${10 + n}`);
    // Seven a delivery: ties, and microseconds that a Date doesn't have.
    for (const [n, isbn] of isbns.entries())
      await stock(isbn, 9, `'2026-01-01 10:00:00.000${100 + Math.trunc(n / 7)}'`);
    const seen: string[] = [];
    let cursor: string | null = '';
    for (let page = 0; cursor !== null && page < 20; page++) {
      const from: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const answer = await ask('GET', `/books?limit=4${from}`);
      expect(answer.status, answer.body).toBe(200);
      const { books, cursor: next } = json(answer);
      seen.push(...books.map((each: { isbn: string }) => each.isbn));
      cursor = next;
      await stock(`97800000020${10 + page}`);
      if (page === 2) await pool.query('DELETE FROM books WHERE isbn = $1', [seen[0]]);
    }
    expect(seen, 'the books of all pages, the newest first').toEqual(isbns.toReversed());
  });

  test('a cursor is good for the list that gave it: one that was changed, or is of another search, is a 400', async () => {
    const { ask, stock } = await open(url);
    for (let n = 10; n < 20; n++) await stock(`97800000000${n}`);
    const { cursor } = json(await ask('GET', '/books?limit=3&q=title'));
    const page = (q: string, given: string) => ask('GET', `/books?q=${q}&cursor=${encodeURIComponent(given)}`);
    expect((await page('title', cursor)).status).toBe(200);
    const forged = `${Buffer.from(JSON.stringify(['2000-01-01', '9780000000011'])).toString('base64url')}`;
    const [body, seal] = cursor.split('.');
    for (const given of [
      forged,
      `${forged}.${seal}`,
      `${body}.`,
      `${cursor}!`,
      `x${cursor}`,
      `${cursor}.${seal}`,
      'x',
      '.',
    ]) {
      const { status, type } = refusal(await page('title', given));
      expect([status, type], `the cursor ${given}`).toEqual([400, PROBLEM]);
    }
    expect((await page('97', cursor)).status, 'for another search').toBe(400);
  });

  test('a change names the version that it changes: without one it is a 428, with a stale or weak one a 412', async () => {
    const { ask, place, stock } = await open(url);
    await stock(ISBN);
    const { headers } = await place('k');
    const path = `${headers['location']}`;
    const change = (deliverTo: string, tag?: string) =>
      ask('PUT', path, { deliverTo, note: '' }, tag === undefined ? {} : { 'if-match': tag });
    const first = `${headers['etag']}`;
    expect((await change('Ben')).status, 'without If-Match').toBe(428);
    for (const tag of [`W/${first}`, '"77"', `"x${first.slice(1)}`, '""', `"7,${first.slice(1, -1)}"`]) {
      expect((await change('Ben', tag)).status, `If-Match: ${tag}`).toBe(412);
    }
    for (const tag of [first.slice(1, -1), '', ',', `*, ${first}`, `${first} ${first}`]) {
      expect((await change('Ben', tag)).status, `If-Match: ${tag || '(empty)'}`).toBe(400);
    }
    const ten = await Promise.all(Array.from({ length: 10 }, (_, n) => change(`Editor ${n}`, first)));
    const statuses = ten.map(({ status }) => status).sort();
    expect(statuses, 'ten editors of one version').toEqual([200, ...Array(9).fill(412)]);
    const winner = ten.find(({ status }) => status === 200);
    const now = await ask('GET', path);
    expect([now.body, now.headers['etag']]).toEqual([winner?.body, winner?.headers['etag']]);
    expect((await change('Anna', first)).status, 'the version before').toBe(412);
    expect((await change('Anna', `, "77",, W/"8" , ${now.headers['etag']},`)).status, 'one of a list').toBe(200);
    expect((await change('Ben', '*')).status, 'any version').toBe(200);
  });

  test('taken at its word, the shop breaks it nowhere: no undocumented status, no 500, nothing that was not promised', async () => {
    const { app, send, stock } = await open(url);
    for (let n = 10; n < 30; n++) await stock(`97800000000${n}`, 50);
    const contract = app.swagger();
    const { findings, statuses, sent } = await fuzz({
      contract,
      send,
      judge,
      seed: SEED,
      runs: 40,
      credentials: { authorization: 'Bearer anna' },
    });
    expect(findings, `of ${sent} requests`).toEqual([]);
    expect(statuses.get('POST /orders'), 'what it got to see').toContain(201);
    const blind = changed(contract, ({ drop }) => drop('paths', '/books', 'get', 'responses', '400'));
    const found = await fuzz({ contract: blind, send, judge, seed: SEED, runs: 10 });
    expect(
      found.findings.map(({ operation, what }) => `${operation} ${what}`),
      'by a contract that says less',
    ).toContain('GET /books 400: undocumented');
  });

  // ── hardening ──

  test('a missing or ill-formed key is a 400, and no order', async () => {
    const { ask, place, stock, count } = await open(url);
    await stock(ISBN);
    const missing = refusal(await ask('POST', '/orders', draft()));
    expect([missing.status, missing.problem.type]).toEqual([400, expect.stringContaining('key-missing')]);
    for (const key of ['', 'two words', 'a, b', 'ä', 'x'.repeat(256)]) {
      expect(refusal(await place(key)).problem, `the key ${key}`).toMatchObject({
        status: 400,
        type: expect.stringContaining(key ? 'key-ill-formed' : 'key-missing'),
      });
    }
    expect(await count('orders')).toBe(0);
    for (const key of ['__proto__', 'toString', '"8e03978e-40d5-43dd-bc93-6894a57f9324"', 'x'.repeat(255)]) {
      expect((await place(key)).status, `the key ${key}`).toBe(201);
    }
  });

  test('a body is the same in any order of its fields, and another in another order of its items, where no schema sorts it', async () => {
    const { store } = await open(url);
    const app = Fastify({ ...problemServer });
    app.register(problems);
    let works = 0;
    app.post('/', (request, reply) =>
      idempotent(store, { request, reply, principal: 'anna' }, async () => ({ status: 200, body: { n: ++works } })),
    );
    const send = async (payload: object, key = 'k') =>
      (await app.inject({ method: 'POST', url: '/', headers: { 'idempotency-key': key }, payload })).statusCode;
    const nested = await send({ a: 1, b: [{ c: 1, d: 2 }, 3] });
    const again = await send({ b: [{ d: 2, c: 1 }, 3], a: 1 });
    expect([nested, again, await send({ a: 1, b: [3, { c: 1, d: 2 }] }), works]).toEqual([200, 200, 422, 1]);
    expect([await send({}, ''), await send({}, 'two words'), works], 'no schema, no key').toEqual([400, 400, 1]);
    const deep = `${'['.repeat(2e5)}${']'.repeat(2e5)}`;
    const headers = { 'idempotency-key': 'deep', 'content-type': 'application/json' };
    const { statusCode, body } = await app.inject({ method: 'POST', url: '/', headers, payload: deep });
    expect([statusCode, works], `a body too deep: ${body}`).toEqual([422, 1]);
    const sets = Fastify({ ...problemServer });
    sets.register(problems);
    sets.addHook('preValidation', async (request) => {
      request.body = new Set([request.body]);
    });
    sets.post('/', (request, reply) =>
      idempotent(store, { request, reply, principal: 'ben' }, async () => ({ status: 204 })),
    );
    const set = await sets.inject({ method: 'POST', url: '/', headers: { 'idempotency-key': 'k' }, payload: [1] });
    expect(set.statusCode, 'a body that cannot be told from another').toBe(500);
  });

  test('a customer who hangs up gets, by his retry, what was done: once', async () => {
    const doors = Promise.withResolvers<void>();
    let orders = 0;
    const { app, stock, count, place } = await open(url, {
      onOrder: async () => {
        orders++;
        await doors.promise;
      },
    });
    await stock(ISBN);
    const base = await app.listen({ port: 0, host: '127.0.0.1' });
    const hangUp = new AbortController();
    const headers = { authorization: 'Bearer anna', 'content-type': 'application/json', 'idempotency-key': 'k' };
    const body = JSON.stringify(draft());
    const lost = outcome(fetch(`${base}/orders`, { method: 'POST', headers, body, signal: hangUp.signal }));
    await until(() => orders === 1);
    hangUp.abort();
    expect((await lost).error).toMatchObject({ name: 'AbortError' });
    doors.resolve();
    const retry = await until(async () => {
      const answer = await place('k');
      return answer.status === 201 ? answer : undefined;
    });
    expect([await count('orders'), orders, retry.headers['etag']]).toEqual([1, 1, '"1"']);
  });

  test('a key is forgotten after its time and then stands for a new order; prune deletes what is forgotten alone', async () => {
    const { place, stock, store, count, pool } = await open(url, { ttlMs: 60_000 });
    await stock(ISBN);
    for (const key of ['old', 'older', 'new']) await place(key);
    await pool.query("UPDATE idempotency_keys SET made = made - interval '61 s' WHERE key <> 'new'");
    expect((await place('old', draft('Another', 2))).status).toBe(201);
    expect(await count('orders')).toBe(4);
    expect([await store.prune(), await store.prune(), await count('idempotency_keys')]).toEqual([1, 0, 2]);
    expect((await place('old', draft('Another', 2))).status).toBe(201);
    expect(await count('orders')).toBe(4);
    await pool.query(`INSERT INTO idempotency_keys SELECT 'anna', n::text, '', 201, '{}', '', now() - interval '1 day'
      FROM generate_series(1, 2500) AS n`);
    expect([await store.prune(), await count('idempotency_keys')]).toEqual([2500, 2]);
    for (const ttlMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new IdempotencyStore({ pool, ttlMs }), `${ttlMs}`).toThrow(RangeError);
    }
  });

  test('two shops on one database know each other’s keys', async () => {
    const { place, stock, count, pool } = await open(url);
    await stock(ISBN);
    const other = new IdempotencyStore({ pool });
    const { body } = await place('k');
    const claim = { principal: 'anna', key: 'k', fingerprint: 'another request' };
    const { error } = await outcome(other.once(claim, () => Promise.reject(new Error('done again'))));
    expect(error).toMatchObject({ name: 'Problem', status: 422 });
    const failed = await outcome(other.once({ ...claim, key: 'l' }, () => Promise.reject(new Error('no paper'))));
    expect(failed.error).toMatchObject({ message: 'no paper' });
    const listeners = { count: () => 0 };
    const dying = other.once({ ...claim, key: 'm' }, (tx) => {
      listeners.count = () => tx.listenerCount('error');
      return tx.query('SELECT pg_terminate_backend(pg_backend_pid())').then(() => Promise.reject());
    });
    expect((await outcome(dying)).error).toMatchObject({ code: '57P01' });
    expect(listeners.count(), 'who hears what a dead connection says last').toBeGreaterThan(0);
    expect([(await place('k')).body, await count('orders')]).toEqual([body, 1]);
    expect(pool.totalCount - pool.idleCount, 'connections that nobody has given back').toBe(0);
  });

  test('an answer that the contract forbids is a 500, and its order was never placed', async () => {
    const { place, stock, count, pool } = await open(url);
    await stock(ISBN);
    await pool.query("ALTER TABLE orders ALTER status SET DEFAULT 'eaten'");
    const { status, problem } = refusal(await place('k'));
    expect(status).toBe(500);
    expect(problem.detail, 'what it tells of our schema').not.toContain('schema');
    expect([await count('orders'), await count('idempotency_keys')]).toEqual([0, 0]);
  });

  test('who asks for more than a page can have gets that much; a limit that is no number is refused', async () => {
    const { ask, pool } = await open(url);
    await pool.query(
      "INSERT INTO books SELECT (9780000000000 + n)::text, 'T', 'A', 1, 1 FROM generate_series(1, 105) AS n",
    );
    const rows = async (query: string) => json(await ask('GET', `/books${query}`)).books?.length;
    expect([await rows(''), await rows('?limit=100'), await rows('?limit=2000000000')]).toEqual([20, 100, 100]);
    for (const limit of ['0', '-1', '1.5', '1e1', '0x10', '', ' 7', '07', '9'.repeat(20), 'NaN']) {
      expect((await ask('GET', `/books?limit=${encodeURIComponent(limit)}`)).status, `limit=${limit}`).toBe(400);
    }
    const last = json(await ask('GET', '/books?limit=100'));
    const { books, cursor } = json(await ask('GET', `/books?cursor=${encodeURIComponent(last.cursor)}&limit=5`));
    expect([books.length, cursor], 'the last page, full to the brim').toEqual([5, null]);
    expect(json(await ask('GET', '/books?q=nothing%20like%20it'))).toEqual({ books: [], cursor: null });
  });

  test('pages of numbers go up as well, as far as a bigint reaches', async () => {
    const { pool } = await open(url);
    await pool.query(`CREATE TABLE "big ""numbers" ("the ""id" bigint PRIMARY KEY);
      INSERT INTO "big ""numbers" SELECT 9007199254740990 + n FROM generate_series(1, 9) AS n`);
    const keyset = new Keyset({
      by: { 'the "id': 'bigint' },
      direction: 'asc',
      secret: 'x'.repeat(32),
      maxLimit: 2,
      defaultLimit: 2,
    });
    const seen: unknown[] = [];
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const select = { text: 'SELECT * FROM "big ""numbers" WHERE "the ""id" > $1', values: [9] };
      const page: Awaited<ReturnType<typeof keyset.page>> = await keyset.page(pool, select, { cursor });
      seen.push(...page.rows);
      cursor = page.cursor;
    }
    expect(seen).toEqual(Array.from({ length: 9 }, (_, n) => ({ 'the "id': `${9007199254740991n + BigInt(n)}` })));
    const by = { id: 'bigint' };
    const wrong = [
      { by: {} },
      { secret: 'short' },
      { defaultLimit: 0 },
      { defaultLimit: 1.5 },
      { maxLimit: 19 },
      { maxLimit: 20.5 },
    ];
    for (const each of wrong) {
      const make = () => new Keyset({ by, direction: 'asc', secret: 'x'.repeat(32), ...each });
      expect(make, JSON.stringify(each)).toThrow(RangeError);
    }
    const twoOf = (type: string) =>
      new Keyset({ by: { id: type }, direction: 'asc', secret: 'x'.repeat(32), defaultLimit: 2 });
    const texts = { text: "SELECT 'x' || n AS id FROM generate_series(1, 9) AS n" };
    const { cursor } = await twoOf('text').page(pool, texts, {});
    const refused = [
      keyset.page(pool, texts, { limit: Number.NaN }),
      twoOf('int').page(pool, { text: 'SELECT null::int AS id FROM generate_series(1, 9)' }, {}),
    ];
    for (const each of refused) expect((await outcome(each)).error).toBeInstanceOf(RangeError);
    const { error } = await outcome(twoOf('bigint').page(pool, texts, { cursor: `${cursor}` }));
    expect(error, 'a cursor of columns of another type').toMatchObject({ name: 'Problem', status: 400 });
  });

  test('who has a version already gets a 304, compared weakly', async () => {
    const { ask, place, stock } = await open(url);
    await stock(ISBN);
    const { headers } = await place('k');
    const read = async (tag: string) =>
      (await ask('GET', `${headers['location']}`, undefined, { 'if-none-match': tag })).status;
    expect([await read('"1"'), await read('W/"1"'), await read('"0,"  ,  "1"'), await read('*')]).toEqual([
      304, 304, 304, 304,
    ]);
    expect([await read('"2"'), await read('1'), await read('"1')]).toEqual([200, 400, 400]);
    for (const lost of [Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY, '', 'a"b', '7 ']) {
      expect(() => etag(lost), `the version ${lost}`).toThrow(RangeError);
    }
    const foreign = await ask('GET', `${headers['location']}`, undefined, { authorization: 'Bearer ben' });
    expect(foreign.status, 'the order of another customer').toBe(404);
  });

  test('text that Postgres cannot keep is refused as the contract says, and any other comes back as it was', async () => {
    const { place, stock } = await open(url);
    await stock(ISBN);
    for (const deliverTo of ['a\u0000', 'half \ud83d', '\udc00', '\u001b[2J', '\u0085']) {
      const { status, problem } = refusal(
        await place(`${encodeURIComponent(deliverTo.toWellFormed())}`, draft(deliverTo)),
      );
      expect([status, problem.errors?.[0]?.pointer], JSON.stringify(deliverTo)).toEqual([422, '/deliverTo']);
    }
    for (const [n, deliverTo] of ['猴子 🐒', 'O’Brien\n"2"\t\\', '__proto__', '%_'].entries()) {
      expect(json(await place(`text ${n}`.replace(' ', '-'), draft(deliverTo))).deliverTo).toBe(deliverTo);
    }
  });

  test('what is no HTTP, or has a URL or a header that nobody reads, gets a problem too', async () => {
    const { app, ask } = await open(url);
    expect(refusal(await ask('GET', '/%zz'))).toMatchObject({ status: 400, type: PROBLEM });
    const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));
    const say = async (words: string) => {
      const socket = connect(Number(port), '127.0.0.1');
      socket.write(words);
      const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n');
      return { head, problem: JSON.parse(body) };
    };
    const nonsense = await say('HELLO\r\n\r\n');
    expect(nonsense.head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n(?:.*\r\n)*Content-Type: application\/problem\+json/);
    expect(nonsense.problem).toMatchObject({ status: 400, title: 'Bad Request' });
    const long = await say(`GET /books HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect(long.problem).toMatchObject({ status: 431 });
    const gone = connect(Number(port), '127.0.0.1');
    gone.write('GET /bo');
    gone.resetAndDestroy();
    expect((await ask('GET', '/books')).status, 'after a client that was gone').toBe(200);
    const hostless = await say('GET /books HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(hostless.problem).toMatchObject({ status: 400, detail: 'The header Host is missing.' });
    const request = 'POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n';
    expect((await say(`${request}Expect: tea\r\n\r\n`)).head).toMatch(
      /^HTTP\/1\.1 417 (?:.*\r\n)*content-type: application\/problem/,
    );
  });

  test('words behind a request do not end up in its answer, and a server that is closing says so as a problem', async () => {
    const app = Fastify({ ...problemServer });
    const [begun, doors] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    app.register(problems);
    app.get('/half', (_, reply) => {
      reply.hijack();
      reply.raw.writeHead(200, { 'content-length': 8 }).write('half');
    });
    app.get('/slow', async () => {
      begun.resolve();
      await doors.promise;
      return 'done';
    });
    const { port } = new URL(await app.listen({ port: 0, host: '127.0.0.1' }));
    const dial = () => connect(Number(port), '127.0.0.1');
    const half = dial();
    half.once('data', () => half.write('HELLO\r\n\r\n'));
    half.write('GET /half HTTP/1.1\r\nHost: x\r\n\r\n');
    expect((await text(half)).split('\r\n\r\n')[1]).toBe('half');
    const kept = dial();
    const got = text(kept);
    kept.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    await begun.promise;
    const closed = app.close();
    await until(() => !app.server.listening);
    kept.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n');
    doors.resolve();
    await closed;
    expect(await got).toMatch(/done.*HTTP\/1\.1 503 .*retry-after: 1.*application\/problem\+json.*"status":503/s);
  });

  test('what cannot be sent is not done, and an answer without a body has none', async () => {
    const { store, pool, count } = await open(url);
    const app = Fastify({ ...problemServer });
    app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler);
    app.register(problems);
    let reply: Reply = { status: 204 };
    const schema = { response: { '2xx': z.union([z.object({ a: z.string() }), z.string(), z.null()]) } };
    app.post('/', { schema }, (request, to) =>
      idempotent(store, { request, reply: to, principal: 'anna' }, async (tx) => {
        await tx.query("INSERT INTO books VALUES ('x', 'T', 'A', 1, 1) ON CONFLICT DO NOTHING");
        return reply;
      }),
    );
    let keys = 0;
    const send = async (answer: Reply) => {
      reply = answer;
      const headers = { 'idempotency-key': `k${keys++}` };
      const { statusCode, headers: sent, body } = await app.inject({ method: 'POST', url: '/', headers });
      return [statusCode, sent['content-type'], body];
    };
    const odd = [503, 99, 200.5].map((status): Reply => ({ status, body: {} }));
    for (const each of [...odd, { status: 201, headers: { location: '/茶' } }, { status: 201, body: 7 }]) {
      expect((await send(each)).slice(0, 2), JSON.stringify(each)).toEqual([500, PROBLEM]);
    }
    expect([await count('books'), await count('idempotency_keys')]).toEqual([0, 0]);
    expect(await send({ status: 204 })).toEqual([204, undefined, '']);
    const type = 'application/json; charset=utf-8';
    expect(await send({ status: 201, body: { a: 'a', password: 'wu4' } }), 'by the schema of 2xx').toEqual([
      201,
      type,
      '{"a":"a"}',
    ]);
    expect([await send({ status: 200, body: 'tea' }), await send({ status: 200, body: null })]).toEqual([
      [200, type, '"tea"'],
      [200, type, 'null'],
    ]);
    expect(pool.totalCount - pool.idleCount, 'connections that nobody has given back').toBe(0);
  });

  test('what comes of a work when it has ended is refused: it would be kept with its refusal, or by itself', async () => {
    const { store, count } = await open(url);
    const app = Fastify({ ...problemServer });
    app.register(problems);
    const late: Promise<unknown>[] = [];
    const insert = "INSERT INTO books VALUES ('x', 'T', 'A', 1, 1)";
    const doors = Promise.withResolvers<void>();
    const works = {
      409: [() => Promise.reject(new Problem(409, 'Sold out.', { code: 'sold-out' })), () => turn()],
      500: [() => Promise.reject(new Error('no paper')), () => doors.promise],
    } as const;
    for (const [status, [fail, ended]] of Object.entries(works)) {
      app.post(`/${status}`, (request, reply) =>
        idempotent(store, { request, reply, principal: 'anna' }, (tx) => {
          const after = ended().then(() => tx.query(insert));
          late.push(after);
          return Promise.all([fail(), after]).then(() => ({ status: 204 }));
        }),
      );
    }
    for (const status of Object.keys(works)) {
      const headers = { 'idempotency-key': status };
      expect((await app.inject({ method: 'POST', url: `/${status}`, headers })).statusCode).toBe(Number(status));
    }
    doors.resolve();
    for (const each of late)
      expect((await outcome(each)).error).toMatchObject({ message: expect.stringContaining('has ended') });
    expect([await count('books'), await count('idempotency_keys')]).toEqual([0, 1]);
  });

  test('many processes may begin at once, and names that Postgres would change are nobody’s', async () => {
    const { pool, store } = await open(url);
    for (const table of ['one', 'two', 'a "quoted" one']) {
      await Promise.all(Array.from({ length: 6 }, () => new IdempotencyStore({ pool, table }).prepare()));
    }
    const once = (name: object) =>
      outcome(store.once({ principal: 'p', key: 'k', fingerprint: 'f', ...name }, () => Promise.reject()));
    for (const odd of ['', 'a\u0000', '\ud800']) {
      expect((await once({ principal: odd })).error, JSON.stringify(odd)).toBeInstanceOf(RangeError);
      expect((await once({ key: odd })).error, JSON.stringify(odd)).toBeInstanceOf(RangeError);
    }
  });

  test('prune leaves a key that is used again, and does not wait for it', async () => {
    const { place, stock, store, pool, count } = await open(url);
    await stock(ISBN);
    const old = await place('k');
    await pool.query("UPDATE idempotency_keys SET made = made - interval '2 days'");
    // The row is locked, as by the record of the retry, which replaces it.
    const tx = await pool.connect();
    await tx.query('BEGIN; UPDATE idempotency_keys SET made = now()');
    const pruned = await outcome(store.prune(), 2000);
    await tx.query('COMMIT');
    tx.release();
    expect([pruned.value, await count('idempotency_keys')]).toEqual([0, 1]);
    expect((await place('k')).body).toBe(old.body);
  });

  test('an editor whose connection dies gets a 500, and the shop goes on', async () => {
    const { ask, place, stock, pool } = await open(url);
    await stock(ISBN);
    const { headers } = await place('k');
    const blocker = await pool.connect();
    await blocker.query('BEGIN; SELECT * FROM orders FOR UPDATE');
    const change = { deliverTo: 'Ben', note: '' };
    const editing = ask('PUT', `${headers['location']}`, change, { 'if-match': '*' });
    await until(async () => {
      const killed = await pool.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND query LIKE '%customer = $2 FOR UPDATE'`);
      return killed.rowCount === 1;
    });
    expect((await editing).status).toBe(500);
    await blocker.query('ROLLBACK');
    blocker.release();
    expect((await ask('PUT', `${headers['location']}`, change, { 'if-match': '*' })).status).toBe(200);
  });

  test('a refusal that nobody documented, or with headers, arrives as it is', async () => {
    const { app, ask } = await open(url);
    expect(new Problem(418, 'tea', { headers: { 'x-tea': 'green' }, code: 'pot' })).toMatchObject({
      status: 418,
      details: { title: "I'm a Teapot", type: 'tag:bookshop.example,2026:pot', detail: 'tea' },
    });
    for (const status of [42, 200, 600, Number.NaN]) expect(() => new Problem(status, 'tea')).toThrow(RangeError);
    expect(() => new Problem(400, 'tea', { headers: { location: '/茶' } })).toThrow(TypeError);
    const broken = Fastify({ ...problemServer });
    broken.register(problems, {
      toProblem: () => {
        throw new Error('password');
      },
    });
    broken.get('/', () => Promise.reject(new Error('no tea')));
    const answer = await broken.inject('/');
    expect([answer.statusCode, answer.headers['content-type'], answer.body.includes('password')]).toEqual([
      500,
      PROBLEM,
      false,
    ]);
    const { headers } = await ask('GET', '/orders/x', undefined, { authorization: '' });
    expect(headers['www-authenticate']).toBe('Bearer');
    expect((await app.inject({ method: 'HEAD', url: '/books' })).statusCode).toBe(200);
  });
});
