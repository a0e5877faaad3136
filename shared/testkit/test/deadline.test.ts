import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Deadline } from '../src/grader/deadline.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => void vi.useRealTimers());

test('what passes while its clock is stopped does not count', () => {
  const late = vi.fn();
  let stopped = false;
  using _deadline = new Deadline(1000, () => stopped, late);
  vi.advanceTimersByTime(900);
  stopped = true;
  vi.advanceTimersByTime(600_000);
  stopped = false;
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(200);
  vi.advanceTimersByTime(5000);
  expect(late).toHaveBeenCalledOnce();
});

test('a clock that is stopped for ever ends as well', () => {
  const late = vi.fn();
  using _deadline = new Deadline(1000, () => true, late, 3000);
  vi.advanceTimersByTime(3500);
  expect(late).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  expect(late).toHaveBeenCalledOnce();
});

test('it is quiet once disposed of', () => {
  const late = vi.fn();
  new Deadline(1000, () => false, late)[Symbol.dispose]();
  vi.advanceTimersByTime(5000);
  expect(late).not.toHaveBeenCalled();
});
