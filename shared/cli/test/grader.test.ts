import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Grader, openGrader, type SuiteResult, until } from '@shared/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';

const house = resolve(import.meta.dirname, '../../..');
const laws = ['is asked', 'counts in Redis', 'counts in Postgres'];

/** A lab on real servers, whose implementations are what nobody should write. */
const files: Readonly<Record<string, string>> = {
  'package.json': '{ "type": "module", "imports": { "#lab": "./src/index.ts" } }',
  'src/index.ts': `
    import { Redis } from 'ioredis';
    import pg from 'pg';
    export async function inRedis(url) {
      const redis = new Redis(url);
      try { return await redis.incr('n'); } finally { redis.disconnect(); }
    }
    export async function inPostgres(url) {
      const client = new pg.Client({ connectionString: url });
      client.on('error', () => {});
      await client.connect();
      try {
        await client.query('CREATE TABLE n (n int)');
        return (await client.query('INSERT INTO n VALUES (1) RETURNING n')).rows[0].n;
      } finally { await client.end(); }
    }
    export async function ask(servers) { return 'answer'; }`,
  'test/laws.test.ts': `
    import { startPostgres, startRedis } from '@shared/services';
    import { describeWith } from '@shared/testkit';
    import { expect, test } from 'vitest';
    import { ask, inPostgres, inRedis } from '#lab';

    await describeWith('lab', { redis: () => startRedis({ nodes: 2 }), pg: () => startPostgres() }, ({ redis, pg }) => {
      test('is asked', { timeout: 2000 }, async () => expect(await ask({ redis, pg })).toBe('answer'));
      test('counts in Redis', async () => {
        expect(await Promise.all(redis.nodes.map(({ url }) => inRedis(url)))).toEqual([1, 1]);
        expect([globalThis.patched, Math.max(1, 2)]).toEqual([undefined, 2]);
      });
      test('counts in Postgres', async () => expect(await inPostgres(pg.url)).toBe(1));
    });`,
};
const pitfalls: Readonly<Record<string, string>> = {
  hangs: 'export const ask = () => new Promise(() => {});',
  blocks: 'export function ask() { for (;;); }',
  exits: 'export function ask() { process.reallyExit(7); }',
  aborts: 'export function ask() { process.abort(); }',
  rejects: "export async function ask() { Promise.reject(new Error('nobody listens')); return 'answer'; }",
  leaks: `
    import { createServer } from 'node:net';
    import { spawn } from 'node:child_process';
    import { writeFileSync } from 'node:fs';
    export async function ask() {
      createServer().listen(0);
      process.on('exit', () => {});
      setInterval(() => {}, 10);
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
      writeFileSync(process.env.LEAKED, String(child.pid));
      return 'answer';
    }`,
  patches: `
    globalThis.patched = true;
    Math.max = () => 0;
    export async function ask() { return 'answer'; }`,
  'kills-a-node': 'export async function ask({ redis }) { await redis.nodes[1].kill(); }',
  'pauses-postgres': 'export async function ask({ pg }) { await pg.node.pause(); }',
  'shuts-a-node-down': `
    import { Redis } from 'ioredis';
    export async function ask({ redis }) {
      const client = new Redis(redis.nodes[0].url, { retryStrategy: () => null });
      client.on('error', () => {});
      await client.shutdown('NOSAVE').catch(() => {});
    }`,
  'breaks-postgres': `
    import pg from 'pg';
    export async function ask({ pg: { url } }) {
      const client = new pg.Client({ connectionString: url });
      client.on('error', () => {});
      await client.connect();
      await client.query('CREATE TABLE n (other text)');
      await client.query('CREATE ROLE intruder');
      await client.query("ALTER DATABASE template1 SET default_transaction_read_only = on");
      await client.query('BEGIN');
      await client.query('LOCK TABLE n');
    }`,
};

let dir: string;
let grader: Grader;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'labs-grader-'));
  const asked = "export * from '../src/index.ts';\n";
  const all = Object.entries(pitfalls).map(([name, text]) => [`pitfalls/${name}.ts`, asked + text] as const);
  for (const [file, text] of [...Object.entries(files), ...all]) {
    await mkdir(dirname(join(dir, file)), { recursive: true });
    await writeFile(join(dir, file), text);
  }
  await mkdir(join(dir, 'node_modules/@shared'), { recursive: true });
  for (const [name, target] of [
    ['@shared/services', 'shared/services'],
    ['@shared/testkit', 'shared/testkit'],
    ['vitest', 'shared/testkit/node_modules/vitest'],
    ['ioredis', 'shared/services/node_modules/ioredis'],
    ['pg', 'shared/services/node_modules/pg'],
  ] as const) {
    await symlink(join(house, target), join(dir, 'node_modules', name), 'dir');
  }
  process.env['LABS_SERVICES'] = 'embedded';
  grader = openGrader(dir);
});
afterAll(async () => {
  await grader[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const leaked = (): string => join(dir, 'leaked');
/** Long enough for an abort that dumps a core first, which takes a second on a busy machine. */
const BLOCKED_MS = 3000;

const run = (name?: string): Promise<SuiteResult> =>
  grader.run({
    ...(name === undefined ? {} : { impl: `pitfalls/${name}.ts` }),
    env: { LEAKED: leaked() },
    blockedMs: BLOCKED_MS,
  });
const brief = ({ tests, problems }: SuiteResult) => ({
  failed: tests.filter(({ state }) => state === 'failed').map(({ name }) => name),
  passed: tests.filter(({ state }) => state === 'passed').map(({ name }) => name),
  problems: problems.length,
});
const [asked = '', inRedis = '', inPostgres = ''] = laws;

/** What each does to its own run. Whatever it is, the reference is graded right after it, and beside it, and passes. */
const verdicts: readonly (readonly [
  name: string,
  failed: readonly string[],
  passed: readonly string[],
  problems: number,
])[] = [
  ['hangs', [asked], [inRedis, inPostgres], 0],
  ['blocks', [asked], [], 0],
  ['exits', [], [], 1],
  ['aborts', [], [], 1],
  ['rejects', [], laws, 1],
  ['leaks', [], laws, 0],
  ['patches', [inRedis], [asked, inPostgres], 0],
  ['kills-a-node', [asked, inRedis], [inPostgres], 0],
  ['pauses-postgres', [asked, inPostgres], [inRedis], 0],
  ['shuts-a-node-down', [asked, inRedis], [inPostgres], 0],
  ['breaks-postgres', [asked, inPostgres], [inRedis], 0],
];

test.each(verdicts)(
  'an implementation that %s is blamed alone, and the next is graded clean',
  {
    timeout: 60_000,
  },
  async (name, failed, passed, problems) => {
    const [own, beside] = await Promise.all([run(name), run()]);
    expect(brief(own)).toEqual({ failed, passed, problems });
    const sound = { failed: [], passed: laws, problems: 0 };
    expect([brief(beside), brief(await run())]).toEqual([sound, sound]);
  },
);

test('a crash says which process ended, and a hang which law', { timeout: 60_000 }, async () => {
  const [exits, blocks] = await Promise.all([run('exits'), run('blocks')]);
  expect(exits.problems).toEqual([expect.stringMatching(/exited unexpectedly with exit code 7/)]);
  expect(blocks.tests).toMatchObject([
    { name: asked, error: `hangs: it has blocked the event loop for ${BLOCKED_MS} ms` },
  ]);
});

test('what an implementation has started ends with its run', { timeout: 60_000 }, async () => {
  await run('leaks');
  const pid = Number(await readFile(leaked(), 'utf8'));
  await until(async () => !(await lives(pid)), { what: 'the end of what it started' });
});

test('a run is ended by the first law that fails where that is enough, and by its signal', {
  timeout: 60_000,
}, async () => {
  const bailed = await grader.run({ impl: 'pitfalls/patches.ts', bail: true });
  expect(brief(bailed)).toMatchObject({ failed: [inRedis], passed: [asked] });
  const stop = new AbortController();
  const hung = grader.run({ impl: 'pitfalls/hangs.ts', signal: stop.signal, onOutput: () => {} });
  setTimeout(() => stop.abort(new Error('enough')), 500);
  await expect(hung).rejects.toThrow('enough');
  expect(brief(await run())).toMatchObject({ failed: [] });
});

test('some laws by name, of one file', { timeout: 60_000 }, async () => {
  const result = await grader.run({ testNames: [asked, inPostgres], files: ['test/laws.test.ts'] });
  expect(brief(result)).toEqual({ failed: [], passed: [asked, inPostgres], problems: 0 });
});

/** What has ended and waits for its parent to notice lives no more. */
async function lives(pid: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') R');
    return stat[stat.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
}
