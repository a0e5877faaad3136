import { inspect } from 'node:util';
import { until } from '@shared/testkit';
import { expect, test, vi } from 'vitest';
import {
  ClosedError,
  DrainTimeoutError,
  detectCpu,
  recommend,
  ruleOfThumb,
  WorkerLostError,
  type Workload,
} from '#lab';
import { ended, fakeRoot, gone, kill, newGate, openShop, STARTING } from './helpers.ts';

vi.setConfig({ testTimeout: 40_000 });

test('the rule of thumb: a process for a physical core, five threads for a logical one, and always a thread', () => {
  const big = { physical: 8, logical: 16 };
  expect(ruleOfThumb('cpu', big)).toEqual({ processes: 8, threads: 1 });
  expect(ruleOfThumb('io', big)).toEqual({ processes: 1, threads: 80 });
  expect(ruleOfThumb('mixed', big)).toEqual({ processes: 8, threads: 2 });
  expect(ruleOfThumb('mixed', { physical: 6, logical: 8 })).toEqual({ processes: 6, threads: 1 });
  // Cores that were switched off, or a container that sees two of the machine's eight.
  expect(ruleOfThumb('mixed', { physical: 8, logical: 2 })).toEqual({ processes: 8, threads: 1 });
});

test('the cores that are ours are those of the mask and of the quota, not those of the machine', () => {
  const machine: Record<string, string> = { 'sys/devices/system/cpu/online': '0-15' };
  for (let cpu = 0; cpu < 16; cpu++) {
    machine[`sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`] = `${cpu % 8},${(cpu % 8) + 8}`;
  }
  const ours = (mask: string, quota: string) =>
    detectCpu(
      fakeRoot({
        ...machine,
        'proc/self/status': `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${mask}\nMems_allowed_list:\t0`,
        'proc/self/cgroup': '0::/',
        'sys/fs/cgroup/cpu.max': quota,
      }),
    );
  const all = { physical: 8, logical: 16, affinity: 16, quota: undefined, effective: 16 };
  expect(ours('0-15', 'max 100000')).toEqual(all);
  expect(ours('0-2,8,10-13', 'max 100000')).toEqual({ ...all, affinity: 8, effective: 8 });
  expect(ours('0-15', '250000 100000')).toEqual({ ...all, quota: 2.5, effective: 2 });
  expect(ours('0', '250000 100000')).toEqual({ ...all, affinity: 1, quota: 2.5, effective: 1 });
  expect(ours('0-15', '20000 100000')).toEqual({ ...all, quota: 0.2, effective: 1 });
});

test('work that computes gets as many threads as cores are ours, and no more', () => {
  for (const effective of [1, 2, 3, 8]) {
    for (const physical of [1, 4, 32]) {
      const computing = recommend({ kind: 'cpu' }, { physical, effective });
      expect(computing.processes * computing.threads, `cpu, ${effective} cores are ours: processes × threads`).toBe(
        effective,
      );
      expect(computing.inFlight, 'cpu: under way').toBe(effective);
      const mixed = recommend({ kind: 'mixed', waitRatio: 3 }, { physical, effective });
      expect(
        mixed.processes * mixed.threads,
        `mixed, ${effective} of ${physical} cores are ours: processes × threads`,
      ).toBeLessThanOrEqual(effective);
      expect(mixed.processes, `mixed, ${effective} of ${physical} cores are ours: processes`).toBe(
        Math.min(physical, effective),
      );
      expect(mixed.threads).toBeGreaterThanOrEqual(1);
    }
  }
  expect(recommend({ kind: 'mixed', waitRatio: 3 }, { physical: 2, effective: 4 })).toMatchObject({
    processes: 2,
    threads: 2,
    inFlight: 16,
  });
});

test('work that waits gets places, not threads: N(1 + W/C), or rate times latency', () => {
  const cpu = { physical: 4, effective: 4 };
  const planFor = (workload: Workload, { physical, effective } = cpu) =>
    expect(recommend(workload, { physical, effective }), `${inspect(workload)} on ${effective} cores of ours`);
  // 95 of 100 ms are waited: 80 under way keep 4 cores busy, and 4 threads wait for all of them.
  planFor({ kind: 'io', waitRatio: 19 }).toMatchObject({ processes: 1, threads: 4, inFlight: 80 });
  planFor({ kind: 'io', waitRatio: 0.1 }).toMatchObject({ inFlight: 5 });
  // 1000 a second that stay 200 ms are 200 at once, however many cores there are.
  const little = { kind: 'io', targetRps: 1_000, latencyMs: 200 } as const;
  planFor(little).toMatchObject({ threads: 1, inFlight: 200 });
  planFor(little, { physical: 1, effective: 1 }).toMatchObject({ threads: 1, inFlight: 200 });
  planFor({ kind: 'io', targetRps: 0.5, latencyMs: 20 }).toMatchObject({ inFlight: 1 });
  // Binary fractions: 8.1 × 10 is 81, and 0.07 s of 1,100 a second is 77.
  planFor({ kind: 'io', waitRatio: 7.1 }, { physical: 1, effective: 10 }).toMatchObject({ inFlight: 81 });
  planFor({ kind: 'io', targetRps: 1_100, latencyMs: 70 }).toMatchObject({ inFlight: 77 });
  // Of each 200 ms, 4 compute: 1,000 a second compute 4 seconds in each, 500 a second 2.
  planFor({ ...little, waitRatio: 49 }).toMatchObject({ threads: 4, inFlight: 200 });
  planFor({ ...little, targetRps: 500, waitRatio: 49 }).toMatchObject({ threads: 2, inFlight: 100 });
  planFor({ ...little, targetRps: 9_000, waitRatio: 49 }).toMatchObject({ threads: 4, inFlight: 1_800 });
});

test('a hybrid runs as many tasks at once as it has threads in all its processes, and no more', async () => {
  const shop = await openShop({ processes: 2, threadsPerProcess: 2 });
  const { gate, begun, passed, open } = newGate();
  const orders = [1, 2, 3, 4, 5, 6].map((name) => shop.run({ dish: 'hold', name: `${name}`, gate }));
  await passed(4);
  await expect(ended(until(() => begun().length > 4, { timeoutMs: 100 }))).resolves.toMatchObject({
    value: undefined,
  });
  const { pids, running, waiting } = shop.stats();
  expect({ running, waiting }).toEqual({ running: 4, waiting: 2 });
  expect(new Set(pids).size).toBe(2);
  open();
  const stoves = (await Promise.all(orders.map((order) => ended(order)))).map(({ value }) => JSON.stringify(value));
  expect(new Set(stoves.slice(0, 4)).size, 'four at once, on four stoves').toBe(4);
  expect(new Set(stoves).size, 'the same four for the rest').toBe(4);
  for (const stove of stoves) expect(pids).toContain(JSON.parse(stove).pid);
  expect(shop.stats()).toEqual({ pids, running: 0, waiting: 0 });
  const pair = await Promise.all(['g', 'h'].map((name) => ended(shop.run({ dish: 'hold', name, gate }))));
  expect(new Set(pair.map(({ value }) => Object(value).pid)).size, 'the freest is served first').toBe(2);
  for (let turn = 0; turn < 3; turn++) {
    const { value } = await ended(shop.run({ dish: 'stove' }));
    expect(pids, 'the same processes, turn after turn').toContain(Object(value).pid);
  }
});

test('a process that is killed loses its own tasks alone: each is told, and none runs twice', async () => {
  const shop = await openShop({ processes: 2, threadsPerProcess: 2 });
  const { gate, begun, passed, open } = newGate();
  const names = ['a', 'b', 'c', 'd', 'e', 'f'];
  const all = Promise.allSettled(names.map((name) => shop.run({ dish: 'hold', name, gate })));
  await passed(4);
  const [victim = 0] = shop.stats().pids;
  kill(victim);
  await until(() => gone(victim), { timeoutMs: STARTING });
  open();
  const ends = await until(() => all, {
    timeoutMs: 2_000,
    what: 'all six callers to be told how their order ended',
  });
  const lost = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
  expect(lost, 'of the four that ran, in two processes').toHaveLength(2);
  for (const error of lost) {
    expect(error).toBeInstanceOf(WorkerLostError);
    expect(error).toMatchObject({ pid: victim, exit: { code: null, signal: 'SIGKILL' } });
  }
  expect(ends).toHaveLength(6);
  expect(begun().toSorted(), 'each has begun once').toEqual(names);
});

test('a process that has gone is replaced, and what waits is served', async () => {
  const shop = await openShop();
  const { gate, passed, open } = newGate();
  const first = ended(shop.run({ dish: 'hold', name: 'first', gate }));
  const second = ended(shop.run({ dish: 'hold', name: 'second', gate }), STARTING);
  await passed(1);
  const [victim = 0] = shop.stats().pids;
  kill(victim);
  expect((await first).error).toBeInstanceOf(WorkerLostError);
  const next = await until(() => shop.stats().pids.find((pid) => pid !== victim), {
    what: 'another',
    timeoutMs: 1_000,
  });
  open();
  expect((await second).value).toMatchObject({ pid: next });
  expect(gone(victim), 'no zombie is left').toBe(true);
});

test('who gives a task up gets his own reason at once, and its place is free when its thread has gone', async () => {
  const shop = await openShop();
  const { gate, passed, open, ended: finished, begun } = newGate();
  const [leaving, never] = [new AbortController(), new AbortController()];
  const endless = ended(shop.run({ dish: 'spin', name: 'endless', gate }, { signal: leaving.signal }), STARTING);
  const next = ended(shop.run({ dish: 'stove' }), STARTING);
  const unwanted = ended(shop.run({ dish: 'spin', name: 'unwanted', gate }, { signal: never.signal }), STARTING);
  await passed(1);
  const reason = new Error('the guest has gone');
  never.abort('not hungry');
  leaving.abort(reason);
  expect(shop.stats(), 'its thread is still at it').toMatchObject({ running: 1, waiting: 1 });
  expect((await endless).error).toBe(reason);
  expect((await unwanted).error).toBe('not hungry');
  expect((await next).value).toMatchObject({ pid: shop.stats().pids[0] });
  open();
  expect((await ended(shop.run({ dish: 'stove' }))).error).toBeUndefined();
  expect([begun(), finished()], 'the endless one has begun, and was ended').toEqual([['endless'], []]);
});

test('what was taken is finished at the closing, and no longer than the deadline allows', async () => {
  const shop = await openShop();
  const { gate, passed, open } = newGate();
  const taken = ['a', 'b'].map((name) => ended(shop.run({ dish: 'hold', name, gate })));
  await passed(1);
  const closed = ended(shop[Symbol.asyncDispose]());
  expect((await ended(shop.run({ dish: 'stove' }))).error).toBeInstanceOf(ClosedError);
  open();
  expect((await closed).error).toBeUndefined();
  for (const order of taken) expect((await order).value).toMatchObject({ pid: expect.any(Number) });
  expect(shop.stats()).toEqual({ pids: [], running: 0, waiting: 0 });
  expect((await ended(shop[Symbol.asyncDispose]())).error).toBeUndefined();

  const hasty = await openShop({ drainMs: 50 });
  const other = newGate();
  const left = ['a', 'b'].map((name) => ended(hasty.run({ dish: 'spin', name, gate: other.gate })));
  await other.passed(1);
  const [pid = 0] = hasty.stats().pids;
  expect((await ended(hasty[Symbol.asyncDispose](), 1_500)).error).toBeUndefined();
  for (const order of left) expect((await order).error).toBeInstanceOf(DrainTimeoutError);
  expect(other.begun()).toEqual(['a']);
  expect(gone(pid)).toBe(true);
});
