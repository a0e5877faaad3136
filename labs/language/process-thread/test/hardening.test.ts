import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { History, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  BrokenHybridError,
  calibrate,
  detectCpu,
  type HybridOptions,
  hybrid,
  InvalidArgumentError,
  recommend,
  TaskError,
  UncloneableError,
  WorkerLostError,
  type Workload,
} from '#lab';
import { ended, entry, fakeRoot, gone, kill, newGate, openShop, STARTING } from './helpers.ts';

vi.setConfig({ testTimeout: 40_000 });
const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const program = (name: string) => join(import.meta.dirname, name);

// ── detection ───────────────────────────────────────────────────────────────────────────────────────────────────────

const status = { 'proc/self/status': 'Cpus_allowed_list:\t0-15' };

test('of groups within groups the tightest quota holds', () => {
  const quota = (cgroup: string, files: Record<string, string>) =>
    detectCpu(fakeRoot({ ...status, 'proc/self/cgroup': cgroup, ...files })).quota;
  const group = 'sys/fs/cgroup';
  const nested = { [`${group}/shop/cpu.max`]: '300000 100000', [`${group}/shop/kitchen/cpu.max`]: 'max 100000' };
  expect(quota('0::/shop/kitchen', nested)).toBe(3);
  expect(quota('0::/shop/kitchen', { ...nested, [`${group}/shop/kitchen/cpu.max`]: '50000 25000' })).toBe(2);
  expect(quota('0::/shop/kitchen/stove', nested), 'a group without the controller').toBe(3);
  expect(quota('0::/elsewhere', nested), "another group's").toBeUndefined();
  // From inside a container: the path is the host's, or lies above its own root.
  expect(quota('0::/docker/0af1', { [`${group}/cpu.max`]: '150000 100000' })).toBe(1.5);
  const outside = { 'sys/fs/cpu.max': '50000 100000', [`${group}/cpu.max`]: '150000 100000' };
  expect(quota('1:cpuset:/shop\n0::/../shop', outside)).toBe(1.5);
});

test('what the system does not tell, or tells otherwise, is passed over', () => {
  const nothing = detectCpu(fakeRoot({}));
  expect(nothing).toMatchObject({ quota: undefined, affinity: availableParallelism() });
  expect(nothing.logical).toBeGreaterThanOrEqual(1);
  expect(nothing.physical).toBeGreaterThanOrEqual(1);
  for (const quota of ['', 'none', '0 100000', '1e5 100000', '-1 100000', '100000', '100000 0', '0x10 100000', ' ']) {
    const files = { ...status, 'proc/self/cgroup': '0::/', 'sys/fs/cgroup/cpu.max': quota };
    expect(detectCpu(fakeRoot(files)), `cpu.max is "${quota}"`).toMatchObject({ quota: undefined, effective: 16 });
  }
  for (const list of ['', 'all', '0-', '-3', '1,,2', '0x1']) {
    const { affinity } = detectCpu(fakeRoot({ 'proc/self/status': `Cpus_allowed_list:\t${list}` }));
    expect(affinity, `the mask is "${list}"`).toBe(availableParallelism());
  }
  const untold = { ...status, 'sys/devices/system/cpu/online': '0-15' };
  expect(detectCpu(fakeRoot(untold)), 'no topology').toMatchObject({ physical: 16, logical: 16 });
});

test.skipIf(!existsSync('/usr/bin/taskset'))('a mask of the running process is seen, and measured', async () => {
  const { stdout } = await promisify(execFile)('taskset', ['-c', '0', process.execPath, program('detect.ts'), '60']);
  const { measured, ...cpu } = JSON.parse(stdout);
  expect(cpu).toMatchObject({ affinity: 1, effective: 1, logical: detectCpu().logical });
  // Two threads on one core, whoever else is at work there.
  expect(measured).toBeGreaterThan(0);
  expect(measured).toBeLessThan(1.4);
});

test('calibrate measures some cores, and leaves no thread', async () => {
  const ports = () => process.getActiveResourcesInfo().filter((name) => name === 'MessagePort').length;
  const before = ports();
  const cores = await calibrate(50);
  expect(cores).toBeGreaterThan(0.01);
  expect(cores).toBeLessThan(1.4 * Math.max(2, detectCpu().affinity));
  expect(ports()).toBe(before);
});

// ── figures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('figures that cannot be are refused, and waiting of which nothing is known', async () => {
  const cpu = { physical: 4, effective: 4 };
  const refused: unknown[] = [
    { kind: 'gpu' },
    { kind: 'toString' },
    { kind: 'io' },
    { kind: 'mixed' },
    { kind: 'io', targetRps: 100 },
    { kind: 'io', latencyMs: 100 },
    { kind: 'io', waitRatio: -1 },
    { kind: 'io', waitRatio: 1_000_001 },
    { kind: 'io', waitRatio: Number.NaN },
    { kind: 'io', waitRatio: '9' },
    { kind: 'cpu', waitRatio: Number.POSITIVE_INFINITY },
    { kind: 'io', targetRps: 0, latencyMs: 100 },
    { kind: 'io', targetRps: 100, latencyMs: -1 },
  ];
  for (const workload of refused) {
    expect(() => recommend(workload as Workload, cpu), JSON.stringify(workload)).toThrow(InvalidArgumentError);
  }
  for (const bad of [0, 1.5, Number.NaN, 1_000_001]) {
    expect(() => recommend({ kind: 'cpu' }, { ...cpu, effective: bad })).toThrow(InvalidArgumentError);
    expect(() => recommend({ kind: 'cpu' }, { ...cpu, physical: bad })).toThrow(InvalidArgumentError);
    const options: HybridOptions = { processes: 1, threadsPerProcess: 1, entry };
    expect(() => hybrid({ ...options, processes: bad })).toThrow(InvalidArgumentError);
    expect(() => hybrid({ ...options, threadsPerProcess: bad })).toThrow(InvalidArgumentError);
  }
  for (const drainMs of [-1, 2 ** 31]) {
    expect(() => hybrid({ processes: 1, threadsPerProcess: 1, entry, drainMs })).toThrow(InvalidArgumentError);
  }
  const text: unknown = entry.href;
  expect(() => hybrid({ processes: 1, threadsPerProcess: 1, entry: text as URL })).toThrow(InvalidArgumentError);
  await expect(calibrate(1), 'a tick').rejects.toThrow(InvalidArgumentError);
});

// ── the hybrid ──────────────────────────────────────────────────────────────────────────────────────────────────────

test('an error is told by its texts, and what cannot be copied fails its own task', async () => {
  const shop = await openShop();
  const { error } = await ended(shop.run({ dish: 'burn' }));
  expect(error).toBeInstanceOf(TaskError);
  expect(error).toMatchObject({ remote: { name: 'RangeError', message: 'the burger is black', code: 'E_BLACK' } });
  expect(Object(error).remote.stack).toContain('kitchen.ts');
  for (const [what, message] of [
    ['a text', 'a text'],
    ['nothing', 'undefined'],
    ['mute', "what was thrown can't be read"],
  ] as const) {
    const thrown = (await ended(shop.run({ dish: 'toss', what }))).error;
    expect(thrown, what).toBeInstanceOf(TaskError);
    expect(thrown, what).toMatchObject({ remote: { message, code: undefined } });
  }
  for (const value of [
    () => 1,
    new SharedArrayBuffer(8),
    Symbol('s'),
    {
      get x() {
        throw new Error('x');
      },
    },
  ]) {
    const refused = (await ended(shop.run({ dish: 'echo', value }))).error;
    expect(refused).toBeInstanceOf(UncloneableError);
    expect(refused).toHaveProperty('cause');
  }
  expect((await ended(shop.run({ dish: 'lend' }))).error).toBeInstanceOf(UncloneableError);
  const value = { at: new Date(0), of: [1n, Number.NaN, '\ud83c'], map: new Map([['__proto__', new Uint8Array(9)]]) };
  const order = shop.run({ dish: 'echo', value });
  // A copy was made at once.
  const asked = { ...value };
  value.of = [];
  expect((await ended(order)).value).toEqual(asked);
  // What the stack of a thread could write, and ours can't read; and what is none of our messages.
  expect((await ended(shop.run({ dish: 'nest', depth: 5_000 }))).error).toBeInstanceOf(UncloneableError);
  expect((await ended(shop.run({ dish: 'forge' }))).value).toBe('a burger');
  expect(shop.stats()).toMatchObject({ running: 0, waiting: 0 });
});

test('a thread that dies loses its own task and says why, and its process lives on, whatever Ctrl-C sends', async () => {
  const shop = await openShop({ threadsPerProcess: 2 });
  const { gate, passed, open } = newGate();
  const beside = ended(shop.run({ dish: 'hold', name: 'beside', gate }), STARTING);
  await passed(1);
  const { pids } = shop.stats();
  const { error } = await ended(shop.run({ dish: 'leave', code: 7 }));
  expect(error).toBeInstanceOf(WorkerLostError);
  expect(error).toMatchObject({ pid: pids[0], exit: { code: 7, signal: null, error: undefined } });
  const unheard = (await ended(shop.run({ dish: 'reject' }), STARTING)).error;
  expect(unheard).toBeInstanceOf(WorkerLostError);
  expect(unheard).toMatchObject({ exit: { code: 1, error: { name: 'RangeError', message: 'nobody caught it' } } });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.kill(pids[0] ?? 0, signal);
  const next = ended(shop.run({ dish: 'stove' }), STARTING);
  expect((await next).value).toMatchObject({ pid: pids[0] });
  open();
  expect((await beside).value).toMatchObject({ pid: pids[0] });
  expect(shop.stats().pids).toEqual(pids);
});

test('where no process can be had everybody is told, once', async () => {
  const { gate } = newGate();
  for (const [file, said] of [
    ['failing.ts', 'no gas'],
    ['absent.ts', 'absent.ts'],
    ['types.test-d.ts', ''],
    ['kitchen.ts', 'ENOENT'],
  ] as const) {
    const program = process.execPath;
    if (said === 'ENOENT') process.execPath = '/absent';
    const shop = await openShop({ processes: 2, entry: new URL(file, import.meta.url) });
    const orders = [1, 2, 3].map((name) => ended(shop.run({ dish: 'hold', name: `${name}`, gate }), STARTING));
    for (const order of orders) {
      const { error } = await order;
      expect(error, file).toBeInstanceOf(BrokenHybridError);
      expect(String(error), file).toContain(said);
    }
    process.execPath = program;
    expect((await ended(shop.run({ dish: 'stove' }))).error, file).toBeInstanceOf(BrokenHybridError);
    expect((await ended(shop[Symbol.asyncDispose](), STARTING)).error, file).toBeUndefined();
  }
});

test('two processes that die at their start do not end it, and the third does', async () => {
  const { gate } = newGate();
  const dying = (times: number) => {
    const counter = new URL(`stubborn.ts?${times}${encodeURIComponent(`${gate}/${times}`)}`, import.meta.url);
    const options = { processes: 1, threadsPerProcess: 1, entry: counter };
    const shop = hybrid<{ default: (order: undefined) => string }>(options);
    onTestFinished(() => shop.stats().pids.forEach(kill));
    return shop;
  };
  const shop = dying(2);
  const order = ended(shop.run(undefined), STARTING);
  // Nor does a closing: what was taken before anybody was ready is served.
  const closed = ended(shop[Symbol.asyncDispose](), STARTING);
  expect((await order).value).toBe('a burger');
  expect((await closed).error).toBeUndefined();
  const { error } = await ended(dying(9).run(undefined), STARTING);
  expect(error).toBeInstanceOf(BrokenHybridError);
  expect(String(error)).toContain('SIGKILL');
  expect(readFileSync(`${gate}/9`, 'utf8')).toBe('...');
});

test('processes and threads have the flags of their parent and not its code, and what they print arrives', async () => {
  const code = `import(${JSON.stringify(new URL('flags.ts', import.meta.url).href)})`;
  const flags = ['-e', code, '--no-warnings', '--stack-trace-limit=7', '--input-type=module'];
  const { stdout } = await promisify(execFile)(process.execPath, flags, { timeout: STARTING });
  const lines = stdout.trim().split('\n');
  expect(lines.length).toBe(2_000);
  expect(JSON.parse(lines[0] ?? '')).toEqual(['--no-warnings', '--stack-trace-limit=7']);
});

test('a task beside one that is given up is not lost with it', async () => {
  const shop = await openShop({ threadsPerProcess: 4 });
  const draw = random(SEED);
  for (let round = 0; round < 12; round++) {
    const leaving = Array.from({ length: 4 }, async () => {
      const ms = draw.int(2, 5);
      await outcome(shop.run({ dish: 'doze', ms: 3 }, { signal: AbortSignal.timeout(ms) }), STARTING);
    });
    const beside = Array.from({ length: 4 }, () => ended(shop.run({ dish: 'stove' }), STARTING));
    for (const { error } of await Promise.all(beside)) expect(error).toBeUndefined();
    await Promise.all(leaving);
  }
});

test('who has left before he came gets his own reason, and a long-lived signal keeps nothing', async () => {
  const shop = await openShop();
  const { signal } = new AbortController();
  const [add, remove] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')];
  for (const order of [{ dish: 'stove' }, { dish: 'burn' }, { dish: 'leave', code: 1 }] as const) {
    await ended(shop.run(order, { signal }), STARTING);
  }
  await ended(shop.run({ dish: 'echo', value: () => 1 }, { signal }));
  expect(remove.mock.calls.map(([type, listener]) => [type, listener])).toEqual(
    add.mock.calls.map(([type, listener]) => [type, listener]),
  );
  await ended(shop[Symbol.asyncDispose]());
  expect((await ended(shop.run({ dish: 'stove' }, { signal: AbortSignal.abort('late') }))).error).toBe('late');
});

test('processes are killed at random: each task is told once, none is lost, none runs twice', async () => {
  const draw = random(SEED);
  const history = new History();
  const shop = await openShop({ processes: 2, threadsPerProcess: 2 });
  const { gate, begun, ended: finished } = newGate();
  const names = Array.from({ length: 40 }, (_, at) => `${at}`);
  const told = new Map<string, unknown[]>(names.map((name) => [name, []]));
  const all = Promise.all(
    names.map(async (name) => {
      const tell = (how: unknown) => {
        history.record(`${name} ${how ?? 'done'}`);
        told.get(name)?.push(how);
      };
      await shop.run({ dish: 'cook', name, gate, ms: draw.int(5, 25) }).then(() => tell(undefined), tell);
    }),
  );
  for (const after of [6, 16, 26]) {
    await until(() => begun().length >= after, { timeoutMs: STARTING, what: `${after} begun` });
    const { pids } = shop.stats();
    const victim = draw.pick(pids);
    history.record(`kill ${victim}`);
    if (victim !== undefined) kill(victim);
  }
  expect((await ended(all, 8_000)).error).toBeUndefined();
  for (const [name, ends] of told) expect(ends, name).toHaveLength(1);
  const lost = [...told].filter(([, [error]]) => error);
  for (const [, [error]] of lost) expect(error).toBeInstanceOf(WorkerLostError);
  expect(lost.length).toBeLessThanOrEqual(6);
  expect(new Set(begun()).size, 'begun once').toBe(begun().length);
  const done = names.filter((name) => !lost.some(([other]) => other === name));
  expect(finished(), 'whoever is told "done" is done').toEqual(expect.arrayContaining(done));
  expect(shop.stats()).toMatchObject({ running: 0, waiting: 0 });
});

test('no process outlives its parent, not even from a loop that never yields', async () => {
  const { gate } = newGate();
  const parent = spawn(process.execPath, [program('program.ts'), gate], { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => void parent.kill('SIGKILL'));
  const [said] = await Promise.race([
    once(parent.stdout, 'data', { signal: AbortSignal.timeout(2 * STARTING) }),
    once(parent, 'exit').then(([code]) =>
      expect.fail(`the parent ended with exit code ${code} before its child was up`),
    ),
  ]);
  const pids: number[] = JSON.parse(`${said}`);
  onTestFinished(() => pids.forEach(kill));
  expect(pids.map(gone), 'it runs').toEqual([false]);
  parent.kill('SIGKILL');
  await until(() => pids.every(gone), { timeoutMs: STARTING, what: 'its process to end' });
});
