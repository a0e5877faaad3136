import type { Profiler } from 'node:inspector';
import { Session } from 'node:inspector/promises';
import { type CallCount, countCalls } from './call-counts.ts';
import { BusyError } from './errors.ts';
import { interval } from './limits.ts';

let running = false;

/**
 * Runs `body` with a session to this thread's own inspector, its profiler enabled. Sessions of one thread share V8's counters,
 * and the end of one would end the other's.
 *
 * @throws BusyError while another one runs
 */
export async function measureHere<T>(body: (session: Session) => Promise<T>): Promise<T> {
  if (running) throw new BusyError('This thread is measured already: await that first.');
  running = true;
  const session = new Session();
  try {
    session.connect();
    await session.post('Profiler.enable');
    return await body(session);
  } finally {
    session.disconnect();
    running = false;
  }
}

/**
 * Samples this thread while `fn` runs. What `fn` throws comes as it is, and nothing goes on.
 *
 * @param options.intervalUs Microseconds between two samples. Default 1000.
 * @throws BusyError while another `profile` or `callCounts` of this thread runs; InvalidArgumentError
 */
export function profile<T>(
  fn: () => T | Promise<T>,
  { intervalUs = 1000 }: { readonly intervalUs?: number } = {},
): Promise<{ value: T; profile: Profiler.Profile }> {
  return measureHere(async (session) => {
    await session.post('Profiler.setSamplingInterval', { interval: interval(intervalUs) });
    await session.post('Profiler.start');
    const value = await fn();
    return { value, profile: (await session.post('Profiler.stop')).profile };
  });
}

/**
 * Counts each call in this thread while `fn` runs. V8 keeps what it counts from being inlined, so calls cost more meanwhile:
 * trust the counts, not the clock.
 *
 * @param options.accept Which scripts count, by URL. Default: those of files.
 * @throws BusyError while another `profile` or `callCounts` of this thread runs
 */
export function callCounts<T>(
  fn: () => T | Promise<T>,
  { accept }: { readonly accept?: (url: string) => boolean } = {},
): Promise<{ value: T; calls: CallCount[] }> {
  return measureHere(async (session) => {
    await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
    const value = await fn();
    const { result } = await session.post('Profiler.takePreciseCoverage');
    await session.post('Profiler.stopPreciseCoverage');
    return { value, calls: countCalls(result, accept) };
  });
}
