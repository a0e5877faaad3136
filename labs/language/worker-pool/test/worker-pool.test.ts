import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { threadId } from 'node:worker_threads';
import { History, outcome, until } from '@shared/testkit';
import { expect, test, vi } from 'vitest';
import {
  asCompleted,
  BrokenPoolError,
  CancelledError,
  ShutdownError,
  TaskTimeoutError,
  WorkerCrashedError,
} from '#lab';
import { ended, everyKind, newGate, open, PATIENCE } from './helpers.ts';

vi.setConfig({ testTimeout: 20_000 });
test('a task runs in a worker, and an idle worker is used before another is started', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 3 });
    const photo = pool.submit('develop', 1);
    expect((await ended(photo)).value).toBe('photo 1');
    const workers = new Set<string | undefined>();
    for (let turn = 0; turn < 6; turn++) workers.add((await ended(pool.submit('whoAmI', undefined))).value);
    expect([...workers], `${kind}: six tasks, one after the other`).toHaveLength(1);
    expect([...workers]).not.toContain(`${process.pid}:${threadId}`);
    const { gate, passed, begun, open: goOn } = newGate();
    const futures = [1, 2, 3, 4, 5].map((film) => pool.submit('hold', { film, gate }));
    await passed(3);
    expect(begun(), `${kind}: begun while nothing has ended, of three places`).toHaveLength(3);
    expect(futures.filter(({ running }) => running)).toHaveLength(3);
    goOn();
    for (const [at, future] of futures.entries()) expect((await ended(future)).value).toBe(`photo ${at + 1}`);
  }));

test('an error keeps its name, its code, its cause and its stack on the way back', () =>
  everyKind(async (kind) => {
    const { error } = await ended(open({ kind }).submit('tear', 7));
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ name: 'TornError', code: 'E_TORN', film: 7, message: 'film 7 is torn' });
    const { cause, stack } = error instanceof Error ? error : new Error('no error');
    expect(Object.keys(Object(error)).toSorted(), 'what else is listed').toEqual(['code', 'film']);
    expect(cause).toBeInstanceOf(TypeError);
    expect(cause).toMatchObject({ message: 'the edge is wet' });
    expect(stack).toContain('photo-lab.ts');
  }));

test('cancel() says yes only before the task has started, and what is cancelled never runs', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const { gate, begun, passed, open: goOn } = newGate();
    const [a, b, c] = ['a', 'b', 'c'].map((film) => pool.submit('hold', { film, gate }));
    if (!a || !b || !c) throw new Error('three');
    await passed(1);
    expect([a.state, b.state], kind).toEqual(['running', 'pending']);
    expect([a.cancel(), b.cancel(), b.cancel()], `${kind}: the running, the waiting, the cancelled`).toEqual([
      false,
      true,
      true,
    ]);
    goOn();
    expect((await ended(a)).value).toBe('photo a');
    expect((await ended(c)).value).toBe('photo c');
    expect((await ended(b)).error).toBeInstanceOf(CancelledError);
    expect(c.cancel(), `${kind}: the finished`).toBe(false);
    expect(begun(), kind).toEqual(['a', 'c']);
  }));

test('a worker that dies takes its own task with it, and no other', () =>
  everyKind(async (kind) => {
    const pool = open({ kind });
    const history = new History();
    const futures = Array.from({ length: 100 }, (_, film) => pool.submit('jam', film));
    const idle = () => pool.stats.running + pool.stats.waiting === 0;
    await until(idle, { timeoutMs: PATIENCE, what: 'nothing to run and nothing to wait' });
    const unanswered = futures.flatMap(({ done }, film) => (done ? [] : [film]));
    expect(unanswered, `${kind}: films without an answer, and nobody left to give one`).toEqual([]);
    const states = await Promise.all(futures.map((future) => ended(future)));
    const lost = states.flatMap(({ error }, film) => (error ? [{ film, error }] : []));
    for (const { film, error } of lost) history.record(`${kind}: film ${film} failed: ${error}`);
    expect(lost.map(({ film }) => film)).toEqual([50]);
    expect(lost[0]?.error).toBeInstanceOf(WorkerCrashedError);
    expect(lost[0]?.error).toMatchObject({ exitCode: 7 });
    expect(states.filter(({ value }, film) => value === `photo ${film}`)).toHaveLength(99);
  }));

test('a task that runs too long is ended, and its place is free again', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    await ended(pool.submit('develop', 1));
    const endless = pool.submit('spin', undefined, { timeoutMs: 50 });
    const next = pool.submit('develop', 2, { timeoutMs: PATIENCE });
    expect((await ended(endless)).error, kind).toBeInstanceOf(TaskTimeoutError);
    expect(pool.stats.running, `${kind}: the worker is not left to its task`).toBe(0);
    expect(next.state, `${kind}: while the worker has not gone, its place is taken`).toBe('pending');
    expect((await ended(next)).value, kind).toBe('photo 2');
  }));

test('an initializer that fails breaks the pool once, and nobody waits', () =>
  everyKind(async (kind) => {
    const { gate, begun } = newGate();
    const pool = open({ kind, initializer: { name: 'failToStart', input: { film: 'developer', gate } } });
    const futures = [1, 2, 3, 4].map((film) => pool.submit('develop', film));
    const over = () => futures.every(({ done }) => done) || begun().length > 2;
    await until(over, { timeoutMs: PATIENCE, what: 'an answer for everybody, or a third start' });
    for (const { error } of futures) {
      expect(error, kind).toBeInstanceOf(BrokenPoolError);
      expect(error, kind).toMatchObject({ cause: { name: 'TornError', code: 'E_TORN' } });
    }
    expect(() => pool.submit('develop', 5)).toThrow(BrokenPoolError);
    expect((await outcome(pool.shutdown(), PATIENCE)).error).toBeUndefined();
    expect(begun().length, `${kind}: at most once in each of two workers`).toBeLessThanOrEqual(2);
  }));

test('after shutdown nothing is taken, and what was taken is finished', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const { gate, passed, open: goOn } = newGate();
    const futures = [1, 2, 3].map((film) => pool.submit('hold', { film, gate }));
    await passed(1);
    const closed = pool.shutdown();
    expect(() => pool.submit('develop', 4), `${kind}: submit throws a ShutdownError`).toThrow(ShutdownError);
    expect(() => pool.map('develop', [4]), `${kind}: map throws a ShutdownError`).toThrow(ShutdownError);
    goOn();
    expect((await outcome(closed, PATIENCE)).error).toBeUndefined();
    expect(futures.map(({ state }) => state)).toEqual(['succeeded', 'succeeded', 'succeeded']);
    expect(pool.stats, kind).toEqual({ workers: 0, running: 0, waiting: 0 });
    expect(() => pool.submit('develop', 4), `${kind}: and goes on to`).toThrow(ShutdownError);
    expect((await outcome(pool.shutdown(), PATIENCE)).error).toBeUndefined();
  }));

test('a program ends when its work is done, and not before', () =>
  everyKind(async (kind) => {
    const program = join(import.meta.dirname, 'program.ts');
    const run = promisify(execFile)(process.execPath, [program, kind], { timeout: 2 * PATIENCE });
    const { stdout } = await run.catch((cause: { readonly killed?: boolean }) => {
      const how = cause.killed ? `has not ended within ${2 * PATIENCE} ms` : 'has failed';
      throw new Error(`${kind}: the program that submits three tasks ${how}`, { cause });
    });
    expect(stdout.trim().split('\n').toSorted(), kind).toEqual(['30', '31', '32']);
  }));

test('asCompleted gives each future when it is done, those that failed too', async () => {
  const pool = open();
  const [slow, quick] = [newGate(), newGate()];
  const a = pool.submit('hold', { film: 'a', gate: slow.gate });
  const b = pool.submit('hold', { film: 'b', gate: quick.gate });
  const c = pool.submit('tear', 1);
  const names = new Map<unknown, string>([
    [a, 'a'],
    [b, 'b'],
    [c, 'c'],
  ]);
  const came: (string | undefined)[] = [];
  const collect = async () => {
    for await (const { future } of asCompleted([a, b, c])) {
      came.push(`${names.get(future)} ${future.state}`);
      if (future === c) slow.open();
    }
  };
  const all = collect();
  quick.open();
  expect((await outcome(all, PATIENCE)).error).toBeUndefined();
  expect(came).toEqual(['b succeeded', 'c failed', 'a succeeded']);
});

test('map gives the results in the order of its inputs', async () => {
  const pool = open();
  const [slow, quick] = [newGate(), newGate()];
  quick.open();
  const gates = [slow, quick, quick, quick];
  const results = pool.map(
    'hold',
    gates.map(({ gate }, film) => ({ film, gate })),
    { buffersize: 4 },
  );
  await quick.passed(3);
  slow.open();
  const { value, error } = await outcome(Array.fromAsync(results), PATIENCE);
  expect(error).toBeUndefined();
  expect(value).toEqual(['photo 0', 'photo 1', 'photo 2', 'photo 3']);
});

test('map is never more than buffersize ahead of who takes its results', async () => {
  const pool = open();
  let drawn = 0;
  let taken = 0;
  const ahead: number[] = [];
  function* films() {
    for (let film = 0; film < 500; film++) {
      drawn++;
      yield film;
    }
  }
  const results = pool.map('develop', films(), { buffersize: 3 });
  ahead.push(drawn);
  const take = async () => {
    for await (const photo of results) {
      expect(photo).toBe(`photo ${taken++}`);
      ahead.push(drawn - taken);
      if (taken === 20) break;
    }
  };
  expect((await outcome(take(), PATIENCE)).error).toBeUndefined();
  expect(ahead).toEqual(Array.from({ length: 21 }, () => 3));
});
