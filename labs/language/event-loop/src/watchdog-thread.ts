// What runs beside the main thread for watchdog.ts; imported by nobody.
import { writeSync } from 'node:fs';
import { Session } from 'node:inspector';
import { parentPort, workerData } from 'node:worker_threads';
import type { Looking } from './watchdog.ts';

const { key, beats, thresholdMs, everyMs, limit, fd }: Looking = workerData;

let seen = 0;
// Our own ticks are counted, not the clock: where the whole process stands still (a laptop asleep), so do they.
let missed = 0;
let asked: number | undefined;

setInterval(() => {
  const beat = Atomics.load(beats, 0);
  if (beat !== seen) {
    seen = beat;
    missed = 0;
  } else {
    missed++;
    if (missed === limit && asked === undefined) ask();
    else if (missed === 10 * limit && asked !== undefined)
      say(`${since()} by native code, which shows no line until it returns`);
  }
}, everyMs);

/** The expression runs on top of what blocks, at the next function call or turn of a loop; in native code, behind it. */
function ask(): void {
  const from = performance.now();
  asked = from;
  const session = new Session();
  session.connectToMainThread();
  const expression = `globalThis[Symbol.for(${JSON.stringify(key)})]?.()`;
  session.post('Runtime.evaluate', { expression, returnByValue: true }, (error, answer) => {
    // A session that stays would hold up the end of the process.
    session.disconnect();
    asked = undefined;
    const { blockedMs = 0, stack = '' } = (error ? undefined : answer.result.value) ?? {};
    const standing = blockedMs >= thresholdMs;
    const frames = standing ? below(stack) : [];
    const site = frames.map(siteOf).find((each) => each !== undefined);
    // Over before it could be looked at: what runs by now is innocent.
    const atLeast = standing ? blockedMs : limit * everyMs;
    say(`${atLeast.toFixed(0)} ms${site ? ` at ${site}` : ''}${frames.map((frame) => `\n${frame}`).join('')}`);
    const block = { blockedMs: atLeast, site, stack: frames.join('\n'), readAfterMs: performance.now() - from };
    parentPort?.postMessage(block);
  });
}

const since = () => `${(missed * everyMs).toFixed(0)} ms`;

/** Not by `console`: it goes by way of the thread that is blocked. (https://github.com/nodejs/node/issues/30491) */
function say(text: string): void {
  if (fd === null) return;
  try {
    writeSync(fd, `event loop blocked for ${text}\n`);
  } catch {
    // A full or closed pipe is no reason to end the program.
  }
}

/** The frames below the expression's own. */
function below(stack: string): string[] {
  const frames = stack.split('\n');
  return frames.slice(frames.findIndex((frame) => /^ +at <anonymous>:1:\d+$/.test(frame)) + 1);
}

function siteOf(frame: string): string | undefined {
  const site = /(?:\(|at (?:async )?)([^()]+:\d+:\d+)\)?$/.exec(frame)?.[1];
  return site?.startsWith('node:') ? undefined : site;
}
