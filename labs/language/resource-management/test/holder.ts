// A process that holds a locker until it is told to stop: `node holder.ts IMPLEMENTATION HOW`.
import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const [file = '', how = ''] = process.argv.slice(2);
const lab: typeof import('../src/index.ts') = await import(file);
const say = (text: string) => writeSync(1, `${text}\n`);
const locker = lab.contextManager(async function* (name: string) {
  try {
    yield name;
  } finally {
    // A release that takes a while: whoever ends the process too early cuts it off.
    await delay(20);
    say(`${name} given back`);
  }
});
/** Holds until the signal, and only then looks at it. */
const hold = (name: string) => async (signal: AbortSignal) => {
  await using held = await locker(name).enter();
  say(`${held.value} held`);
  await delay(how === 'stubborn' ? 60_000 : 0);
  while (!signal.aborted) await delay(60_000, undefined, { signal }).catch(() => {});
  say(`${name}: ${signal.reason.signal}`);
  signal.throwIfAborted();
};

const { interruptible, withContext } = lab;
if (how === 'nested') {
  await withContext(interruptible(), async (signal) => {
    await using outer = await locker('outer').enter();
    await withContext(interruptible(['SIGTERM']), hold('inner'));
    await hold(outer.value)(signal);
  });
} else if (how === 'uninterrupted') {
  await withContext(interruptible(), () => say(`${process.listenerCount('SIGTERM')} listens`));
  say(`${process.listenerCount('SIGTERM')} listens`);
} else {
  await withContext(interruptible(), hold('locker')).catch(() => {});
  say('never reached');
}
