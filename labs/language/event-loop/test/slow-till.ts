// A program with a watchdog: `slow-till.ts WHAT LOG THRESHOLD`. In the end it prints which blocks it was told of.
import { execFileSync } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { watchdog } from '#lab';

const [, , what, log = '', thresholdMs] = process.argv;
const blocks: unknown[] = [];
const fd = openSync(log, 'a');
const dog = watchdog({ thresholdMs: Number(thresholdMs), onBlock: (block) => blocks.push(block), fd });
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Blocks the event loop until somebody has noticed. */
function totalTheDay(limitMs: number): boolean {
  const end = performance.now() + limitMs;
  while (performance.now() < end) if (readFileSync(log, 'utf8').includes(' at ')) return true;
  return false;
}

async function totalInPromises(limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (performance.now() < end) {
    await null;
    // Without a place where it was looked at between two promises.
    if (readFileSync(log, 'utf8').includes('event loop blocked')) return true;
  }
  return false;
}

/** Waits in native code: no line of it can be looked at. */
function waitForTheDrawer(seconds: number): boolean {
  execFileSync('sleep', [`${seconds}`]);
  return readFileSync(log, 'utf8').includes('native code');
}

let noticed = false;
// The watchdog is to be there first: else its start hides how soon it looks.
if (what === 'block') await later(150);
if (what === 'block') noticed = totalTheDay(2_500);
else if (what === 'native') {
  await later(150);
  noticed = waitForTheDrawer(0.6);
} else if (what === 'promises') noticed = await totalInPromises(2_500);
else if (what === 'ended') {
  dog[Symbol.dispose]();
  noticed = totalTheDay(500);
} else if (what === 'late') {
  await later(150);
  totalTheDay(2_500);
  dog[Symbol.dispose]();
  await later(200);
} else if (what === 'idle') {
  console.log('ready');
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.destroy();
}
const at = performance.now();
// What was noticed is told when the loop turns again.
for (let turn = 0; turn < 300 && noticed && blocks.length === 0; turn++) await later(10);
if (what === 'block') await later(300);
console.log(JSON.stringify({ blocks, noticed, at }));
// And the program ends by itself: the watchdog doesn't hold it.
