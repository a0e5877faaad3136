import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ProblemDetails } from '@labs/rest-openapi';
import type { Asset } from './build.ts';

export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly key: string | undefined;
  readonly body: string;
  /** Whether the client went away before it had its answer. */
  left: boolean;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What answers for the API: the order desk. */
export type Desk = (request: {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}) => Promise<Answer>;

/** What befalls a request: it waits, gets an answer that isn't the desk's, or is cut off or left
 * without an answer before or behind the desk. */
export interface Fault {
  readonly waitMs?: number;
  readonly answer?: Answer;
  readonly cut?: 'before' | 'behind';
  /** Nothing comes, or no more than half of the answer. */
  readonly silent?: 'before' | 'behind';
}

/**
 * What stands between the browser and the desk: the pages, the session (an access token, renewed by a cookie that is good once),
 * and the faults of a network.
 */
export class Front implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly renewals: string[] = [];
  /** How many requests are under way. */
  open = 0;
  fault: (asked: Asked) => Fault | undefined = () => undefined;
  readonly #desk: Desk;
  readonly customer: string;
  readonly #assets: ReadonlyMap<string, Asset>;
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch(() => response.destroy());
  });
  #access = 'access 0';
  #refresh = 'refresh 0';
  #tokens = 0;
  #revoked = false;

  private constructor(desk: Desk, assets: ReadonlyMap<string, Asset>, customer: string) {
    this.#desk = desk;
    this.customer = customer;
    this.#assets = assets;
  }

  /** @param customer who sits at the browser, as the desk knows him */
  static async open(desk: Desk, assets: ReadonlyMap<string, Asset> = new Map(), customer = 'anna'): Promise<Front> {
    const front = new Front(desk, assets, customer);
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  /** The access token that is good now. */
  get token(): string {
    return this.#access;
  }

  /** The access token that pages have is good no more. */
  expire(): void {
    this.#access = `access ${++this.#tokens}`;
  }

  /** So is the cookie that renews it. */
  revoke(): void {
    this.expire();
    this.#revoked = true;
  }

  /** As new, for the next law. */
  reset(): void {
    this.asked.length = 0;
    this.renewals.length = 0;
    this.fault = () => undefined;
    this.#revoked = false;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const path = url.split('?', 1)[0] ?? '';
    const asset = this.#assets.get(path);
    if (asset) return void response.setHeader('content-type', asset.type).end(asset.body);
    if (this.#assets.has(`${path}.js`)) return this.#page(path, response);
    const body = Buffer.concat(await request.toArray()).toString();
    if (url === '/session/renew') return this.#renew(request, response);
    const asked: Asked = { method, url, key: header(request, 'idempotency-key'), body, left: false };
    this.open++;
    response.on('close', () => {
      this.open--;
      asked.left = !response.writableFinished;
    });
    this.asked.push(asked);
    const { waitMs = 0, answer, cut, silent } = this.fault(asked) ?? {};
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    if (silent === 'before') return;
    if (cut === 'before') return void response.destroy();
    const { status, headers, body: text } = answer ?? (await this.#behind(request, asked));
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) });
    const half = text.slice(0, text.length / 2);
    if (silent === 'behind') response.write(half);
    else if (cut === 'behind') response.write(half, () => response.destroy());
    else response.end(text);
  }

  async #behind(request: IncomingMessage, { method, url, body }: Asked): Promise<Answer> {
    const given = request.headers.authorization;
    // A book list is for everybody; a token that is not good is refused all the same.
    const refused = given === undefined ? url.startsWith('/orders') : given !== `Bearer ${this.#access}`;
    if (refused) return problem(401, 'The token has expired.');
    const headers = Object.fromEntries(
      ['accept', 'content-type', 'idempotency-key'].flatMap((name) => {
        const value = header(request, name);
        return value === undefined ? [] : [[name, value]];
      }),
    );
    return this.#desk({ method, url, headers: { ...headers, authorization: `Bearer ${this.customer}` }, body });
  }

  #page(view: string, response: ServerResponse): void {
    this.#refresh = `refresh ${++this.#tokens}`;
    response.setHeader('set-cookie', cookie(this.#refresh)).setHeader('content-type', 'text/html; charset=utf-8');
    response.end(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Bookshop</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/start.css">
<div id="page"></div>
<script type="module" src="${view}.js"></script>
</html>`);
  }

  /** A refresh token is good once: the second time it is a thief's, and the session is over. */
  #renew(request: IncomingMessage, response: ServerResponse): void {
    const given = decodeURIComponent(/refresh=([^;]*)/.exec(request.headers.cookie ?? '')?.[1] ?? '');
    this.renewals.push(given);
    if (this.#revoked || given !== this.#refresh) {
      this.#revoked = true;
      const { status, headers, body } = problem(401, 'This refresh token has been used before.');
      return void response.writeHead(status, headers).end(body);
    }
    this.#access = `access ${++this.#tokens}`;
    this.#refresh = `refresh ${this.#tokens}`;
    response.setHeader('set-cookie', cookie(this.#refresh)).setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ token: this.#access }));
  }
}

const cookie = (value: string) => `refresh=${encodeURIComponent(value)}; HttpOnly; SameSite=Strict; Path=/session`;

const header = ({ headers }: IncomingMessage, name: string): string | undefined => {
  const value = headers[name];
  return typeof value === 'string' ? value : undefined;
};

/** A refusal as the order desk writes it. */
export function problem(status: number, detail: string, more: Partial<ProblemDetails> = {}, headers = {}): Answer {
  const body: ProblemDetails = { type: 'about:blank', title: 'Refused', status, detail, ...more };
  return { status, headers: { 'content-type': 'application/problem+json', ...headers }, body: JSON.stringify(body) };
}
