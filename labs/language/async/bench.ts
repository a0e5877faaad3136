import { setImmediate } from 'node:timers/promises';
import { tell } from '@shared/story';
import { consensus, contest, ratios, type Standing } from '@shared/testkit';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import { mapBounded, Semaphore, timeout } from './src/index.ts';

/** Calls in one measured operation, so that the measuring itself weighs little. */
const BATCH = 1_000;
const LIMIT = 10;
const items = Array.from({ length: BATCH }, (_, item) => item);
const columns = ['', 'µs a call', 'spread', 'against the lab'].map((label, index) =>
  index === 0 ? label : { label, align: 'right' as const },
);

const ended = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });

await tell({ title: 'A limit of ten, against p-limit and p-queue', dir: import.meta.dirname }, async (story) => {
  const semaphore = new Semaphore(LIMIT);
  const limit = pLimit(LIMIT);
  const queue = new PQueue({ concurrency: LIMIT });

  const scenes: Record<string, (item: number) => Promise<number>> = {
    'work that is done at once': async (item) => item,
    'work that takes a turn of the event loop': async (item) => setImmediate(item),
  };
  for (const [name, work] of Object.entries(scenes)) {
    await story.scene(`1,000 calls, ${LIMIT} at a time: ${name}`, async () => {
      const held = async (item: number) => {
        using _ = await semaphore.acquire();
        return await work(item);
      };
      const standings = await contest(
        {
          'no limit': () => Promise.all(items.map(work)),
          'lab: Semaphore': () => Promise.all(items.map(held)),
          'lab: mapBounded': () => Array.fromAsync(mapBounded(items, LIMIT, work)),
          'p-limit': () => Promise.all(items.map((item) => limit(work, item))),
          'p-queue': () => Promise.all(items.map((item) => queue.add(() => work(item)))),
        },
        { rounds: 11, turnMs: 150 },
      );
      const micros = (perSecond: number) => (1_000_000 / (perSecond * BATCH)).toFixed(2);
      const [, lab] = standings;
      const times = (each: Standing) => (lab ? consensus(ratios(lab, each)).text : '');
      story.table({
        columns,
        rows: standings.map((each) => [
          each.name,
          micros(each.perSecond),
          `${micros(each.spread[1])}–${micros(each.spread[0])}`,
          each === lab ? '' : times(each),
        ]),
      });
      const floor = (peer: string, least: number) => {
        const theirs = standings.find((each) => each.name === peer);
        if (!lab || !theirs) return;
        const said = consensus(ratios(lab, theirs));
        const holds = said.reaches(least);
        const claim = `The semaphore does at least ${least} × as many calls as ${peer}`;
        if (holds === undefined) story.say(`${claim}: cannot be shown here (${said.text}).`);
        else story.verdict(claim, said.text, holds);
      };
      floor('p-limit', 0.4);
      floor('p-queue', 1);
    });
  }

  await story.scene('Who gives up while he waits', async () => {
    const never = new Promise<never>(() => {});
    const told = (waiting: Promise<unknown>) =>
      timeout(100, (own) => Promise.race([waiting.then(String, String), ended(own)])).catch(() => 'never settles');
    const full = pLimit(1);
    full(() => never).catch(() => {});
    const cleared = full(() => 'served');
    await setImmediate();
    full.clearQueue();
    const door = new AbortController();
    const busy = new PQueue({ concurrency: 1 });
    busy.add(() => never).catch(() => {});
    const queued = busy.add(() => 'served', { signal: door.signal });
    queued.catch(() => {});
    const ovens = new Semaphore(1);
    await ovens.acquire();
    const waiting = ovens.acquire({ signal: door.signal });
    door.abort(new Error('the guest has left'));
    const lab = await told(waiting);
    story.table({
      columns: ['', 'he is told', 'still in line'],
      rows: [
        ['lab: abort', lab, ovens.waiting],
        ['p-limit: clearQueue()', await told(cleared), full.pendingCount],
        ['p-queue: abort', await told(queued), busy.size],
      ],
    });
    const claim = "The lab's guest has his reason, and his place is free";
    story.verdict(claim, `${lab}; ${ovens.waiting} in line`, lab.includes('left') && ovens.waiting === 0);
  });
});
