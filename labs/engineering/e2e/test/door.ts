import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Front } from '../../../web/frontend/test/front.ts';

/**
 * The shop's door: nobody without a session gets a page. Behind it is the frontend lab's shop as it is. A session lasts until
 * `forget`, and the door counts who goes through its form.
 */
export class Door implements AsyncDisposable {
  signIns = 0;
  /** Requests under way, here and in the shop. */
  #open = 0;
  readonly #front: Front;
  readonly #sessions = new Set<string>();
  readonly #server = createServer((request, response) => {
    this.#open++;
    response.on('close', () => this.#open--);
    this.#answer(request, response).catch(() => response.destroy());
  });

  private constructor(front: Front) {
    this.#front = front;
  }

  static async open(front: Front): Promise<Door> {
    const door = new Door(front);
    door.#server.listen(0, '127.0.0.1');
    await once(door.#server, 'listening');
    return door;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  /** How many requests are under way. */
  get busy(): number {
    return this.#open + this.#front.open;
  }

  /** All sessions are over, as after a night. */
  forget(): void {
    this.#sessions.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const body = await new Response(Buffer.concat(await request.toArray())).text();
    if (url === '/sign-in' && method === 'POST') return this.#signIn(new URLSearchParams(body), response);
    const session = /door=([^;]*)/.exec(request.headers.cookie ?? '')?.[1] ?? '';
    const known = this.#sessions.has(session);
    if (url === '/whoami') return void response.writeHead(known ? 204 : 401).end();
    const isPage = /^\/(react|vue)(\?|$)/.test(url);
    if (isPage && !known) return void response.writeHead(302, { location: '/sign-in' }).end();
    if (url === '/sign-in') return void response.setHeader('content-type', 'text/html; charset=utf-8').end(FORM);
    const headers = Object.entries(request.headersDistinct).flatMap(([name, values = []]) =>
      ['host', 'connection', 'content-length'].includes(name)
        ? []
        : values.map((value): [string, string] => [name, value]),
    );
    const answer = await fetch(`${this.#front.url}${url}`, { method, headers, ...(body !== '' && { body }) });
    const text = Buffer.from(await answer.arrayBuffer());
    const type = answer.headers.get('content-type') ?? 'text/plain';
    response.writeHead(answer.status, { 'content-type': type, 'set-cookie': answer.headers.getSetCookie() }).end(text);
  }

  #signIn(form: URLSearchParams, response: ServerResponse): void {
    if (form.get('password') !== passwordOf(`${form.get('name')}`)) {
      return void response.writeHead(401, { 'content-type': 'text/html' }).end(FORM);
    }
    this.signIns++;
    const session = randomUUID();
    this.#sessions.add(session);
    response
      .writeHead(302, { location: '/react', 'set-cookie': `door=${session}; HttpOnly; SameSite=Lax; Path=/` })
      .end();
  }
}

/** A shop of one day: nobody keeps it. */
export const passwordOf = (name: string): string => createHash('sha256').update(name).digest('hex').slice(0, 12);

const FORM = `<!doctype html><html lang="en"><title>Sign in</title><link rel="icon" href="data:,"><main><h1>Sign in</h1>
<form method="post" action="/sign-in"><label>Name <input name="name" autocomplete="username"></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button>Sign in</button></form></main></html>`;
