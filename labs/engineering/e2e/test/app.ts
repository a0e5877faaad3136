import { until } from '@shared/testkit';
import { Pool } from 'pg';
import type { BrowserContext, Page } from 'playwright-core';
import type { Asset } from '../../../web/frontend/test/build.ts';
import { type OrderDesk, openDesk } from '../../../web/frontend/test/desk.ts';
import { Front } from '../../../web/frontend/test/front.ts';
import { Door, passwordOf } from './door.ts';

/** The frontend lab's shop, whole: its page, its order desk on a database, and a door in front. */
export interface ShopApp extends AsyncDisposable {
  readonly url: string;
  readonly desk: OrderDesk;
  readonly front: Front;
  readonly door: Door;
  readonly settled: () => Promise<void>;
  /** Leaves so many copies of a title. */
  readonly stock: (title: string, copies: number) => Promise<void>;
  readonly isbn: (title: string) => Promise<string>;
}

export async function openShop(databaseUrl: string, assets: ReadonlyMap<string, Asset>): Promise<ShopApp> {
  await using begun = new AsyncDisposableStack();
  const desk = begun.use(await openDesk(databaseUrl, 4));
  const pool = begun.adopt(new Pool({ connectionString: databaseUrl, max: 1 }), (it) => it.end());
  pool.on('error', () => {});
  const front = begun.use(await Front.open(desk.answer, assets));
  const door = begun.use(await Door.open(front));
  const stack = begun.move();
  return {
    url: door.url,
    desk,
    front,
    door,
    stock: async (title, copies) =>
      void (await pool.query('UPDATE books SET stock = $2 WHERE title = $1', [title, copies])),
    isbn: async (title) =>
      (await pool.query<{ isbn: string }>('SELECT isbn FROM books WHERE title = $1', [title])).rows[0]?.isbn ?? '',
    settled: async () => void (await until(() => door.busy === 0, { what: 'the requests under way to end' })),
    [Symbol.asyncDispose]: () => stack[Symbol.asyncDispose](),
  };
}

export async function signIn(page: Page, user: string): Promise<void> {
  await page.goto('/sign-in');
  await page.getByLabel('Name').fill(user);
  await page.getByLabel('Password').fill(passwordOf(user));
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL('**/react');
}

export const isGood = async (context: BrowserContext): Promise<boolean> => (await context.request.get('/whoami')).ok();
