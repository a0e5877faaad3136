import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Sample } from '../src/index.ts';

/** Runs a program of this folder that prints its port, until it is disposed of. It dies with us, too. */
async function start(file: string, ...args: string[]) {
  const child = spawn(process.execPath, [join(import.meta.dirname, file), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  return { port: Number(line), stop: () => child.kill('SIGKILL') };
}

/** A stable version, a canary that fails with the given share of its requests, and a proxy: three processes. */
export async function openShop(shares: { stable: number; canary: number }) {
  const [stable, canary] = await Promise.all([
    start('service.ts', `${shares.stable}`),
    start('service.ts', `${shares.canary}`),
  ]);
  const proxy = await start('proxy.ts', `${stable.port}`, `${canary.port}`);
  const agent = new Agent({ keepAlive: true, maxSockets: 8 });
  const ask = async (path: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; version: string; body: string }>();
    get({ host: '127.0.0.1', port: proxy.port, path, agent }, async (reply) => {
      resolve({ status: reply.statusCode ?? 0, version: String(reply.headers['version']), body: await text(reply) });
    }).on('error', reject);
    return promise;
  };
  const counts = async (): Promise<{ canary: Sample; stable: Sample; weight: number }> =>
    JSON.parse((await ask('/counts')).body);
  return {
    setWeight: (percent: number) => ask(`/weight/${percent}`),
    measure: counts,
    counts,
    /** Guests come, a few at a time, until `gone` aborts. */
    async guests(gone: AbortSignal, onAnswer: (answer: { status: number; version: string }) => void = () => {}) {
      const guest = async () => {
        while (!gone.aborted) onAnswer(await ask('/tart'));
      };
      await Promise.all(Array.from({ length: 6 }, guest));
    },
    [Symbol.dispose]() {
      agent.destroy();
      for (const each of [proxy, stable, canary]) each.stop();
    },
  };
}
