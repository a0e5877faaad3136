import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, OpenSearchServers, PostgresServers } from '@shared/services';
import { Pool } from 'pg';
import type * as lab from '../src/index.ts';
import { openSite } from './site.ts';

type Page = Awaited<ReturnType<Browser['page']>>;

/** A house with two people in it. */
export async function openHouse(parts: typeof lab, postgres: PostgresServers, search: OpenSearchServers) {
  await using bin = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'cms-'));
  bin.defer(() => rm(folder, { recursive: true, force: true }));
  const pool = bin.adopt(new Pool({ connectionString: postgres.url, max: 4 }), (it) => it.end());
  pool.on('error', () => {});
  const stores = { database: postgres.url, opensearch: search.url, index: `${search.namespace}desk`, folder };
  const site = bin.use(await openSite(parts, stores, { searchMs: 5_000, requestMs: 10_000 }));
  const users = new parts.UserStore(pool);
  await users.set('mo', 'password-of-mo', 'author');
  await users.set('li', 'password-of-li', 'editor');
  const held = bin.move();
  return { ...site, pool, store: new parts.ContentStore(pool), [Symbol.asyncDispose]: () => held.disposeAsync() };
}

export async function logIn(page: Page, url: string, name: string): Promise<void> {
  await page.goto(`${url}/desk`);
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Password').fill(`password-of-${name}`);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByText(`${name}, `).first().waitFor();
}
