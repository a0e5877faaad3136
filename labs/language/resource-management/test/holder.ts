// A process that holds a locker, and one of the ways in which it ends: `node holder.ts IMPLEMENTATION HOW`.
import { once } from 'node:events';
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const [file = '', how = ''] = process.argv.slice(2);
const { contextManager, interruptible, withContext }: typeof import('../src/index.ts') = await import(file);
const say = (text: string) => (isMainThread ? writeSync(1, `${text}\n`) : parentPort?.postMessage(text));
const locker = contextManager(async function* (name: string) {
  try {
    say(`${name} held`);
    yield name;
  } finally {
    // A release that takes a while: whoever ends the process too early cuts it off.
    await delay(20);
    say(`${name} given back`);
  }
});
const hold = (name: string) => async (signal: AbortSignal) => {
  await using _ = await locker(name).enter();
  await delay(how === 'stubborn' ? 60_000 : 0);
  while (!signal.aborted) await delay(60_000, undefined, { signal }).catch(() => {});
  say(`${name}: ${signal.reason.signal}`);
  signal.throwIfAborted();
};
const holdAnd = async (end: () => unknown) => {
  await using _ = await locker('locker').enter();
  await end();
};
const never = new AbortController().signal;
const ways: Record<string, () => Promise<unknown>> = {
  interruptible: () =>
    withContext(interruptible(), hold('locker')).finally(() => {
      say('never reached');
    }),
  stubborn: () => withContext(interruptible(), hold('locker')),
  nested: () =>
    withContext(interruptible(), async (signal) => {
      await using outer = await locker('outer').enter();
      await withContext(interruptible(['SIGTERM']), hold('inner'));
      await hold(outer.value)(signal);
    }),
  uninterrupted: async () => {
    await withContext(interruptible(), () => say(`${process.listenerCount('SIGTERM')} listens`));
    say(`${process.listenerCount('SIGTERM')} listens`);
    const refused = withContext(interruptible(['SIGTERM', 'SIGKILL']), () => say('the body ran'));
    await refused.catch(() => say('SIGKILL refused'));
    say(`${process.listenerCount('SIGTERM')} listens`);
  },
  aside: async () => {
    const aborted = Promise.withResolvers<void>();
    const early = withContext(interruptible(['SIGINT']), async (signal) => {
      say('early held');
      await delay(60_000, undefined, { signal }).catch(() => aborted.resolve());
      // Somebody else enters before this one is out.
      await delay(100);
      say('early given back');
    });
    const listening = withContext(interruptible(['SIGTERM']), hold('locker')).catch(() => {});
    await aborted.promise;
    const late = withContext(interruptible(), async (signal) => say(`late: ${signal.reason?.signal}`));
    await Promise.all([early, listening, late]);
    say('never reached');
  },
  unguarded: () => hold('locker')(never),
  throw: () =>
    holdAnd(() => {
      throw new Error('the body failed');
    }).catch(() => {}),
  exit: () => holdAnd(() => process.exit()),
  nothing: () => holdAnd(() => new Promise(() => {})),
  abandoned: async () => {
    const visits = (async function* () {
      await using held = await locker('locker').enter();
      for (;;) yield held.value;
    })();
    await visits.next();
  },
  worker: async () => {
    if (!isMainThread) return hold('locker')(never);
    const worker = new Worker(new URL(import.meta.url), { argv: [file, how] });
    worker.on('message', say);
    await once(worker, 'message');
    return worker.terminate();
  },
};
await ways[how]?.();
