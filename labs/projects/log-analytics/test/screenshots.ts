// Draws the pictures of the README anew: `pnpm --filter @labs/log-analytics run screenshots`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startPostgres, startRedis } from '@shared/services';
import { random } from '@shared/testkit';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { Analyser, analyticsApi, Book, Intake, SCHEMA } from '../src/index.ts';
import { lineOf } from './support.ts';

await using postgres = await startPostgres();
await using servers = await startRedis();
await using browser = await startBrowser();
const pool = new Pool({ connectionString: postgres.url });
pool.on('error', () => {});
const redis = new Redis(servers.nodes[0].url);
await pool.query(SCHEMA);
const onError = console.error;
const rules = [{ name: 'errors', share: 0.1, clear: 0.03, windows: 3, least: 20 }];
const book = new Book({ pool, rules });
const intake = new Intake({ redis, key: `${servers.namespace}lines` });
const analyser = new Analyser({ intake, book, onError });
const api = analyticsApi({ intake, book, onError, refreshMs: 100 });
const url = await api.app.listen({ host: '127.0.0.1', port: 0 });
const folder = join(import.meta.dirname, '../screenshots');
await mkdir(folder, { recursive: true });

const { int, next, pick } = random(7);
const begin = Date.parse('2025-11-29T12:00:00Z');
const sent = new Map<string, number>();
const send = async (source: string, lines: string[]) => {
  const first = sent.get(source) ?? 0;
  await intake.take(source, first, lines);
  sent.set(source, first + lines.length);
};
for (let second = 0; second < 540; second += 2) {
  for (const shop of ['shop-1', 'shop-2', 'shop-3']) {
    const trouble = second > 430;
    const lines = Array.from({ length: int(20, 45) + Math.round(15 * Math.sin(second / 60)) }, () => {
      const path = pick(['/', '/kettles', '/kettles/7', '/cart', '/search', `/item/${int(1, 3_000)}`]);
      const status = next() < (trouble ? 0.25 : 0.01) ? 503 : pick([200, 200, 200, 304, 404]);
      return lineOf(
        begin + second * 1_000 + int(0, 1_999),
        path,
        status,
        Math.round((trouble ? 90 : 20) * (0.3 + next() ** 3 * 8)),
      );
    });
    if (second === 500 && shop === 'shop-2')
      lines.push(lineOf(begin + 1_000, '/cart'), 'kernel: out of memory <killed>');
    await send(shop, lines);
  }
  if (second % 20 === 0) while ((await analyser.step()) > 0);
}
while ((await analyser.step()) > 0);
for (const [name, width, height, colorScheme] of [
  ['wide-light', 1000, 960, 'light'],
  ['narrow-dark', 390, 760, 'dark'],
] as const) {
  const page = await browser.page({ width, height, colorScheme });
  await page.goto(url);
  await page.getByText('errors since').waitFor();
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
await api.close();
await analyser[Symbol.asyncDispose]();
redis.disconnect();
await pool.end();
