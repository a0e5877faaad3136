import { fork } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogEvent, Sink } from '#lab';

/** A folder of its own, removed in the end. */
export function folder(): Disposable & { readonly path: string; file(name: string): string } {
  const path = mkdtempSync(join(tmpdir(), 'labs-log-'));
  return {
    path,
    file: (name) => join(path, name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Keeps what it is sent, as often as it is sent. */
export class Shelf implements Sink {
  readonly events: LogEvent[] = [];

  async send(events: readonly LogEvent[]): Promise<void> {
    this.events.push(...events);
  }

  get messages(): string[] {
    return this.events.map(({ document }) => document.message);
  }
}

export const append = (path: string, ...lines: readonly string[]) =>
  appendFileSync(path, lines.map((line) => `${line}\n`).join(''));

export const linesOf = (path: string) => readFileSync(path, 'utf8').split('\n').slice(0, -1);

/** How a program of this folder ended. */
export async function run(program: string, ...args: readonly string[]): Promise<{ code: unknown; signal: unknown }> {
  const child = fork(join(import.meta.dirname, program), args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const [code, signal] = await once(child, 'exit');
  return { code, signal };
}

/** A front of the real server that answers in its place while `fault` gives something. */
export async function front(
  url: string,
  fault: (path: string, bytes: number) => { status: number; body?: string } | undefined,
) {
  const target = new URL(url);
  const asked: { path: string; bytes: number; status: number }[] = [];
  const server = createServer((incoming, outgoing) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => {
      const body = Buffer.concat(parts);
      const path = incoming.url ?? '';
      const { method, headers } = incoming;
      const broken = fault(path, body.length);
      if (broken) {
        asked.push({ path, bytes: body.length, status: broken.status });
        if (broken.status === 0) return void outgoing.destroy();
        outgoing
          .writeHead(broken.status, { 'content-type': 'application/json' })
          .end(broken.body ?? '{"error":"busy"}');
        return;
      }
      const { hostname, port } = target;
      const onward = request({ hostname, port, path, method, headers }, (answer) => {
        asked.push({ path, bytes: body.length, status: answer.statusCode ?? 0 });
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      onward.end(body);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
