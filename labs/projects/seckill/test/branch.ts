import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const Said = z.object({ outcome: z.string(), orderId: z.string().optional() });
export type Said = z.output<typeof Said>;

/** One process of the shop. It ends with whoever started it. */
export class Branch {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  /** @param o.impl absolute */
  static async open(o: {
    postgres: string;
    redis: string;
    prefix: string;
    impl: string;
    sku: string;
  }): Promise<Branch> {
    const args = [join(import.meta.dirname, 'server.ts'), o.postgres, o.redis, o.prefix, o.impl, o.sku];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [url] = await once(createInterface({ input: child.stdout }), 'line');
    return new Branch(String(url), child);
  }

  /** @throws what node:http throws, also after 2 s of silence; undefined for an answer that is an error */
  async post(path: string, body: object): Promise<Said | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
    const asked = request(`${this.url}${path}`, {
      method: 'POST',
      agent: this.#agent,
      headers: { 'content-type': 'application/json' },
      signal: AbortSignal.timeout(2_000),
    });
    asked.once('error', reject).once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk) => {
        text += chunk;
      });
      response.once('error', reject).once('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    asked.end(JSON.stringify(body));
    const { status, text } = await promise;
    return status === 200 ? Said.parse(JSON.parse(text)) : undefined;
  }

  async kill(): Promise<void> {
    this.#agent.destroy();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGKILL');
    await once(this.#child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
