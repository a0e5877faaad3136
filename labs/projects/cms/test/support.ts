import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectRouter, createRouterTransport } from '@connectrpc/connect';
import type { OpenSearchServers, PostgresServers } from '@shared/services';
import { until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, onTestFinished } from 'vitest';
import * as lab from '#lab';
import { NOWHERE, openSite, Writer } from './site.ts';

export const MO: lab.User = { name: 'mo', role: 'author' };
export const LI: lab.User = { name: 'li', role: 'editor' };
export const TEXT = { title: 'Kettles compared', teaser: 'Six of them', body: '<p>All of them boil.</p>' };

export const page = async (url: string) => {
  const answer = await fetch(url, { redirect: 'manual' });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
};

/** A folder of the law's own. */
export async function ownFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'cms-'));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A gateway before services that say what they are told to. */
export async function openGateway(
  routes: (router: ConnectRouter) => void,
  more: Partial<lab.GatewayOptions> = {},
  { Gateway }: Pick<typeof lab, 'Gateway'> = lab,
) {
  const all = createRouterTransport(routes);
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const services = { content: all, search: all, media: all, users: all };
  const gateway = new Gateway({ ...services, cacheMs: 0, requestMs: 10_000, searchMs: 5_000, onError, ...more });
  onTestFinished(() => gateway[Symbol.asyncDispose]());
  return { gateway, errors, url: await gateway.listen() };
}

/** A text as it is after these steps. */
export async function textIn(store: lab.ContentStore, state: lab.State, text: object = {}, publishAt = new Date(0)) {
  let article = await store.create(MO, { ...TEXT, slug: `text-${randomUUID()}`, ...text });
  if (state !== 'draft') article = await store.act(article.id, article.revision, 'submit', MO);
  if (state === 'scheduled') article = await store.act(article.id, article.revision, 'schedule', LI, publishAt);
  if (state === 'published') article = await store.act(article.id, article.revision, 'publish', LI);
  return article;
}

export async function staff(url: string, own: Pool) {
  const users = new lab.UserStore(own);
  await Promise.all([users.set('mo', 'password-of-mo', 'author'), users.set('li', 'password-of-li', 'editor')]);
  const [mo, li] = await Promise.all(['mo', 'li'].map((name) => Writer.login(url, name, `password-of-${name}`)));
  if (mo === undefined || li === undefined) throw new Error('two have logged in');
  return { mo, li };
}

/** Of an author who has written nothing. */
export async function tokenOfWu(own: Pool): Promise<string> {
  const users = new lab.UserStore(own);
  await users.set('wu', 'password-of-wu', 'author');
  return (await users.login('wu', 'password-of-wu')).token;
}

/** What each law of a file has of its own. @param search without it the magazine's search is away */
export function openBench(postgres: PostgresServers, search?: OpenSearchServers) {
  const pool = new Pool({ connectionString: postgres.url, max: 4 });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  let made = 0;
  /** Tables, an index and a folder. */
  async function place() {
    const schema = `cms_${++made}`;
    await pool.query(`CREATE SCHEMA ${schema}`);
    const url = new URL(postgres.url);
    url.searchParams.set('options', `-c search_path=${schema}`);
    const folder = await ownFolder();
    const own = new Pool({ connectionString: url.href, max: 8 });
    own.on('error', () => {});
    await own.query(lab.CONTENT_SCHEMA + lab.USERS_SCHEMA);
    onTestFinished(() => own.end());
    const index = `${search?.namespace ?? 'none-'}${made}`;
    return { database: url.href, opensearch: search?.url ?? NOWHERE, index, folder, pool: own };
  }

  async function open() {
    const { pool: own, ...stores } = await place();
    return { own, stores, store: new lab.ContentStore(own), second: new lab.ContentStore(own) };
  }

  async function site(more: Parameters<typeof openSite>[2] = {}) {
    const { own, stores, store } = await open();
    const errors: unknown[] = [];
    const house = await openSite(lab, stores, {
      searchMs: 5_000,
      requestMs: 10_000,
      onError: (error) => errors.push(error),
      ...more,
    });
    onTestFinished(() => house[Symbol.asyncDispose]());
    // The relay's first round makes the index.
    if (search) {
      await until(async () => (await fetch(`${stores.opensearch}/${stores.index}`)).ok, {
        timeoutMs: 15_000,
        what: 'the index',
      });
    }
    return { ...house, own, stores, errors, store };
  }

  return { pool, place, open, site };
}
