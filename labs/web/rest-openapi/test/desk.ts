import { Pool } from 'pg';
import { onTestFinished } from 'vitest';
import type { FuzzAnswer, FuzzRequest } from '#lab';
import { type BookshopOptions, bookshop } from './bookshop.ts';

let desks = 0;

/** A bookshop with its tables in a schema of its own. `ask` sends a request, as Anna unless it says otherwise. */
export async function open(url: string, options: Partial<BookshopOptions> = {}) {
  const schema = `desk_${process.pid}_${++desks}`;
  const pool = new Pool({ connectionString: url, max: 6, options: `-c search_path=${schema}` });
  pool.on('error', () => {});
  onTestFinished(() => pool.end());
  await pool.query(`CREATE SCHEMA ${schema}`);
  const shop = await bookshop({ pool, ...options });
  onTestFinished(() => shop.app.close());
  await shop.prepare();
  await shop.app.ready();

  const send = async ({ method, url: path, headers, body }: FuzzRequest): Promise<FuzzAnswer> => {
    if (!isMethod(method)) throw new TypeError(`${method} is not of ${METHODS}`);
    const answer = await shop.app.inject({ method, url: path, headers, ...(body !== undefined && { payload: body }) });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  };
  const ask = (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) =>
    send({
      method,
      url: path,
      headers: {
        authorization: 'Bearer anna',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  const place = (key: string, body: unknown = draft(), headers: Record<string, string> = {}) =>
    ask('POST', '/orders', body, { 'idempotency-key': key, ...headers });
  const stock = (isbn: string, copies = 1000, added = 'now()') =>
    pool.query(`INSERT INTO books VALUES ($1, $2, 'Wu Cheng’en', 1250, $3, ${added})`, [isbn, `Title ${isbn}`, copies]);
  const count = async (table: string) =>
    (await pool.query<{ n: number }>(`SELECT count(*)::int AS n FROM ${table}`)).rows[0]?.n ?? 0;
  return { ...shop, pool, send, ask, place, stock, count };
}

export const ISBN = '9780000000002';
export const draft = (deliverTo = 'Anna, 2 Mill Lane', quantity = 1) => ({
  lines: [{ isbn: ISBN, quantity }],
  deliverTo,
  note: '',
});

/** Status and body of a refusal. */
export const refusal = ({ status, headers, body }: FuzzAnswer) => ({
  status,
  type: headers['content-type'],
  problem: JSON.parse(body),
});

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
const isMethod = (method: string): method is (typeof METHODS)[number] => METHODS.some((each) => each === method);
