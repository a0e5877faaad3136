import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { TaskQueue, task } from './src/index.ts';

const ROUNDS = 101;
/** Short: what disturbs the machine for a moment spoils one round of many. */
const TURN_MS = 60;
/** The ratios' interquartile range above which their median says nothing. */
const WIDE = 0.3;
const percent = (share: number) => `${(share * 100).toFixed(0)} %`;

// Both do the same: a job with a priority and a retry policy is added, a worker runs it, the result is awaited.
await tell({ title: 'The layer against plain BullMQ', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const connection = { url: redis.nodes[0].url };
  const prefix = `${redis.namespace}bull`;
  await using bin = new AsyncDisposableStack();
  const open = <C extends { close(): Promise<void> }>(one: C) => bin.adopt(one, (it) => it.close());

  const tasks = { double: task((n: number) => n * 2) };
  const lab = open(new TaskQueue(tasks, { connection, prefix, name: 'lab' }));
  await lab.worker({ concurrency: 20 });

  const queue = open(new Queue<{ n: number }, number>('plain', { connection, prefix }));
  const events = open(new QueueEvents('plain', { connection, prefix }));
  open(
    new Worker<{ n: number }, number>('plain', async (job) => job.data.n * 2, { connection, prefix, concurrency: 20 }),
  );
  await events.waitUntilReady();
  events.setMaxListeners(0);
  queue.setMaxListeners(0);
  const keep = { age: 3_600, count: 10_000 };
  const opts = {
    priority: 10,
    attempts: 3,
    backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    removeOnComplete: keep,
    removeOnFail: keep,
  };

  story.say(
    `${ROUNDS} rounds, in each a turn of ${TURN_MS} ms for the one, then for the other, in changing order. What counts is the ratio within a round, and of all rounds the middle one; where the middle half of them spreads over more than ${percent(WIDE)}, nothing is claimed.`,
  );
  for (const workers of [1, 20]) {
    await story.scene(`Sent, run, and its result awaited: ${workers} at once`, async () => {
      const standings = await contest(
        {
          lab: async (n) => (await lab.delay('double', n)).get(),
          BullMQ: async (n) => (await queue.add('double', { n }, opts)).waitUntilFinished(events, 30_000),
        },
        { workers, rounds: ROUNDS, turnMs: TURN_MS },
      );
      story.table(standingsTable(standings));
      const [mine, plain] = standings;
      if (!mine || !plain) throw new Error('two contestants');
      const ratios = mine.rounds.map((perSecond, round) => perSecond / (plain.rounds[round] ?? Number.NaN));
      const [low, high] = [quantile(ratios, 0.25), quantile(ratios, 0.75)];
      const measured = `${ratio(mine, plain).toFixed(2)} × as many as plain BullMQ; the middle half of ${ROUNDS} rounds: ${low.toFixed(2)}–${high.toFixed(2)}`;
      if (high - low > WIDE) story.say(`**No claim**: this machine is too busy to tell. ${measured}.`);
      else story.verdict('The layer costs less than 10 %', measured, ratio(mine, plain) > 0.9);
    });
  }
});

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}
