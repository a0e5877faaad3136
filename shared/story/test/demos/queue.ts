/** A story that needs no server: two ways to wait in a queue, on a simulated clock, drawn every way there is. */
import { type Story, tell } from '../../src/index.ts';
import { at, oneLine, sampled, separateLines } from './queues.ts';

await tell(
  {
    title: 'Two queues 排队',
    subtitle: 'One line for all counters, or a line at each: the same work, another wait.',
    dir: import.meta.dirname,
    next: ['`pnpm lab learn queue` to build it yourself', '`pnpm lab test queue` to see what it promises'],
  },
  async (story) => {
    await story.use(Promise.resolve(server()));
    const work = Array.from({ length: 400 }, () => 1 + Math.floor(story.random() ** 4 * 40));

    let own: number[] = [];
    await story.scene('A line at each counter', async () => {
      story.say('Whoever stands behind a long job **waits for all of it**, even while the next counter is idle.');
      story.code('queues.ts', { from: 'function separateLines', to: '});' });
      own = separateLines(work);
      story.verdict(
        'some wait far longer than most',
        `p50 ${at(own, 0.5)} min, p99 ${at(own, 0.99)} min`,
        at(own, 0.99) > at(own, 0.5),
      );
    });

    await story.scene('One line for all 一条队', async () => {
      const progress = story.progress('serving', work.length);
      for (const _ of work) progress.tick();
      progress.done();
      const one = oneLine(work);
      story.table({
        caption: 'Minutes of waiting',
        columns: ['line', 'p50', 'p90', 'p99', 'the longest wait of all'],
        rows: [
          ['a line at each counter', at(own, 0.5), at(own, 0.9), at(own, 0.99), Math.max(...own)],
          ['one line for all 一条队', at(one, 0.5), at(one, 0.9), at(one, 0.99), Math.max(...one)],
        ],
      });
      story.bars({
        title: 'The 99th percentile',
        unit: 'min',
        items: [
          { label: 'a line at each counter', value: at(own, 0.99), tone: 'bad', note: 'idle counters nearby' },
          { label: 'one line for all', value: at(one, 0.99), tone: 'good' },
        ],
      });
      story.lines({
        title: 'How long one waits, by order of arrival',
        x: { label: 'customer' },
        y: { label: 'wait', unit: 'min' },
        series: [
          { label: 'a line at each', points: sampled(own), tone: 'bad' },
          { label: 'one line', points: sampled(one), tone: 'good' },
        ],
        moments: [{ at: 200, label: 'noon' }],
      });
      story.verdict(
        'one line shortens the worst waits',
        `p99 ${at(own, 0.99)} → ${at(one, 0.99)} min`,
        at(one, 0.99) < at(own, 0.99),
      );
      story.verdict(
        'at no cost to the ordinary ones',
        `p50 ${at(own, 0.5)} → ${at(one, 0.5)} min`,
        at(one, 0.5) <= at(own, 0.5),
      );
    });

    await story.scene('Two people, one counter', async () => {
      story.timeline({
        title: 'Who stands at the counter',
        unit: 'min',
        picture: true,
        lanes: [
          {
            label: 'Ada',
            spans: [
              { from: 0, to: 32, label: 'holds the counter', tone: 'good' },
              { from: 32, to: 48, label: 'thinks she does', tone: 'bad' },
            ],
            marks: [
              { at: 12, label: 'renews' },
              { at: 32, label: 'time is up', tone: 'warn' },
            ],
          },
          {
            label: '小明',
            spans: [{ from: 36, to: 60, label: '拿到柜台', tone: 'good' }],
            marks: [{ at: 36, label: 'called' }],
          },
        ],
        bands: [{ from: 36, to: 48, label: 'both at once' }],
      });
      story.verdict('two stand at one counter', 'together for 12 min', true);
    });

    story.skip('A line of a thousand', 'REDIS_URL is a server of yours: the story does not pause it');
  },
);

function server(): Awaited<Parameters<Story['use']>[0]> {
  return { banner: 'counter ×4: simulated', inspect: ['watch -n1 queue'], [Symbol.asyncDispose]: async () => {} };
}
