// Flaw: a race stops the waiting, not the work: it is never told to stop, and runs on behind its caller's back.
// Seen in: https://github.com/python/asyncio/issues/253
// Caught by: a timeout ends when its work has unwound
import { sleep, type Task, TimeoutError, type TimeoutOptions } from '../src/index.ts';

export * from '../src/index.ts';

export async function timeout<T>(ms: number, work: Task<T>, { clock }: TimeoutOptions = {}): Promise<T> {
  const { signal } = new AbortController();
  const late = sleep(ms, clock ? { clock } : {}).then(() => {
    throw new TimeoutError(ms);
  });
  return Promise.race([(async () => work(signal))(), late]);
}
