// The order desk of a bookshop, on the lab: the suite, the demo and openapi.json are about it.
import swagger from '@fastify/swagger';
import Fastify, { type FastifyRequest } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Pool } from 'pg';
import { z } from 'zod';
import {
  committed,
  contractRoutes,
  etag,
  fromRoutes,
  IdempotencyStore,
  idempotencyKey,
  idempotent,
  ifMatch,
  ifMatchHeader,
  ifNoneMatch,
  Keyset,
  Problem,
  problemServer,
  problems,
  refusals,
  requireIdempotencyKey,
  requireIfMatch,
  toProblem,
  wholeNumber,
  writing,
} from '#lab';

const isbn = z
  .string()
  .regex(/^97[89][0-9]{10}$/)
  .meta({ examples: ['9780000000002'] });
const uuid = z
  .string()
  .regex(UUID())
  .meta({ format: 'uuid', examples: ['01890a5d-ac96-774b-bcce-b302099a8057'] });
function UUID(): RegExp {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
}

const book = z
  .object({
    isbn,
    title: z.string(),
    author: z.string(),
    priceCents: z.int().min(0),
    added: z.string().meta({ format: 'date-time' }).describe('When it came into the shop'),
  })
  .meta({ id: 'Book' });
const line = z.object({ isbn, quantity: z.int().min(1).max(99) });
const deliverTo = writing({ min: 1, max: 200 }).describe('Name and address');
const note = writing({ max: 500 }).describe('For the card that goes with it');
const draft = z
  .object({ lines: z.array(line).min(1).max(20), deliverTo, note: note.default('') })
  .meta({ id: 'Draft' });
const change = z.object({ deliverTo, note }).meta({ id: 'Change', description: 'All that can still be changed' });
const order = z
  .object({
    id: uuid,
    lines: z.array(line),
    deliverTo: z.string(),
    note: z.string(),
    totalCents: z.int().min(0),
    status: z.enum(['open', 'sent']),
    placed: z.string().meta({ format: 'date-time' }),
  })
  .meta({ id: 'Order' });

const text = (description: string) => ({ description, type: 'string' });
const ETag = text('The version: for If-Match, and for If-None-Match');
const json = <S extends z.ZodType>(description: string, schema: S, headers: object = {}) => ({
  description,
  headers,
  content: { 'application/json': { schema } },
});
const tooLong = 'The path is too long.';
const body = {
  400: 'A header or a path makes no sense, or the body is no JSON.',
  413: 'The body is too large.',
  415: 'The body is no application/json.',
  422: 'The body makes no sense: see errors.',
};

interface StoredOrder extends Omit<z.output<typeof order>, 'totalCents'> {
  readonly total_cents: string;
  readonly version: number;
}
const ORDER = `id, lines, deliver_to AS "deliverTo", note, total_cents, status, version,
  to_char(placed AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS placed`;
const BOOK = `isbn, title, author, price_cents AS "priceCents", added_at,
  to_char(added_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS added`;
const shown = ({ total_cents, version: _, ...rest }: StoredOrder) => ({ ...rest, totalCents: Number(total_cents) });

export interface BookshopOptions {
  readonly pool: Pool;
  /** Who is who: bearer token → customer. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** Runs in the transaction of an order, before it is answered. */
  readonly onOrder?: (id: string) => unknown;
  readonly ttlMs?: number;
  readonly logger?: boolean;
}

/** Not yet listening. Tables: `await shop.prepare()`. */
export async function bookshop({
  pool,
  tokens = { anna: 'anna', ben: 'ben' },
  onOrder,
  ttlMs,
  logger = false,
}: BookshopOptions) {
  const store = new IdempotencyStore({ pool, ...(ttlMs && { ttlMs }) });
  const newest = new Keyset({
    by: { added_at: 'timestamptz', isbn: 'text' },
    direction: 'desc',
    secret: 'thirty-two bytes from a safe place',
  });
  const customers = new Map(Object.entries(tokens));
  const principal = ({ headers }: FastifyRequest): string => {
    const name = customers.get(/^Bearer ([!-~]+)$/i.exec(headers.authorization ?? '')?.[1] ?? '');
    if (name !== undefined) return name;
    throw new Problem(401, 'No customer has this token: send Authorization: Bearer and yours.', {
      headers: { 'www-authenticate': 'Bearer' },
    });
  };
  const onRequest = async (request: FastifyRequest) => void principal(request);
  const security = [{ bearer: [] }];

  const app = Fastify({ ...problemServer, logger, bodyLimit: 20_000 }).withTypeProvider<ZodTypeProvider>();
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  // Fastify reads text as well, and a schema would see a string: this shop speaks JSON.
  app.removeContentTypeParser('text/plain');
  await app.register(problems, { toProblem });
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'Bookshop, order desk',
        description: 'Find books, order them, change your mind. Every refusal is a problem as of RFC 9457.',
        version: '1.0.0',
        license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
      },
      servers: [{ url: '/' }],
      tags: [
        { name: 'books', description: 'What there is' },
        { name: 'orders', description: 'What you have asked for' },
      ],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    ...fromRoutes,
  });
  await app.register(contractRoutes, { contract: () => app.swagger() });

  app.get(
    '/books',
    {
      schema: {
        operationId: 'listBooks',
        summary: 'Books, the newest first',
        tags: ['books'],
        security: [],
        querystring: z.object({
          q: writing({ max: 100 }).optional().describe('A part of the title'),
          limit: wholeNumber({ min: 1 })
            .optional()
            .describe('How many a page, 20 unless you say; from 100 on it is 100'),
          cursor: z.string().max(500).optional().describe('From the page before'),
        }),
        response: {
          200: json(
            'A page',
            z.object({
              books: z.array(book),
              cursor: z.string().nullable().describe('Of the next page; null at the end'),
            }),
          ),
          ...refusals({ 400: 'A parameter makes no sense, or the cursor is of another list.' }),
        },
      },
    },
    async ({ query: { q = '', limit, cursor } }) => {
      const select = {
        text: `SELECT ${BOOK} FROM books WHERE strpos(lower(title), lower($1)) > 0 OR $1 = ''`,
        values: [q],
      };
      const page = await newest.page<z.output<typeof book>>(pool, select, { limit, cursor, of: q });
      return { books: page.rows, cursor: page.cursor };
    },
  );

  app.get(
    '/books/:isbn',
    {
      schema: {
        operationId: 'readBook',
        summary: 'One book',
        tags: ['books'],
        security: [],
        params: z.object({ isbn }),
        response: {
          200: json('The book', book),
          ...refusals({ 400: 'This is no ISBN.', 404: 'No such book.', 414: tooLong }),
        },
      },
    },
    async ({ params }) => {
      const { rows } = await pool.query<z.output<typeof book>>(`SELECT ${BOOK} FROM books WHERE isbn = $1`, [
        params.isbn,
      ]);
      if (!rows[0]) throw new Problem(404, `There is no book ${params.isbn} here.`);
      return rows[0];
    },
  );

  app.post(
    '/orders',
    {
      onRequest,
      preValidation: requireIdempotencyKey,
      schema: {
        operationId: 'placeOrder',
        summary: 'Order books: once, however often it is sent',
        tags: ['orders'],
        security,
        headers: z.object({ 'idempotency-key': idempotencyKey }),
        body: draft,
        response: {
          201: json('The order', order, { Location: text('Where it is'), ETag }),
          ...refusals({
            ...body,
            401: 'Nobody has this token.',
            409: 'The same is in flight, or there are not as many copies.',
            422: 'The body makes no sense, there is no such book, or the key stood for another order.',
          }),
        },
      },
    },
    (request, reply) =>
      idempotent(store, { request, reply, principal: principal(request) }, async (tx) => {
        const wanted = new Map<string, number>();
        for (const each of request.body.lines) wanted.set(each.isbn, (wanted.get(each.isbn) ?? 0) + each.quantity);
        let total = 0;
        // In one order for all: two orders never wait for each other.
        for (const [id, quantity] of [...wanted].sort()) {
          const { rows } = await tx.query<{ price_cents: number; left: number }>(
            'UPDATE books SET stock = stock - $2 WHERE isbn = $1 RETURNING price_cents, stock AS left',
            [id, quantity],
          );
          const [found] = rows;
          if (!found) {
            const pointer = `/lines/${request.body.lines.findIndex((each) => each.isbn === id)}/isbn`;
            const errors = [{ in: 'body', pointer, detail: 'no such book' }] as const;
            throw new Problem(422, `There is no book ${id} here.`, { errors });
          }
          if (found.left < 0)
            throw new Problem(409, `Of ${id} there are ${found.left + quantity} left.`, { code: 'sold-out' });
          total += found.price_cents * quantity;
        }
        const { rows } = await tx.query<StoredOrder>(
          `INSERT INTO orders (customer, lines, deliver_to, note, total_cents) VALUES ($1, $2, $3, $4, $5) RETURNING ${ORDER}`,
          [principal(request), JSON.stringify(request.body.lines), request.body.deliverTo, request.body.note, total],
        );
        const [stored] = rows;
        if (!stored) throw new Error('INSERT has returned no row');
        await onOrder?.(stored.id);
        const headers = { location: `/orders/${stored.id}`, etag: etag(stored.version) };
        return { status: 201, headers, body: shown(stored) };
      }),
  );

  const noOrder = (id: string) => new Problem(404, `You have no order ${id}.`);

  app.get(
    '/orders/:id',
    {
      onRequest,
      schema: {
        operationId: 'readOrder',
        summary: 'One order',
        tags: ['orders'],
        security,
        params: z.object({ id: uuid }),
        headers: z.object({ 'if-none-match': ifMatchHeader.optional() }),
        response: {
          200: json('The order', order, { ETag }),
          304: z.undefined().describe('You have this version.'),
          ...refusals({
            400: 'This is no id, or no entity tag.',
            401: 'Nobody has this token.',
            404: 'You have no such order.',
            414: tooLong,
          }),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const { rows } = await pool.query<StoredOrder>(`SELECT ${ORDER} FROM orders WHERE id = $1 AND customer = $2`, [
        id,
        principal(request),
      ]);
      if (!rows[0]) throw noOrder(id);
      const tag = etag(rows[0].version);
      reply.header('etag', tag);
      if (ifNoneMatch(request.headers['if-none-match'], tag)) return reply.code(304).send();
      return shown(rows[0]);
    },
  );

  app.put(
    '/orders/:id',
    {
      onRequest,
      preValidation: requireIfMatch,
      schema: {
        operationId: 'changeOrder',
        summary: 'Change an order, if it is still as you have read it',
        tags: ['orders'],
        security,
        params: z.object({ id: uuid }),
        headers: z.object({ 'if-match': ifMatchHeader }),
        body: change,
        response: {
          200: json('The order as it is now', order, { ETag }),
          ...refusals({
            ...body,
            401: 'Nobody has this token.',
            404: 'You have no such order.',
            412: 'It has been changed since you read it.',
            414: tooLong,
            428: 'If-Match is missing.',
          }),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const now = await committed(pool, async (tx) => {
        const { rows } = await tx.query<StoredOrder>(
          `SELECT ${ORDER} FROM orders WHERE id = $1 AND customer = $2 FOR UPDATE`,
          [id, principal(request)],
        );
        if (!rows[0]) throw noOrder(id);
        ifMatch(request.headers['if-match'], etag(rows[0].version));
        const changed = await tx.query<StoredOrder>(
          `UPDATE orders SET deliver_to = $2, note = $3, version = version + 1 WHERE id = $1 RETURNING ${ORDER}`,
          [id, request.body.deliverTo, request.body.note],
        );
        if (!changed.rows[0]) throw new Error('UPDATE has returned no row');
        return changed.rows[0];
      });
      reply.header('etag', etag(now.version));
      return shown(now);
    },
  );

  const prepare = async () => {
    await pool.query(`CREATE TABLE IF NOT EXISTS books (isbn text PRIMARY KEY, title text NOT NULL, author text NOT NULL,
        price_cents int NOT NULL, stock int NOT NULL, added_at timestamptz NOT NULL DEFAULT clock_timestamp());
      CREATE INDEX IF NOT EXISTS newest ON books (added_at DESC, isbn DESC);
      CREATE TABLE IF NOT EXISTS orders (id uuid PRIMARY KEY DEFAULT uuidv7(), customer text NOT NULL, lines jsonb NOT NULL,
        deliver_to text NOT NULL, note text NOT NULL, total_cents bigint NOT NULL, status text NOT NULL DEFAULT 'open',
        version int NOT NULL DEFAULT 1, placed timestamptz NOT NULL DEFAULT now())`);
    await store.prepare();
  };
  return { app, store, newest, prepare };
}

/** The contract alone: needs no server. */
export async function bookshopContract(): Promise<object> {
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool(), (it) => it.end());
  const { app } = await bookshop({ pool });
  bin.defer(() => app.close());
  await app.ready();
  return app.swagger();
}
