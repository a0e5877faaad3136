import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { DeadlineError, outcome } from '../src/index.ts';

test('a call ends with its value or with its error', async () => {
  expect(await outcome(Promise.resolve(7))).toEqual({ value: 7, error: undefined });
  expect(await outcome(Promise.reject(new Error('held')))).toEqual({ value: undefined, error: new Error('held') });
});

test('a rejection that the law has not come to yet is not unhandled', async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on('unhandledRejection', note);
  const [failed, hung] = [outcome(Promise.reject(new Error('held'))), outcome(new Promise(() => {}), 1)];
  // Node reports one after the microtasks of its turn.
  await delay(20);
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
  expect((await failed).error).toEqual(new Error('held'));
  await expect(hung).rejects.toThrow(DeadlineError);
});

test('a call that hangs is a DeadlineError', async () => {
  await expect(outcome(new Promise(() => {}), 10)).rejects.toThrow(DeadlineError);
});
