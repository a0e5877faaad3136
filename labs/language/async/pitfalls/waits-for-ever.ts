// Flaw: the unwinding is waited for without end, so work that ignores its signal hangs its caller, limit or no limit.
// Seen in: https://github.com/python/cpython/issues/87555
// Caught by: work that ignores its signal is reported when its grace is over
import { timeout as reference, type Task, type TimeoutOptions } from '../src/index.ts';

export * from '../src/index.ts';

export function timeout<T>(ms: number, work: Task<T>, options: TimeoutOptions = {}): Promise<T> {
  return reference(ms, work, { ...options, graceMs: Number.POSITIVE_INFINITY });
}
