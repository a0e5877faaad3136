import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Pages as a law needs them, each a fragment of HTML by its path; what else is asked is answered with 200 and `ok`. */
export class Site implements AsyncDisposable {
  /** Method and URL of what has arrived. */
  readonly asked: string[] = [];
  /** What has arrived with it at `/enter`. */
  readonly cookies: (string | undefined)[] = [];
  readonly pages = new Map<string, string>();
  readonly #server = createServer(async (request, response) => {
    const { method, url = '/' } = request;
    const page = this.pages.get(url);
    if (page === undefined) this.asked.push(`${method} ${url}`);
    if (url === '/enter') this.cookies.push(request.headers.cookie);
    if (url === '/enter') response.setHeader('set-cookie', `user=${++this.sessions}; HttpOnly; Path=/`);
    if (url.startsWith('/to?')) return void response.writeHead(302, { location: url.slice(4) }).end();
    if (url === '/whoami') {
      const session = Number(/user=(\d+)/.exec(request.headers.cookie ?? '')?.[1] ?? 0);
      return void response.writeHead(session > this.expired ? 204 : 401).end();
    }
    response.setHeader('access-control-allow-origin', '*');
    response.setHeader('content-type', page === undefined ? 'text/plain' : 'text/html; charset=utf-8');
    const head = '<!doctype html><html lang="en"><title>A page</title><link rel="icon" href="data:,">';
    response.end(
      page === undefined ? 'ok' : page.startsWith('<!') ? page : `${head}<main><h1>A page</h1>${page}</main></html>`,
    );
  });
  /** How many sessions `/enter` has begun; `/whoami` knows those that have not expired. */
  sessions = 0;
  /** Sessions up to this one are over. */
  expired = 0;

  static async open(): Promise<Site> {
    const site = new Site();
    site.#server.listen(0, '127.0.0.1');
    await once(site.#server, 'listening');
    return site;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  /** Serves it, and says where. */
  page(html: string): string {
    const path = `/page-${this.pages.size}`;
    this.pages.set(path, html);
    return `${this.url}${path}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
