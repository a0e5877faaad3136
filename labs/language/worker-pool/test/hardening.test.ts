import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { History, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  asCompleted,
  BrokenPoolError,
  CancelledError,
  Executor,
  Future,
  InvalidArgumentError,
  InvalidStateError,
  OutOfMemoryError,
  QueueFullError,
  ShutdownError,
  TaskTimeoutError,
  UncloneableError,
  WaitTimeoutError,
  WorkerCrashedError,
  wait,
} from '#lab';
import { ended, everyKind, file, newGate, open, PATIENCE } from './helpers.ts';

vi.setConfig({ testTimeout: 20_000 });
const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

// ── futures ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a future is settled once, and tells everybody once, those who come late at once', async () => {
  const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  onTestFinished(() => warned.mockRestore());
  const future = new Future<number>();
  const told: string[] = [];
  future.onDone(() => {
    throw new Error('a callback of no good');
  });
  future.onDone((done) => told.push(`first ${done.state}`));
  const takeBack = future.onDone(() => told.push('taken back'));
  takeBack();
  expect([future.start(), future.running, future.done]).toEqual([true, true, false]);
  expect(() => future.start()).toThrow(InvalidStateError);
  future.resolve(7);
  future.onDone(() => told.push('late'));
  expect(told).toEqual(['first succeeded', 'late']);
  expect(warned).toHaveBeenCalledOnce();
  expect(() => future.resolve(8)).toThrow(InvalidStateError);
  expect(() => future.reject(new Error('no'))).toThrow(InvalidStateError);
  expect([future.cancel(), await future, future.error]).toEqual([false, 7, undefined]);
  const dropped = new Future();
  dropped.cancel();
  expect([dropped.start(), dropped.cancelled, dropped.done]).toEqual([false, true, true]);
  expect(() => dropped.resolve(1)).toThrow(InvalidStateError);
});

test('asCompleted names nobody twice, and at its timeout what is done still comes first', async () => {
  const [a, b, c] = [new Future<string>(), new Future<string>(), new Future<string>()];
  a.resolve('a');
  const came: unknown[] = [];
  const collect = async () => {
    for await (const { future } of asCompleted([b, a, b, a, c], { timeoutMs: 30 })) {
      came.push(await future);
      if (future === a) b.resolve('b');
    }
  };
  const { error } = await outcome(collect(), PATIENCE);
  expect(came).toEqual(['a', 'b']);
  expect(error).toBeInstanceOf(WaitTimeoutError);
  expect(await Array.fromAsync(asCompleted([]))).toEqual([]);
  expect(() => asCompleted([a], { timeoutMs: Number.NaN })).toThrow(InvalidArgumentError);
});

test('wait ends with the first, with the first that failed, or with all', async () => {
  const [a, b, c] = [new Future<string>(), new Future<string>(), new Future<string>()];
  const futures = [a, b, c, a];
  const first = wait(futures, { returnWhen: 'first' });
  const firstError = wait(futures, { returnWhen: 'firstError' });
  const all = wait(futures);
  a.resolve('a');
  expect(await first).toEqual({ done: new Set([a]), pending: new Set([b, c]) });
  b.reject(new Error('torn'));
  expect(await firstError).toEqual({ done: new Set([a, b]), pending: new Set([c]) });
  expect(await wait(futures, { timeoutMs: 5 })).toEqual({ done: new Set([a, b]), pending: new Set([c]) });
  c.cancel();
  expect(await all).toEqual({ done: new Set([a, b, c]), pending: new Set() });
  expect(await wait([a], { timeoutMs: 2 ** 31 - 1 }), 'the longest timer').toEqual({
    done: new Set([a]),
    pending: new Set(),
  });
  expect(await wait(new Set<Future<string>>())).toEqual({ done: new Set(), pending: new Set() });
  await expect(async () => wait(futures, { timeoutMs: -1 })).rejects.toThrow(InvalidArgumentError);
});

// ── what is submitted ───────────────────────────────────────────────────────────────────────────────────────────────

test('what no pool can be made from, and what no task can be, is refused', async () => {
  const bad: [string, object][] = [
    ['a path', { file: './photo-lab.ts' }],
    ['a kind of its own', { kind: 'fiber' }],
    ['no worker', { maxWorkers: 0 }],
    ['half a worker', { maxWorkers: 1.5 }],
    ['workers without end', { maxWorkers: Number.POSITIVE_INFINITY }],
    ['more at least than at most', { maxWorkers: 1, minWorkers: 2 }],
    ['no task at all', { maxTasksPerChild: 0 }],
    ['a queue of NaN', { maxQueue: Number.NaN }],
    ['a queue in words', { maxQueue: '3' }],
    ['a heap of nothing', { resourceLimits: { maxOldGenerationSizeMb: 0 } }],
    ['an initializer that can not be told', { initializer: { name: 'keep', input: () => 1 } }],
  ];
  for (const [what, options] of bad) expect(() => open(options), what).toThrow(InvalidArgumentError);
  const pool = open({ kind: 'process' });
  for (const timeoutMs of [-1, Number.NaN, 2 ** 31]) {
    expect(() => pool.submit('develop', 1, { timeoutMs }), `timeoutMs ${timeoutMs}`).toThrow(InvalidArgumentError);
  }
  // Loosely read, null is no time at all, and a text a number.
  for (const options of JSON.parse('[{ "timeoutMs": null }, { "timeoutMs": "5" }]')) {
    expect(() => pool.submit('develop', 1, options), JSON.stringify(options)).toThrow(InvalidArgumentError);
  }
  expect(() => pool.submit('develop', 1, { priority: Number.NaN })).toThrow(InvalidArgumentError);
  expect(() => pool.submit('first', new Uint8Array(1), { transfer: [new ArrayBuffer(1)] })).toThrow(
    InvalidArgumentError,
  );
  expect(() => pool.map('develop', [1], { chunksize: 0 })).toThrow(InvalidArgumentError);
  expect(() => pool.map('develop', [1], { buffersize: -1 })).toThrow(InvalidArgumentError);
  expect(pool.stats, 'nothing was started for what was refused').toEqual({ workers: 0, running: 0, waiting: 0 });
  const foreign: Executor<Record<string, (input: number) => unknown>> = new Executor({ file, kind: 'thread' });
  onTestFinished(() => foreign.terminate());
  for (const name of ['toString', '__proto__', 'then', 'nope']) {
    const { error } = await ended(foreign.submit(name, 1));
    expect(error, name).toMatchObject({ name: 'TypeError', message: `The module exports no function "${name}".` });
  }
});

test('an input is what it was when it was submitted', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const { gate, passed, open: goOn } = newGate();
    const busy = pool.submit('hold', { film: 1, gate });
    await passed(1);
    const pixels = new Uint8Array([7]);
    const waiting = pool.submit('first', pixels);
    pixels[0] = 8;
    goOn();
    await ended(busy);
    expect((await ended(waiting)).value, kind).toBe(7);
    const input = { pixels: [7] };
    const ready = open({ kind, maxWorkers: 1, initializer: { name: 'keep', input } });
    input.pixels[0] = 8;
    expect((await ended(ready.submit('kept', undefined))).value, `${kind}: the initializer's`).toEqual({ pixels: [7] });
  }));

test('what is transferred is gone here, and arrives whole', async () => {
  const pool = open();
  const pixels = new Uint8Array(5_000_000);
  const future = pool.submit('size', pixels, { transfer: [pixels.buffer] });
  expect(pixels.byteLength).toBe(0);
  expect((await ended(future)).value).toBe(5_000_000);
  const again = pool.submit('size', pixels, { transfer: [pixels.buffer] });
  expect((await ended(again)).error, 'what is gone can not be transferred').toBeInstanceOf(UncloneableError);
});

test('what cannot be copied fails its own task, as an input, as a result, as what was thrown', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const input = pool.submit('lend', () => 1);
    expect([input.done, input.error instanceof UncloneableError], `${kind}: at once`).toEqual([true, true]);
    expect((await ended(pool.submit('lend', 1))).error, kind).toBeInstanceOf(UncloneableError);
    const thrown = async (what: string) => (await ended(pool.submit('toss', what))).error;
    expect(await thrown('text')).toBe('a text');
    expect(await thrown('nothing')).toBeUndefined();
    expect(await thrown('function')).toBe("a function that can't be cloned");
    const round = await thrown('round');
    expect(round).toMatchObject({ message: 'round', cause: { message: 'round' } });
    expect(round instanceof Error && round.cause === round, `${kind}: its own cause`).toBe(true);
    const many = await thrown('many');
    expect(many).toBeInstanceOf(AggregateError);
    expect(many).toMatchObject({ errors: [{ name: 'TypeError', message: 'a' }] });
    expect(await thrown('fields'), 'no list of errors').toMatchObject({ message: 'odd', errors: { film: 'wet' } });
    expect(await thrown('unreadable')).toBeInstanceOf(TypeError);
    expect((await ended(pool.submit('develop', 1))).value, `${kind}: the next one`).toBe('photo 1');
  }));

test('what arrives and can not be read fails its own task, and the next one is served', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const deep = pool.submit('nest', 2_500);
    const photo = pool.submit('develop', 1);
    expect((await ended(deep)).error, kind).toBeInstanceOf(UncloneableError);
    expect((await ended(photo)).value, kind).toBe('photo 1');
  }));

test('a getter in an input may come back to the pool, and what it throws harms its own task only', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const throwing = (thrown: unknown) => {
      const input = {
        get film() {
          throw thrown;
        },
      };
      expect(pool.submit('keep', input).error, kind).toBeInstanceOf(UncloneableError);
    };
    for (const thrown of [Symbol('no text'), Object.create(null)]) {
      throwing(thrown);
      expect((await ended(pool.submit('develop', 1))).value, kind).toBe('photo 1');
    }
    throwing('by one that is idle');
    const inner: Future<string>[] = [];
    const outer = pool.submit('keep', {
      get film() {
        return inner.push(pool.submit('develop', 2));
      },
    });
    expect((await ended(outer)).error, kind).toBeUndefined();
    for (const future of inner) expect((await ended(future)).value, `${kind}: from within`).toBe('photo 2');
    const controller = new AbortController();
    const { signal } = controller;
    const aborted = pool.submit(
      'keep',
      {
        film: 1,
        get last() {
          return controller.abort('never mind');
        },
      },
      { signal },
    );
    expect([aborted.error, pool.stats.running], `${kind}: aborted on its way`).toEqual(['never mind', 0]);
    expect((await ended(pool.submit('develop', 3))).value, kind).toBe('photo 3');
  }));

test('an error of a class that the pool knows is an instance of it again', async () => {
  class TornError extends RangeError {}
  const { error } = await ended(open({ errors: [TornError] }).submit('tear', 3));
  expect(error).toBeInstanceOf(TornError);
  expect(error).toMatchObject({ name: 'TornError', code: 'E_TORN' });
  // Its getters need what only its constructor makes.
  const { error: aborted } = await ended(open({ errors: [DOMException] }).submit('toss', 'aborted'));
  expect(aborted).toBeInstanceOf(DOMException);
  expect(aborted).toMatchObject({ name: 'AbortError', message: '', code: 20 });
});

test('a full queue refuses, and what is cancelled gives its place back', async () => {
  const pool = open({ maxWorkers: 1, maxQueue: 2 });
  const { gate, passed, open: goOn } = newGate();
  const running = pool.submit('hold', { film: 1, gate });
  await passed(1);
  const [waiting] = [pool.submit('develop', 2), pool.submit('develop', 3)];
  expect(() => pool.submit('develop', 4)).toThrow(QueueFullError);
  waiting.cancel();
  const late = pool.submit('develop', 4);
  expect(() => pool.submit('develop', 5)).toThrow(QueueFullError);
  expect(pool.submit('develop', 6, { signal: AbortSignal.abort('too late') }).error, 'its own reason').toBe('too late');
  goOn();
  expect((await ended(running)).value).toBe('photo 1');
  expect((await ended(late)).value).toBe('photo 4');
  const results = await outcome(Array.fromAsync(pool.map('develop', [1, 2, 3, 4, 5, 6])), PATIENCE);
  expect(results.value, 'map keeps within the queue').toHaveLength(6);
  const worn = open({ maxWorkers: 1, maxQueue: 1, maxTasksPerChild: 1 });
  const photos = await outcome(Array.fromAsync(worn.map('develop', [1, 2, 3])), PATIENCE);
  expect(photos.value, 'a worker that leaves with nothing to do takes no place').toHaveLength(3);
});

test('the highest priority runs first, and equals in their order', async () => {
  const pool = open({ maxWorkers: 1 });
  const { gate, passed, open: goOn, begun } = newGate();
  pool.submit('hold', { film: 'first', gate });
  await passed(1);
  const priorities = [0, 5, 0, -1, 5, 2.5, 0, 9];
  const futures = priorities.map((priority, at) =>
    pool.submit('note', { film: `${priority}:${at}`, gate }, { priority }),
  );
  futures[4]?.cancel();
  futures[7]?.cancel();
  goOn();
  await outcome(wait(futures), PATIENCE);
  expect(begun().slice(1)).toEqual(['5:1', '2.5:5', '0:0', '0:2', '0:6', '-1:3']);
});

test('a signal takes a task from the queue or ends its worker, with its own reason', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const { gate, passed, begun, open: goOn } = newGate();
    const [runs, waits] = [new AbortController(), new AbortController()];
    const listeners = vi.spyOn(runs.signal, 'removeEventListener');
    const running = pool.submit('hold', { film: 'runs', gate }, { signal: runs.signal });
    const waiting = pool.submit('hold', { film: 'waits', gate }, { signal: waits.signal });
    const last = pool.submit('hold', { film: 'last', gate });
    await passed(1);
    waits.abort('changed my mind');
    expect([waiting.state, waiting.error, pool.stats.waiting], kind).toEqual(['failed', 'changed my mind', 1]);
    runs.abort('the shop burns');
    expect([running.state, running.error], kind).toEqual(['failed', 'the shop burns']);
    expect(listeners, `${kind}: nothing is left on the signal`).toHaveBeenCalledOnce();
    goOn();
    expect((await ended(last)).value, kind).toBe('photo last');
    expect(begun(), kind).toEqual(['runs', 'last']);
    expect(pool.submit('develop', 1, { signal: AbortSignal.abort('too late') }).error).toBe('too late');
  }));

test('a result that came in time is not lost to a busy thread of ours', async () => {
  const pool = open({ maxWorkers: 1 });
  await ended(pool.submit('develop', 1));
  // From here the event loop comes to its timers before it comes to the worker's answer.
  await setImmediate();
  const { gate, begun } = newGate();
  const photo = pool.submit('note', { film: 2, gate }, { timeoutMs: 100 });
  const start = performance.now();
  let noted = Number.POSITIVE_INFINITY;
  // Past its limit, and as long again as it took the worker to come to its end.
  while (performance.now() < Math.max(start + 300, 2 * noted - start) && performance.now() < start + PATIENCE) {
    if (noted === Number.POSITIVE_INFINITY && begun().length > 0) noted = performance.now();
  }
  expect((await ended(photo)).error).toBeUndefined();
  expect(photo.state).toBe('succeeded');
});

// ── map ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

test('map begins at once; its first error comes in its turn and ends it', async () => {
  const pool = open();
  const closed: string[] = [];
  let drawn = 0;
  function* films() {
    try {
      for (; ; drawn++) yield drawn;
    } finally {
      closed.push('films');
    }
  }
  const results = pool.map('tearIf', films(), { buffersize: 2 });
  expect(drawn).toBe(1);
  expect(pool.stats, 'before a result is asked for').toEqual({ workers: 2, running: 0, waiting: 2 });
  const photos: string[] = [];
  const take = async () => {
    for await (const photo of results) photos.push(photo);
  };
  expect((await outcome(take(), PATIENCE)).error).toMatchObject({ name: 'TornError', film: 4 });
  expect(photos).toEqual(['photo 0', 'photo 1', 'photo 2', 'photo 3']);
  expect(closed).toEqual(['films']);
  expect(drawn).toBeLessThanOrEqual(6);
  function* torn() {
    yield 1;
    throw new Error('the box is empty');
  }
  const rest: string[] = [];
  const takeTorn = async () => {
    for await (const photo of pool.map('develop', torn())) rest.push(photo);
  };
  expect((await outcome(takeTorn(), PATIENCE)).error).toMatchObject({ message: 'the box is empty' });
  expect(rest, 'what came before the error of the inputs').toEqual(['photo 1']);
});

test('who leaves a map cancels what has not started', async () => {
  const pool = open({ maxWorkers: 1 });
  const { gate, begun, open: goOn } = newGate();
  goOn();
  for await (const _ of pool.map(
    'hold',
    [1, 2, 3, 4].map((film) => ({ film, gate })),
    { buffersize: 4 },
  ))
    break;
  await outcome(pool.shutdown(), PATIENCE);
  expect(begun().length).toBeLessThanOrEqual(2);
});

test('inputs that travel in one chunk are told apart', async () => {
  const pool = open({ maxWorkers: 1 });
  const photos: string[] = [];
  const take = async () => {
    for await (const photo of pool.map('tearIf', [0, 1, 2, 3, 4, 5], { chunksize: 3 })) photos.push(photo);
  };
  expect((await outcome(take(), PATIENCE)).error).toMatchObject({ name: 'TornError', film: 4 });
  expect(photos).toEqual(['photo 0', 'photo 1', 'photo 2', 'photo 3']);
  const lent = pool.map('lendIf', [0, 1, 2], { chunksize: 3 })[Symbol.asyncIterator]();
  expect((await outcome(lent.next(), PATIENCE)).value, 'what came before the one that can not be sent').toMatchObject({
    value: 'photo 0',
  });
  expect((await outcome(lent.next(), PATIENCE)).error).toBeInstanceOf(UncloneableError);
});

// ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a worker is replaced after maxTasksPerChild tasks', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1, maxTasksPerChild: 2 });
    const futures = [1, 2, 3].map(() => pool.submit('whoAmI', undefined));
    const workers: (string | undefined)[] = [];
    for (const future of futures) workers.push((await ended(future)).value);
    const [a, , b] = workers;
    expect(workers, kind).toEqual([a, a, b]);
    expect(a, kind).not.toBe(b);
  }));

test('a worker without memory fails its task, and no other', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1, resourceLimits: { maxOldGenerationSizeMb: 16 } });
    // V8 says on the terminal what became of a process; a thread says it to us.
    const starving = kind === 'thread' ? pool.submit('eat', undefined) : pool.submit('abort', undefined);
    const photo = pool.submit('develop', 1);
    const { error } = await ended(starving);
    expect(error, kind).toBeInstanceOf(kind === 'thread' ? OutOfMemoryError : WorkerCrashedError);
    if (kind === 'process') expect(error).toMatchObject({ signal: 'SIGABRT', exitCode: null });
    expect((await ended(photo)).value, kind).toBe('photo 1');
  }));

test('workers that die at their start break the pool, and one that dies idle is replaced', () =>
  everyKind(async (kind) => {
    const { gate, begun } = newGate();
    const doomed = open({ kind, maxWorkers: 1, initializer: { name: 'dieAtStart', input: { film: 1, gate } } });
    expect((await ended(doomed.submit('develop', 1))).error, kind).toBeInstanceOf(BrokenPoolError);
    expect(begun(), kind).toHaveLength(3);
    const pool = open({ kind, minWorkers: 1, maxWorkers: 1 });
    expect(pool.stats.workers, `${kind}: started in advance`).toBe(1);
    const who = async () => (await ended(pool.submit('whoAmI', undefined))).value;
    const before = await who();
    await ended(pool.submit('dieLater', undefined));
    const replaced = async () => pool.stats.running === 0 && (await who()) !== before;
    await until(replaced, { timeoutMs: PATIENCE, what: 'another worker' });
  }));

test('a program that is no file (node -e) is not run again in each worker', () => {
  const flags = process.execArgv;
  onTestFinished(() => {
    process.execArgv = flags;
  });
  return everyKind(async (kind) => {
    for (const code of [
      ['--input-type', 'module', '-e', 'process.exit(3)'],
      ['--input-type=module', '--eval=process.exit(3)'],
    ]) {
      process.execArgv = [...flags, ...code];
      const pool = open({ kind, maxWorkers: 1, minWorkers: 1 });
      expect((await ended(pool.submit('develop', 1))).value, `${kind}: ${code.join(' ')}`).toBe('photo 1');
    }
  });
});

test('a module that is not there breaks the pool, and its cause says so', async () => {
  const pool = open({ file: new URL('./no-such-lab.ts', import.meta.url) });
  const { error } = await ended(pool.submit('develop', 1));
  expect(error).toMatchObject({ name: 'BrokenPoolError', cause: { code: 'ERR_MODULE_NOT_FOUND' } });
});

test('what a task posts by itself is no result', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const photos = [1, 2].map((film) => pool.submit('whisper', film));
    for (const [at, photo] of photos.entries()) expect((await ended(photo)).value, kind).toBe(`photo ${at + 1}`);
  }));

test('terminate ends what runs and cancels what waits', () =>
  everyKind(async (kind) => {
    const pool = open({ kind, maxWorkers: 1 });
    const { gate, passed } = newGate();
    const running = pool.submit('hold', { film: 1, gate });
    const waiting = pool.submit('develop', 2);
    await passed(1);
    const closed = pool.shutdown();
    const terminated = pool.terminate();
    expect(running.error, kind).toBeInstanceOf(ShutdownError);
    expect(waiting.error, kind).toBeInstanceOf(CancelledError);
    expect((await outcome(Promise.all([closed, terminated, pool.shutdown()]), PATIENCE)).error).toBeUndefined();
    expect(pool.stats, kind).toEqual({ workers: 0, running: 0, waiting: 0 });
    const idle = open({ kind, minWorkers: 0 });
    expect(idle.stats.workers, `${kind}: nothing to do, nobody there`).toBe(0);
    expect((await outcome(idle.shutdown(), PATIENCE)).error, 'a pool that never worked').toBeUndefined();
  }));

test('a program that exits leaves no process behind', async () => {
  const program = join(import.meta.dirname, 'program.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [program, 'process', 'leave'], { timeout: PATIENCE });
  const worker = Number(stdout.split(':')[0]);
  expect(worker).toBeGreaterThan(1);
  const alive = () => {
    try {
      return process.kill(worker, 0);
    } catch {
      return false;
    }
  };
  await until(() => !alive(), { timeoutMs: PATIENCE, what: 'the worker to be gone' });
});

test('under crashes, timeouts, signals and cancellations each task runs at most once, and each future is settled', () =>
  everyKind(async (kind) => {
    const rng = random(SEED);
    const history = new History();
    const { gate, begun } = newGate();
    const pool = open({ kind, maxTasksPerChild: 10 });
    const seen: number[] = [];
    const futures = Array.from({ length: kind === 'thread' ? 40 : 20 }, (_, film) => {
      const fate = rng.int(0, 9);
      const controller = new AbortController();
      const future: Future<unknown> =
        fate === 0
          ? pool.submit('jam', 50)
          : fate === 1
            ? pool.submit('spin', undefined, { timeoutMs: 10 })
            : pool.submit('note', { film, gate }, { signal: controller.signal, priority: rng.int(0, 2) });
      if (fate === 2) future.cancel();
      if (fate === 3) setImmediate().then(() => controller.abort(new CancelledError('aborted')));
      future.onDone(() => {
        history.record(`${kind}: ${film} ${future.state}`);
        seen.push(pool.stats.workers);
      });
      return { film, fate, future };
    });
    const { error } = await outcome(wait(futures.map(({ future }) => future)), 2 * PATIENCE);
    expect(error).toBeUndefined();
    const runs = begun().map(Number);
    expect(new Set(runs).size, `${kind}: a task ran twice`).toBe(runs.length);
    expect(Math.max(...seen), `${kind}: workers at once`).toBeLessThanOrEqual(2);
    for (const { film, fate, future } of futures) {
      const expected = [WorkerCrashedError, TaskTimeoutError, CancelledError][fate];
      if (expected) expect(future.error, `${kind}: ${film}`).toBeInstanceOf(expected);
      else if (fate !== 3) expect([future.state, runs.includes(film)], `${kind}: ${film}`).toEqual(['succeeded', true]);
      if (future.cancelled) expect(runs, `${kind}: ${film} was cancelled`).not.toContain(film);
    }
  }));
