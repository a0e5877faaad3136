import { execFileSync, spawn } from 'node:child_process';
import { chmod, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { parseLsof, parsePs, processesIn } from '../src/belongings.ts';
import { entrust } from '../src/reaper.ts';
import { listens, Script, segmentsUnder, stillThere, temporary, until } from './support.ts';

/** It takes a tenth of a second; where the disk or the processors are taken, up to many times that. */
const WITHIN_MS = 10_000;

/** A temporary folder that the script's servers, whatever user they run as, live in. */
async function world() {
  const folder = await temporary();
  await chmod(folder.path, 0o755);
  return folder;
}

async function nothingIsLeft(folder: string): Promise<boolean> {
  return (await readdir(folder)).length === 0 && (await processesIn(folder)).length === 0;
}

test.each([
  ['kill -9', 'both', 'stay', 'SIGKILL'],
  ['kill -9 with a standby paused', 'standby', 'stay', 'SIGKILL'],
  ['kill -9 with Postgres paused', 'both', 'paused', 'SIGKILL'],
  ['kill -9 with Postgres killed', 'both', 'killed', 'SIGKILL'],
  ['kill -9 with a cluster, one node of it paused', 'cluster', 'stay', 'SIGKILL'],
  ['SIGTERM', 'redis', 'stay', 'SIGTERM'],
  ['SIGINT', 'redis', 'stay', 'SIGINT'],
  ['SIGHUP', 'redis', 'stay', 'SIGHUP'],
  ['process.exit()', 'redis', 'exit', undefined],
  ['an end without dispose', 'redis', 'forget', undefined],
  ['an uncaught rejection', 'redis', 'crash', undefined],
] as const)('after %s no process, folder, port or shared memory is left', async (_name, servers, how, signal) => {
  await using folder = await world();
  const script = new Script('hold.ts', { TMPDIR: folder.path }, [servers, how]);
  const ports = await script.says<number[]>();
  const segments = await segmentsUnder(folder.path);
  if (signal !== undefined) script.child.kill(signal);
  await script.ended();
  await until('nothing is left', () => nothingIsLeft(folder.path), WITHIN_MS);
  // A port is free once its process is gone; asking for it would meet whoever was given it since.
  expect(ports).not.toEqual([]);
  expect(await stillThere(segments)).toEqual([]);
});

test('a parent that is killed in the middle of a start leaves nothing, at whatever moment', async () => {
  await Promise.all(
    [20, 60, 90, 120, 160, 220, 300, 420].map(async (ms, index) => {
      // Two at a time: each start takes a processor.
      await sleep(Math.floor(index / 2) * 350);
      await using folder = await world();
      const script = new Script('start-forever.ts', { TMPDIR: folder.path });
      await script.says();
      await sleep(ms);
      script.child.kill('SIGKILL');
      await script.ended();
      await until(`nothing is left ${ms} ms into the start`, () => nothingIsLeft(folder.path), WITHIN_MS);
    }),
  );
});

test('Ctrl-C in a terminal reaches the lab first: the servers are in sessions of their own', async () => {
  await using folder = await world();
  const script = new Script('hold.ts', { TMPDIR: folder.path }, ['redis', 'stay']);
  await script.says();
  const pids = await processesIn(folder.path);
  const own = execFileSync('ps', ['-o', 'sid=', '-p', String(script.child.pid)], { encoding: 'utf8' }).trim();
  const theirs = execFileSync('ps', ['-o', 'sid=', '-p', pids.join(',')], { encoding: 'utf8' });
  expect(theirs.split('\n').map((sid) => sid.trim())).not.toContain(own);
  script.child.kill('SIGKILL');
  await until('nothing is left', () => nothingIsLeft(folder.path), WITHIN_MS);
});

test('a parent has one reaper, however many servers it starts', async () => {
  await using folder = await world();
  const script = new Script('hold.ts', { TMPDIR: folder.path }, ['redis', 'stay']);
  await script.says();
  const children = execFileSync('ps', ['-o', 'args=', '--ppid', String(script.child.pid)], { encoding: 'utf8' });
  expect(children.split('\n').filter((line) => line.includes('reaper-main')).length).toBe(1);
  script.child.kill('SIGKILL');
  await until('nothing is left', () => nothingIsLeft(folder.path), WITHIN_MS);
});

test('only what lives in the folder is ended: neither a neighbour of the same parent nor a person at a terminal', async () => {
  await using folder = await world();
  const neighbour = spawn('sleep', ['60'], { cwd: '/' });
  const inside = spawn('sleep', ['60'], { cwd: folder.path });
  // `script` gives its command a terminal, as a person's shell has one.
  const person = spawn('script', ['-qec', 'sleep 60', '/dev/null'], { cwd: folder.path, stdio: 'ignore' });
  await until('the person sleeps', async () => (await processesIn('/')).length > 0);
  const found = await processesIn(folder.path);
  expect(found).toContain(inside.pid);
  expect(found).not.toContain(neighbour.pid);
  await until('the person has a terminal', () => {
    const sleeper = execFileSync('ps', ['-o', 'pid=,tty=', '--ppid', String(person.pid)], { encoding: 'utf8' });
    return sleeper.includes('pts') || sleeper.includes('tty');
  });
  const [sleeper] = execFileSync('ps', ['-o', 'pid=', '--ppid', String(person.pid)], { encoding: 'utf8' })
    .trim()
    .split(/\s+/);
  expect(await processesIn(folder.path)).not.toContain(Number(sleeper));
  for (const child of [neighbour, inside, person]) child.kill('SIGKILL');
});

test('who is killed lives there until the last of his threads is gone, and his ports with them', async () => {
  await using folder = await world();
  const crowd = `
    const { Worker } = require('node:worker_threads');
    const memory = 'new Array(100).fill().map(() => Buffer.alloc(100_000, 1)); setInterval(() => {}, 1000)';
    const ready = Array.from({ length: 12 }, () => new Promise((r) => new Worker(memory, { eval: true }).once('online', r)));
    const server = require('node:net').createServer().listen(0, '127.0.0.1');
    Promise.all(ready).then(() => console.log(server.address().port));`;
  const seen: boolean[] = [];
  for (let round = 0; round < 5; round += 1) {
    const child = spawn(process.execPath, ['-e', crowd], { cwd: folder.path, stdio: ['ignore', 'pipe', 'ignore'] });
    const port = Number(await new Promise((resolve) => child.stdout.once('data', resolve)));
    child.kill('SIGKILL');
    while ((await processesIn(folder.path)).length > 0);
    seen.push(await listens(port));
  }
  expect(seen).toEqual([false, false, false, false, false]);
});

test('a belonging that is settled is not settled again', async () => {
  await using folder = await world();
  const entrusted = entrust({ folder: `${folder.path}/mine` });
  await entrusted.settle();
  expect(await readdir(folder.path)).toEqual([]);
});

test('where there is no /proc, ps and lsof tell who lives in a folder', () => {
  const homes = parseLsof(
    'p10\nfcwd\nn/private/tmp/labs-1\np11\nfcwd\nn/Users/me\np12\nfcwd\nn/private/tmp/labs-1/0\n',
  );
  const ps = [
    '   10     1 ??       redis-server 127.0.0.1:20001',
    '   11     1 ttys001  -zsh',
    '   12     1 ttys002  -zsh',
    '   13     1 ??       /x/postgres -D /private/tmp/labs-1/data -p 20002',
    '   14    13 ??       postgres: checkpointer',
  ].join('\n');
  const seen = parsePs(ps, homes, '/private/tmp/labs-1');
  expect(seen.map(({ pid, parent, person, ours }) => [pid, parent, person, ours])).toEqual([
    [10, 1, false, true],
    [11, 1, true, false],
    [12, 1, true, true],
    [13, 1, false, true],
    [14, 13, false, false],
  ]);
});
