import swagger from '@fastify/swagger';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { Pool } from 'pg';
import { z } from 'zod';
import { type Contract, diffContracts, type FuzzRequest, fuzz } from './src/index.ts';
import { bookshop } from './test/bookshop.ts';
import { changed } from './test/edit.ts';

const options = {
  title: 'REST and OpenAPI RESTful 设计与 OpenAPI',
  subtitle: 'The order desk of a bookshop: what an API promises, in writing, and what becomes of it',
  dir: import.meta.dirname,
};
const ISBN = '9780000000010';
const ANNA = { authorization: 'Bearer anna' };
const draft = { lines: [{ isbn: ISBN, quantity: 1 }], deliverTo: 'Anna, 2 Mill Lane', note: '' };

/** The shop as one writes it first: validated and documented, with what it answers when all goes well. */
async function naiveShop(pool: Pool): Promise<FastifyInstance> {
  const app = Fastify().withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  const openapi = { openapi: '3.1.1' as const, info: { title: 'Naive', version: '1' } };
  await app.register(swagger, { openapi, transform: jsonSchemaTransform });
  const isbn = z.string().meta({ examples: [ISBN] });
  const line = z.object({ isbn, quantity: z.int().min(1) });
  const order = z.object({ id: z.string(), deliverTo: z.string(), note: z.string() });
  const columns = 'id, deliver_to AS "deliverTo", note';
  const books = z.object({ books: z.array(z.object({ isbn, title: z.string() })) });
  const page = z.object({ offset: z.coerce.number().default(0), limit: z.coerce.number().default(10) });
  app.get('/books', { schema: { querystring: page, response: { 200: books } } }, async ({ query }) => {
    const { rows } = await pool.query(
      'SELECT isbn, title FROM books ORDER BY added_at DESC, isbn DESC LIMIT $1 OFFSET $2',
      [query.limit, query.offset],
    );
    return { books: rows };
  });
  const body = z.object({ lines: z.array(line), deliverTo: z.string().min(1), note: z.string() });
  app.post('/orders', { schema: { body, response: { 201: order } } }, async (request, reply) => {
    const { rows } = await pool.query(
      `INSERT INTO orders (customer, lines, deliver_to, note, total_cents) VALUES ('anna', $1, $2, $3, 1250) RETURNING ${columns}`,
      [JSON.stringify(request.body.lines), request.body.deliverTo, request.body.note],
    );
    return reply.code(201).send(rows[0]);
  });
  const params = z.object({ id: z.string() });
  app.get('/orders/:id', { schema: { params, response: { 200: order } } }, async (request) => {
    const { rows } = await pool.query(`SELECT ${columns} FROM orders WHERE id = $1`, [request.params.id]);
    return rows[0];
  });
  const change = body.omit({ lines: true });
  app.put('/orders/:id', { schema: { params, body: change, response: { 200: order } } }, async (request) => {
    const { rows } = await pool.query(
      `UPDATE orders SET deliver_to = $2, note = $3, version = version + 1 WHERE id = $1 RETURNING ${columns}`,
      [request.params.id, request.body.deliverTo, request.body.note],
    );
    return rows[0];
  });
  await app.ready();
  return app;
}

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  pool.on('error', () => {});
  const { app: shop, prepare } = await bookshop({ pool });
  bin.defer(() => shop.close());
  await prepare();
  await shop.ready();
  const naive = bin.adopt(await naiveShop(pool), (it) => it.close());
  const count = async (table: string) =>
    (await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n ?? Number.NaN;
  const restock = () =>
    pool.query(`TRUNCATE books, orders, idempotency_keys;
      INSERT INTO books SELECT (9780000000000 + n)::text, 'Book ' || n, 'Wu Cheng’en', 1250, 1000, now() - n * interval '1 min'
      FROM generate_series(1, 100) AS n`);
  const json = async (app: FastifyInstance, request: InjectOptions) => (await app.inject(request)).json();

  await story.scene('The answer that did not arrive', async () => {
    story.say(
      'Anna orders a book, and her train enters a tunnel. Her browser has no answer, so it sends the order again: ten times in all, some while the first is still being worked on.',
    );
    const retry = async (app: FastifyInstance, headers: Record<string, string>) => {
      await restock();
      const send = () => app.inject({ method: 'POST', url: '/orders', headers, payload: draft });
      const all = await Promise.all(Array.from({ length: 10 }, send));
      const wait = all.filter(({ statusCode }) => statusCode === 409).length;
      const bodies = new Set(all.filter(({ statusCode }) => statusCode === 201).map(({ body }) => body));
      if (headers['idempotency-key']) bodies.add((await send()).body);
      return { orders: await count('orders'), answers: bodies.size, wait };
    };
    const before = await retry(naive, {});
    story.code('src/idempotency.ts', { from: "await tx.query('BEGIN');", to: 'return answer;' });
    const after = await retry(shop, { ...ANNA, 'idempotency-key': '8e03978e-40d5-43dd-bc93-6894a57f9324' });
    story.table({
      columns: ['ten times POST /orders', 'orders', 'told to wait (409)'],
      rows: [
        ['as it comes', before.orders, before.wait],
        ['with an Idempotency-Key', after.orders, after.wait],
      ],
    });
    story.verdict('A retry is an order', `${before.orders} orders`, before.orders === 10);
    story.verdict(
      'With a key it is a question, and has one answer',
      `${after.orders} order, ${after.answers} answer, the eleventh time as well`,
      after.orders === 1 && after.answers === 1,
    );
  });

  await story.scene('Page three, while books come and go', async () => {
    story.say(
      'A hundred books in pages of ten, the newest first. Behind each page that is read, two new books arrive at the top. A second time, two books of the page just read are sold out and vanish.',
    );
    const arrive = (page: number) =>
      pool.query(
        "INSERT INTO books SELECT (9790000000000 + $1::int * 2 + n)::text, 'New', 'A', 1, 1 FROM generate_series(0, 1) AS n",
        [page],
      );
    const vanish = (_: number, seen: readonly string[]) =>
      pool.query('DELETE FROM books WHERE isbn = ANY ($1)', [seen.slice(-2)]);
    type Between = (page: number, seen: readonly string[]) => Promise<unknown>;
    const read = async (
      between: Between,
      next: (page: number, cursor: string) => Promise<{ books: { isbn: string }[]; cursor?: string | null }>,
    ) => {
      await restock();
      const seen: string[] = [];
      let cursor: string | null | undefined = '';
      for (let page = 0; page < 30; page++) {
        const got: Awaited<ReturnType<typeof next>> = await next(page, cursor);
        seen.push(...got.books.map(({ isbn }) => isbn));
        cursor = got.cursor;
        if (got.books.length < 10 || cursor === null) break;
        await between(page, seen);
        cursor ??= '';
      }
      const first = seen.filter((isbn) => isbn < '979');
      return { repeated: first.length - new Set(first).size, skipped: 100 - new Set(first).size };
    };
    const byOffset = (page: number) => json(naive, { url: `/books?offset=${page * 10}&limit=10` });
    const byKey = (_: number, cursor: string) =>
      json(shop, { url: `/books?limit=10${cursor && `&cursor=${encodeURIComponent(cursor)}`}` });
    const [offsetIn, offsetOut] = [await read(arrive, byOffset), await read(vanish, byOffset)];
    const [keyIn, keyOut] = [await read(arrive, byKey), await read(vanish, byKey)];
    story.table({
      columns: ['100 books, read in pages', 'two arrive a page: seen twice', 'two vanish a page: never seen'],
      rows: [
        ['OFFSET', offsetIn.repeated, offsetOut.skipped],
        ['behind the last row', keyIn.repeated, keyOut.skipped],
      ],
    });
    story.verdict(
      'Who counts rows sees books twice, or never',
      `${offsetIn.repeated} twice, ${offsetOut.skipped} never`,
      offsetIn.repeated > 0 && offsetOut.skipped > 0,
    );
    const wrong = keyIn.repeated + keyIn.skipped + keyOut.repeated + keyOut.skipped;
    story.verdict('Who begins behind the last row sees each once', `${wrong} twice or never`, wrong === 0);
  });

  await story.scene('Two people, one order', async () => {
    story.say(
      'Anna opens her order to change the address. The desk opens it, too, to add a note. Both save all that they see; Anna first.',
    );
    const edit = async (app: FastifyInstance, careful: boolean) => {
      await restock();
      const placed = await app.inject({
        method: 'POST',
        url: '/orders',
        headers: { ...ANNA, 'idempotency-key': 'k' },
        payload: draft,
      });
      const url = `/orders/${placed.json().id}`;
      const save = (payload: object, tag: unknown) =>
        app.inject({ method: 'PUT', url, headers: { ...ANNA, ...(careful && { 'if-match': `${tag}` }) }, payload });
      const seen = { tag: placed.headers['etag'], deliverTo: draft.deliverTo };
      await save({ deliverTo: 'Anna, 7 New Street', note: '' }, seen.tag);
      const second = await save({ deliverTo: seen.deliverTo, note: 'a gift' }, seen.tag);
      if (second.statusCode === 412) {
        const now = await app.inject({ url, headers: ANNA });
        await save({ deliverTo: now.json().deliverTo, note: 'a gift' }, now.headers['etag']);
      }
      const { deliverTo, note } = await json(app, { url, headers: ANNA });
      return { status: second.statusCode, deliverTo, note };
    };
    const before = await edit(naive, false);
    const after = await edit(shop, true);
    story.table({
      columns: ['', 'the desk’s PUT', 'address in the end', 'note in the end'],
      rows: [
        ['no If-Match', before.status, before.deliverTo, before.note],
        ['If-Match, read again on 412', after.status, after.deliverTo, after.note],
      ],
    });
    story.verdict(
      'The last who saves wins, and nobody hears of it',
      before.deliverTo,
      before.deliverTo === draft.deliverTo,
    );
    story.verdict(
      'A stale change is refused, and both are there',
      `${after.status}, then ${after.deliverTo}`,
      after.status === 412 && after.deliverTo.includes('New Street') && after.note === 'a gift',
    );
  });

  await story.scene('Will this break anybody?', async () => {
    story.say(
      'Version 2 of the shop: prices get a currency, orders may be "lost", a gift is asked for, and a limit is lowered.',
    );
    const order = ['components', 'schemas', 'Order', 'properties'];
    const asked = ['components', 'schemas', 'DraftInput'];
    const next = changed(shop.swagger(), ({ set, push }) => {
      set(
        { type: 'object', properties: { amount: { type: 'integer' }, currency: { type: 'string' } } },
        ...order,
        'totalCents',
      );
      push('lost', ...order, 'status', 'enum');
      set({ type: 'boolean' }, ...asked, 'properties', 'gift');
      push('gift', ...asked, 'required');
      set(10, ...asked, 'properties', 'lines', 'maxItems');
    });
    const changes = diffContracts(shop.swagger(), next);
    story.table({ columns: ['where', 'what'], rows: changes.map(({ where, what }) => [where, what]) });
    story.verdict('Each promise that is broken is named', `${changes.length} changes`, changes.length === 8);
    const more = changed(shop.swagger(), ({ get, set }) => {
      set({ type: 'string' }, ...order, 'courier');
      set({ type: 'boolean' }, ...asked, 'properties', 'gift');
      set(get('paths', '/books'), 'paths', '/shops');
    });
    const none = diffContracts(shop.swagger(), more).length;
    story.verdict('What is only added breaks nobody', `${none} changes`, none === 0);
  });

  await story.scene('Taken at their word', async () => {
    story.say(
      'Each contract is turned into requests, some of which it allows and some of which it forbids. Each answer is held against it.',
    );
    const take = (app: FastifyInstance & { swagger(): Contract }, contract: Contract) => {
      const send = async ({ method, url, headers, body }: FuzzRequest) => {
        const request: InjectOptions = { url, headers, ...(body !== undefined && { payload: body }) };
        const answer = await app.inject({
          ...request,
          method: method === 'GET' ? 'GET' : method === 'PUT' ? 'PUT' : 'POST',
        });
        return { status: answer.statusCode, headers: answer.headers, body: answer.body };
      };
      return fuzz({ contract, send, credentials: ANNA, runs: 60 });
    };
    await restock();
    const before = await take(naive, naive.swagger());
    const after = await take(shop, shop.swagger());
    const worst = before.findings.toSorted((a, b) => b.times - a.times).slice(0, 8);
    story.table({
      columns: ['the first draft', 'what its contract doesn’t say', 'times'],
      rows: worst.map(({ operation, what, times }) => [operation, what, times]),
    });
    const kinds = (what: RegExp) => before.findings.filter((each) => what.test(each.what)).length;
    story.verdict(
      'A contract that only knows good days hides the others',
      `${kinds(/undocumented/)} undocumented, ${kinds(/^500/)} that fail, of ${before.sent} requests`,
      kinds(/undocumented/) > 0 && kinds(/^500/) > 0,
    );
    story.verdict(
      'The shop keeps its own',
      `${after.findings.length} findings of ${after.sent} requests`,
      after.findings.length === 0,
    );
  });
});
