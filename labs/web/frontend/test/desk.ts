import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Pool } from 'pg';
import type { Desk } from './front.ts';

export const HOSTILE = '<img src=x onerror="window.pwned=1">';
const BOOKS = [
  ['Dune', 'Frank Herbert'],
  ['Dune Messiah', 'Frank Herbert'],
  ['Emma', 'Jane Austen'],
  ['Dracula', 'Bram Stoker'],
  ['Middlemarch', 'George Eliot'],
  ['War and Peace', 'Leo Tolstoy'],
  ['红楼梦 Dream of the Red Chamber', 'Cao Xueqin'],
  [HOSTILE, 'A stranger'],
] as const;

export interface OrderDesk extends AsyncDisposable {
  readonly answer: Desk;
  /** How many a customer has in the books. */
  readonly orders: (customer: string) => Promise<number>;
}

/** The order desk on a Postgres, with some books and `more` others in it. */
export async function openDesk(url: string, more = 20): Promise<OrderDesk> {
  await using begun = new AsyncDisposableStack();
  const child = fork(join(import.meta.dirname, 'desk-process.ts'), [url], { env: { ...process.env, LAB_IMPL: '' } });
  begun.defer(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  const pool = begun.adopt(new Pool({ connectionString: url }), (it) => it.end());
  pool.on('error', () => {});
  const port: unknown = await Promise.race([
    once(child, 'message').then(([message]) => message),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the order desk ended with ${code}`))),
  ]);
  const books = [...Array.from({ length: more }, (_, n) => [`Volume ${n + 1}`, 'Many']), ...BOOKS.toReversed()];
  for (const [n, [title, author]] of books.entries()) {
    await pool.query('INSERT INTO books (isbn, title, author, price_cents, stock) VALUES ($1, $2, $3, $4, 1000000)', [
      `978${String(n).padStart(10, '0')}`,
      title,
      author,
      990 + 100 * (n % 7),
    ]);
  }
  const stack = begun.move();
  return {
    answer: async ({ method, url, headers, body }) => {
      const init = { method, headers, ...(body !== '' && { body }) };
      const response = await fetch(`http://127.0.0.1:${port}${url}`, init);
      const type = response.headers.get('content-type') ?? '';
      return { status: response.status, headers: { 'content-type': type }, body: await response.text() };
    },
    orders: async (customer) => {
      const { rows } = await pool.query<{ n: number }>('SELECT count(*)::int AS n FROM orders WHERE customer = $1', [
        customer,
      ]);
      return rows[0]?.n ?? 0;
    },
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}
