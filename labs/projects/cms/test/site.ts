import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type * as lab from '../src/index.ts';

/** Where nobody listens. */
export const NOWHERE = 'http://127.0.0.1:9';

export interface Stores {
  readonly database: string;
  readonly opensearch: string;
  /** Of OpenSearch. */
  readonly index: string;
  readonly folder: string;
}

/** A service as a process of its own. */
export class Process implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  /** @param impl absolute @param otlp where its spans go */
  static async open(service: string, options: object, impl: string, otlp?: string): Promise<Process> {
    const args = [join(import.meta.dirname, 'node.ts'), service, JSON.stringify(options), impl];
    const { OTEL_EXPORTER_OTLP_ENDPOINT: _, ...rest } = process.env;
    const env = otlp === undefined ? rest : { ...rest, OTEL_EXPORTER_OTLP_ENDPOINT: otlp };
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    const lines = createInterface({ input: child.stdout });
    const gone = once(child, 'exit').then(() => {
      throw new Error(`${service} ended before it listened`);
    });
    const [url] = await Promise.race([once(lines, 'line'), gone]);
    gone.catch(() => {});
    return new Process(String(url), child);
  }

  async #end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }

  kill = () => this.#end('SIGKILL');
  /** Leaves without losing a call. */
  leave = () => this.#end('SIGTERM');
  [Symbol.asyncDispose] = () => this.kill();
}

const Article = z.object({
  id: z.string(),
  slug: z.string(),
  title: z.string(),
  teaser: z.string(),
  body: z.string(),
  state: z.string(),
  revision: z.number(),
  author: z.string(),
  publishAt: z.string().optional(),
});
const Refusal = z.object({ error: z.string(), changed: z.array(z.string()).optional(), current: Article.optional() });

/** Somebody at the desk, over HTTP. */
export class Writer {
  readonly #url: string;
  readonly #token: string;

  constructor(url: string, token: string) {
    this.#url = url;
    this.#token = token;
  }

  static async login(url: string, name: string, password: string): Promise<Writer> {
    const answer = await post(`${url}/api/login`, { name, password });
    return new Writer(url, z.object({ token: z.string() }).parse(await answer.json()).token);
  }

  async #send(path: string, body: object) {
    const answer = await post(`${this.#url}/api/articles${path}`, body, this.#token);
    const said: unknown = await answer.json();
    const { status } = answer;
    const trace = answer.headers.get('x-trace-id') ?? '';
    if (status >= 400) return { status, trace, refusal: Refusal.parse(said) };
    return { status, trace, article: Article.parse(said) };
  }

  create = (text: object) => this.#send('', text);
  edit = (id: string, revision: number, patch: object) => this.#send(`/${id}`, { revision, ...patch });
  act = (id: string, revision: number, action: string, more: object = {}) =>
    this.#send(`/${id}/${action}`, { revision, ...more });
}

export const post = (url: string, body: object, token = '') =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });

/** All five services in this process. */
export async function openSite(
  parts: typeof lab,
  { database, opensearch, index, folder }: Stores,
  more: Partial<Omit<lab.GatewayOptions, keyof lab.GatewayUrls>> & {
    readonly contentUrls?: readonly string[];
    readonly opensearch?: string;
  } = {},
) {
  await using bin = new AsyncDisposableStack();
  const onError = more.onError ?? (() => {});
  const rounds = { relayMs: opensearch === NOWHERE ? 10_000 : 20 };
  const { contentUrls, opensearch: way = opensearch, ...options } = more;
  const search = bin.use(await parts.serveSearch({ opensearch: way, index, onError }, parts));
  const content = contentUrls
    ? undefined
    : bin.use(await parts.serveContent({ database, search: [search.url], ...rounds, onError }, parts)).url;
  const media = bin.use(await parts.serveMedia({ folder, onError }, parts));
  const users = bin.use(await parts.serveUsers({ database, onError }, parts));
  const urls = {
    content: contentUrls ?? [content ?? ''],
    search: [search.url],
    media: [media.url],
    users: [users.url],
  };
  // That the gateway has hung up is heard a moment later: a service that leaves before waits for it, half a second long.
  bin.defer(() => delay(20));
  const { gateway, url } = bin.use(await parts.serveGateway({ cacheMs: 0, ...options, ...urls, onError }, parts));
  const held = bin.move();
  return { url, gateway, urls, [Symbol.asyncDispose]: () => held.disposeAsync() };
}
