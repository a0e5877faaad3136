import { missingServer } from './missing.ts';
import { maySkip } from './stand-in.ts';
import { trace } from './trace.ts';

/** The name of the test that stands for a suite whose servers could not be had. */
export const serversStart = 'its servers start';

/** A server, or anything else that must be closed: what a factory of `describeWith` gives. */
export type Factories = Record<string, () => Promise<AsyncDisposable>>;
export type Started<F extends Factories> = { [K in keyof F]: Awaited<ReturnType<F[K]>> };

/**
 * `describe` with real servers: starts them, hands them to `body`, closes them after the last test. Await it at the top
 * level of a test file.
 *
 * A server that cannot be had on this machine (`code: 'MISSING_SERVER'` or `exitCode: 3` on the error) skips the suite,
 * aloud: one skipped test carries the reason. With LABS_REQUIRE=all in the environment that test fails instead, unless
 * a stand-in for MongoDB is all there is. Any other error of a factory fails the suite in a test named "its servers start".
 */
export async function describeWith<F extends Factories>(
  name: string,
  servers: F,
  body: (started: Started<F>) => void,
): Promise<void> {
  // Imported here, so that runSuite and the other helpers load outside a vitest worker.
  const { afterAll, describe, test } = await import('vitest');
  trace({ type: 'servers', pid: process.pid, state: 'starting' });
  const started = await startAll(servers);
  trace({ type: 'servers', pid: process.pid, state: 'started' });
  if (started.ok) {
    const { value } = started;
    describe(name, () => {
      afterAll(() => closeAll(Object.values(value)), 20_000);
      body(value);
    });
    return;
  }
  const { error } = started;
  const reason = missingServer(error);
  if (reason === undefined || !maySkip(reason)) {
    describe(name, () => {
      test(serversStart, () => {
        throw error;
      });
    });
    return;
  }
  trace({ type: 'missing', suite: name, reason });
  describe(name, () => {
    test(serversStart, ({ skip }) => skip(reason));
  });
}

type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

async function startAll<F extends Factories>(servers: F): Promise<Outcome<Started<F>>> {
  const names = Object.keys(servers);
  const results = await Promise.allSettled(names.map((key) => servers[key]?.()));
  const failures = results.filter((result) => result.status === 'rejected').map((result) => result.reason);
  if (failures.length === 0) {
    const pairs = results.map((result, i) => [names[i], result.status === 'fulfilled' ? result.value : undefined]);
    return { ok: true, value: Object.fromEntries(pairs) };
  }
  await closeAll(results.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : [])));
  // A real failure outranks a missing server: it must not hide behind a skip.
  return { ok: false, error: failures.find((each) => missingServer(each) === undefined) ?? failures[0] };
}

async function closeAll(servers: readonly AsyncDisposable[]): Promise<void> {
  const closed = await Promise.allSettled(servers.map((server) => server[Symbol.asyncDispose]()));
  const failure = closed.find((each) => each.status === 'rejected');
  if (failure) throw failure.reason;
}
