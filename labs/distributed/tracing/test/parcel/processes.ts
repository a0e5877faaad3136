// Starts the three processes, and a collector for their spans.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { readOtlp, type SpanRecord } from '#lab';
import type { Settings } from './settings.ts';

/** A collector of OTLP over HTTP in JSON. It can refuse, and it can take a request and never answer. */
export async function startCollector() {
  const spans: SpanRecord[] = [];
  const bodies: string[] = [];
  let mode: 'well' | 'refusing' | 'silent' = 'well';
  const server = createServer(async (request, response) => {
    const body = await new Response(request).text().catch(() => '');
    if (mode === 'silent') return;
    if (mode === 'refusing') {
      response.writeHead(400).end();
      return;
    }
    bodies.push(body);
    spans.push(...readOtlp(JSON.parse(body)));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    /** All that was sent, as it was sent. */
    text: () => bodies.join('\n'),
    be: (next: typeof mode) => {
      mode = next;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export type Company = Awaited<ReturnType<typeof startCompany>>;

/** Shop, payment and courier, each a process; `events` are what they told. */
export async function startCompany(settings: Omit<Settings, 'service' | 'payment'>) {
  const events: Record<string, unknown>[] = [];
  const children: ChildProcess[] = [];
  const launch = async (service: Settings['service'], payment = '') => {
    const PARCEL = JSON.stringify({ ...settings, service, payment });
    const file = (name: string) => new URL(name, import.meta.url);
    const child = spawn(process.execPath, ['--import', file('tracing.ts').href, file(`${service}.ts`).pathname], {
      env: { ...process.env, PARCEL },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const lines = createInterface({ input: child.stdout });
    const ready = Promise.withResolvers<string>();
    ready.promise.catch(() => {});
    lines.on('line', (line) => {
      const event: Record<string, unknown> = JSON.parse(line);
      events.push(event);
      if (typeof event['url'] === 'string') ready.resolve(event['url']);
    });
    child.once('exit', (code) => ready.reject(new Error(`${service} ended with ${code}: ${said}`)));
    return ready.promise;
  };
  const end = async (signal: NodeJS.Signals) => {
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill(signal);
        await ended;
      }),
    );
  };
  try {
    const courier = launch('courier');
    const shop = await launch('payment').then((payment) => launch('shop', payment));
    await courier;
    return {
      shop,
      events,
      end,
      /** How each process ended. */
      get ended() {
        return children.map(({ exitCode, signalCode }) => signalCode ?? exitCode);
      },
      order: async (order: string, headers: Record<string, string> = {}) => {
        const answer = await fetch(`${shop}/orders?order=${order}&email=ada@example.org`, { method: 'POST', headers });
        return { status: answer.status, text: await answer.text() };
      },
      delivered: (order: string) => events.find(({ delivered }) => delivered === order),
      [Symbol.asyncDispose]: () => end('SIGKILL'),
    };
  } catch (error) {
    await end('SIGKILL');
    throw error;
  }
}
