import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { History } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import { chunked, LockTimeoutError, Mutex, measureDelay, nextTurn, offload, SharedCounter } from '#lab';
import { ended, file, newDoor, PATIENCE, thread, words } from './helpers.ts';
import type * as Threads from './threads.ts';
import { burn, newRace } from './threads.ts';

vi.setConfig({ testTimeout: 20_000 });

test('a turn of the loop serves nextTick, then promises, then immediates, and a timer that is due; a promise serves promises', async () => {
  const served: string[] = [];
  await new Promise<void>((resolve, reject) => {
    // In a callback of the loop: a module's own code is itself a promise, and they go before nextTick there.
    setTimeout(() => {
      setImmediate(() => served.push('immediate'));
      Promise.resolve().then(() => served.push('promise'));
      process.nextTick(() => served.push('nextTick'));
      nextTurn().then(resolve, reject);
    }, 1);
  });
  expect(served).toEqual(['nextTick', 'promise', 'immediate']);
  let due = false;
  setTimeout(() => {
    due = true;
  }, 1);
  burn(5);
  for (let turn = 0; turn < 3; turn++) await nextTurn();
  expect(due, 'a timer of 1 ms was served within 5 ms of work and three turns').toBe(true);
});

test('work in slices gives what a plain loop gives, and no slice is longer than its budget', async () => {
  let turn = 0;
  let over = false;
  const count = () => {
    turn++;
    if (!over) setImmediate(count);
  };
  count();
  const turns = new History<string>();
  const perTurn = new Map<number, number>();
  const dishes = Array.from({ length: 40 }, (_, dish) => dish);
  const cooked = await chunked(
    dishes,
    (dish, at) => {
      burn(1);
      perTurn.set(turn, (perTurn.get(turn) ?? 0) + 1);
      return `${at}: dish ${dish}`;
    },
    { budgetMs: 5 },
  );
  over = true;
  for (const [at, items] of perTurn) turns.record(`turn ${at}: ${items} items of 1 ms`);
  expect(cooked).toEqual(dishes.map((dish) => `${dish}: dish ${dish}`));
  expect(Math.max(...perTurn.values()), 'items of at least 1 ms in a turn, with a budget of 5 ms').toBeLessThanOrEqual(
    5,
  );
});

test('a block is measured while it lasts: before the first tick, and without one at its end', () => {
  const measure = measureDelay({ resolutionMs: 5 });
  burn(60);
  const { max } = measure.stop();
  expect(max, 'ms, of a block of 60 ms that began 5 ms before the first tick').toBeGreaterThanOrEqual(54.9);
});

test('a block delays everybody who comes while it lasts, not one', () => {
  using measure = measureDelay({ resolutionMs: 5 });
  burn(100);
  const { samples, p50, max } = measure.stop();
  expect(samples, 'callers every 5 ms, in 100 ms').toBeGreaterThanOrEqual(19);
  expect(p50 / max, 'who came in the middle waited half as long as the first').toBeGreaterThan(0.35);
  expect(p50 / max).toBeLessThan(0.65);
});

test('what is offloaded leaves the loop free, and its result or its error comes back', async () => {
  const run = offload<typeof Threads>(file);
  const bell = words(1);
  const woken = run('waitForTimer', bell.buffer);
  const ring = setInterval(() => Atomics.notify(bell, 0), 5);
  onTestFinished(() => clearInterval(ring));
  expect(await ended(woken), 'the thread slept until a timer of ours woke it').toEqual({
    value: 'ok',
    error: undefined,
  });
  expect(await ended(run('late', 1)), 'what an async function resolves to').toEqual({ value: 2, error: undefined });
  const { error } = await ended(run('fail', 7));
  expect(error).toBeInstanceOf(RangeError);
  expect(error).toMatchObject({ message: 'no 7', code: 'E_NO' });
});

test('a shared counter loses no update of four threads', async () => {
  const counter = new SharedCounter();
  const { race, run } = newRace(4);
  const counting = Array.from({ length: 4 }, () => thread('countUp', { counter: counter.buffer, ...race }));
  // On a busy machine they may not meet for long; who has met a hundred times has lost what can be lost.
  await Promise.race([run(30, 100), Promise.all(counting)]);
  const each = await Promise.all(counting);
  const all = each.reduce((sum, times) => sum + times, 0);
  expect(all - counter.value, `lost, of ${all} updates`).toBe(0);
  expect(counter.add(5)).toBe(all + 5);
});

test('a mutex lets one thread in at a time', async () => {
  const mutex = new Mutex().buffer;
  const { door, inside, coming, open } = newDoor();
  const first = thread('stay', { mutex, door });
  await inside(1, first);
  const second = thread('comeIn', { mutex, door, timeoutMs: 50 });
  await coming(1);
  expect((await ended(second)).error).toMatchObject({ name: LockTimeoutError.name });
  open();
  expect((await ended(first)).error).toBeUndefined();

  const plain = words(1);
  const { race, run } = newRace(4);
  const counting = Array.from({ length: 4 }, () => thread('countLocked', { mutex, plain: plain.buffer, ...race }));
  await Promise.race([run(60), Promise.all(counting)]);
  const each = await Promise.all(counting);
  const all = each.reduce((sum, times) => sum + times, 0);
  expect(all - (plain[0] ?? 0), `lost, of ${all} updates in the lock`).toBe(0);
});

test('who sleeps at a mutex is woken, however many sleep', async () => {
  const mutex = new Mutex().buffer;
  const { door, inside, coming, open } = newDoor();
  const first = thread('stay', { mutex, door });
  await inside(1, first);
  const begun = performance.now();
  const sleepers = Array.from({ length: 4 }, () => thread('comeIn', { mutex, door, timeoutMs: 1_500, together: 4 }));
  await coming(4);
  // Nobody can see them fall asleep: on a machine on which they were slow to come they have longer.
  burn(Math.min(600, Math.max(50, (performance.now() - begun) / 10)));
  open();
  expect((await ended(first)).error).toBeUndefined();
  for (const sleeper of sleepers) expect((await ended(sleeper)).value).toMatch(/^in, with/);
});

test('a watchdog names the line that blocks, while it blocks', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'slow-till-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const program = join(import.meta.dirname, 'slow-till.ts');
  const log = join(dir, 'log');
  const { stdout } = await promisify(execFile)(process.execPath, [program, 'block', log, '80'], {
    timeout: 3 * PATIENCE,
  });
  const { blocks, noticed, at } = JSON.parse(stdout);
  expect(noticed, 'the log had a line while the loop was blocked').toBe(true);
  expect(readFileSync(log, 'utf8')).toMatch(/^event loop blocked for \d+ ms at .*slow-till\.ts:/m);
  expect(blocks).toHaveLength(1);
  const [{ site, stack, blockedMs }] = blocks;
  expect(blockedMs).toBeGreaterThanOrEqual(80);
  expect(blockedMs, 'no longer than the program has run').toBeLessThan(at);
  const first =
    readFileSync(program, 'utf8')
      .split('\n')
      .findIndex((line) => line.startsWith('function totalTheDay')) + 1;
  const line = Number(/slow-till\.ts:(\d+):\d+$/.exec(site)?.[1]);
  expect(line, `${site}, in the function that blocks: lines ${first} to ${first + 4}`).toBeGreaterThanOrEqual(first);
  expect(line).toBeLessThanOrEqual(first + 4);
  expect(stack).toContain('at totalTheDay');
});
