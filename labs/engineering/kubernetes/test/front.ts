// What stands between a client and the API server in a real cluster: load balancers that cut, hang and lose. It hands everything on
// to the real API server, unless a test says otherwise, and counts.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

/**
 * What becomes of a request. `pass`: handed on. `gone`: answered with 410. `lose`: done, but the answer is lost. `dark`: the
 * connection stands, and nothing comes. `busy`: answered with 503. `empty`: answered well, and with nothing.
 */
export type Fate = 'pass' | 'gone' | 'lose' | 'dark' | 'busy' | 'empty';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly isWatch: boolean;
}

export class Front implements AsyncDisposable {
  readonly asked: Asked[] = [];
  /** Decides on each request; it may take its time. */
  fate: (asked: Asked) => Fate | Promise<Fate> = () => 'pass';
  readonly #server: Server;
  readonly #config: KubeConfig;
  readonly #agent: Agent;
  readonly #watches = new Set<ServerResponse>();
  readonly #muted = new Set<ServerResponse>();

  static async open(kubeconfig: string): Promise<Front> {
    const front = new Front(kubeconfig);
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    return front;
  }

  private constructor(kubeconfig: string) {
    this.#config = new KubeConfig();
    this.#config.loadFromString(kubeconfig);
    const ca = this.#config.getCurrentCluster()?.caData;
    this.#agent = new Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca: Buffer.from(ca, 'base64') }) });
    this.#server = createServer((incoming, response) => void this.#take(incoming, response));
  }

  /** For a client that goes this way. */
  get config(): KubeConfig {
    const address = this.#server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'front', server: `http://127.0.0.1:${port}`, skipTLSVerify: true }],
      users: [{ name: 'front' }],
      contexts: [{ name: 'front', cluster: 'front', user: 'front' }],
      currentContext: 'front',
    });
    return config;
  }

  /** Writes that have been asked for. */
  get writes(): readonly Asked[] {
    return this.asked.filter(({ method }) => method !== 'GET');
  }

  get watching(): number {
    return this.#watches.size;
  }

  /** Breaks the watches that are open. */
  cut(): void {
    for (const watch of this.#watches) watch.destroy();
  }

  /** From now on nothing comes on the watches that are open, and they stay open. */
  mute(): void {
    for (const watch of this.#watches) this.#muted.add(watch);
  }

  /** Ends what hangs, and lets nothing hang any more. */
  wake(): void {
    this.fate = () => 'busy';
    this.#server.closeAllConnections();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    this.#agent.destroy();
    await closed;
  }

  async #take(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = incoming;
    const [path = '', query = ''] = url.split('?');
    const isWatch = query.includes('watch=true');
    const asked = { method, path, isWatch };
    const chunks: Buffer[] = await incoming.toArray().catch(() => []);
    this.asked.push(asked);
    const fate = await this.fate(asked);
    if (response.destroyed || fate === 'dark') return;
    if (fate === 'empty') return void response.writeHead(200, { 'content-type': 'application/json' }).end();
    if (fate === 'gone' || fate === 'busy') {
      const code = fate === 'gone' ? 410 : 503;
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message: fate }));
      return;
    }
    const server = new URL(this.#config.getCurrentCluster()?.server ?? '');
    const { host, connection, 'content-length': _, 'transfer-encoding': __, ...headers } = incoming.headers;
    const onward = request(new URL(url, server), {
      method,
      agent: this.#agent,
      headers: { ...headers, authorization: `Bearer ${this.#config.getCurrentUser()?.token}` },
    });
    onward.on('error', () => response.destroy());
    response.on('close', () => onward.destroy());
    onward.on('response', (answer) => {
      if (fate === 'lose') {
        answer.resume().on('end', () => response.destroy());
        return;
      }
      if (isWatch) this.#watches.add(response);
      response.on('close', () => this.#watches.delete(response));
      response.writeHead(answer.statusCode ?? 502, {
        'content-type': answer.headers['content-type'] ?? 'application/json',
      });
      response.flushHeaders();
      answer.on('data', (chunk) => {
        if (!this.#muted.has(response)) response.write(chunk);
      });
      answer.on('end', () => this.#muted.has(response) || response.end()).on('error', () => response.destroy());
    });
    onward.end(Buffer.concat(chunks));
  }
}
