import { setTimeout as delay } from 'node:timers/promises';
import { startBrowser } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { run as fromTheSend } from './pitfalls/counted-from-the-send.ts';
import { run as blindRun } from './pitfalls/green-without-a-look.ts';
import {
  between,
  exitCode,
  RemoteTargetError,
  type Report,
  run,
  runWorkers,
  type Stage,
  startDashboard,
  type Task,
  user,
} from './src/index.ts';
import { startShop } from './test/start.ts';

const ms = (value = Number.NaN) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;
const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
const at = (to: number, seconds: number): Stage[] => [
  { seconds: 0, to },
  { seconds, to },
];
const visit: Task = async (session) => void (await session.request('/visit'));
const CASHIERS = 5;
const SERVE_MS = 20;

const options = {
  title: 'Load testing 压力测试',
  subtitle: 'The supermarket and its five cashiers: a crowd of robots, and what their stopwatches leave out',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using bin = new AsyncDisposableStack();
  const browser = await story.use(startBrowser());
  const [shop, other, counter] = await Promise.all([startShop(), startShop(), startShop(SERVE_MS, CASHIERS)]);
  for (const it of [shop, other, counter]) bin.use(it);

  await story.scene('The till hangs for a second, and the report does not know', async () => {
    story.say(
      'One robot asks, waits for its answer, thinks for 1 ms and asks again: a closed loop, as in most scripts. ' +
        'In the middle of it the shop stands still for a second, in which a hundred and fifty strangers would have come.',
    );
    const robot = user({ wait: between(0.001, 0.001), tasks: [[1, visit]] });
    const strangers = {
      target: other.url,
      model: 'open',
      stages: at(150, 2),
      maxInFlight: 2,
      user: robot,
    } as const;
    const [closed, open, sent] = await Promise.all([
      run({ target: shop.url, model: 'closed', stages: at(1, 2), user: robot }),
      run(strangers),
      fromTheSend(strangers),
      delay(600).then(() => Promise.all([shop.stall(1_000), other.stall(1_000)])),
    ]);
    story.code('src/generator.ts', { from: 'countedFrom: (due, sent)' });
    const row = (name: string, { total: { requests, latency } }: Report) => {
      return [name, requests, ms(latency?.p50), ms(latency?.p90), ms(latency?.max)];
    };
    story.table({
      caption: 'One stall of a second',
      columns: ['who, and from when it counts', 'sent', 'p50', 'p90', 'max'],
      rows: [
        row('a robot in a closed loop', closed),
        row('strangers, from the sending', sent),
        row('strangers, from when due', open),
      ],
    });
    const [low, high] = [closed.total.latency?.p50 ?? 0, open.total.latency?.p50 ?? 0];
    story.verdict('Half of the answers that the robot had know nothing of it', ms(low), low < high);
    story.verdict('Half of those who were due have waited for it', ms(high), high > 100);
  });

  await story.scene('Five cashiers: how many customers are too many?', async () => {
    const most = (CASHIERS * 1_000) / SERVE_MS;
    story.say(
      `Five cashiers take ${SERVE_MS} ms for each customer, so ${most} a second is the most they can do. Every second more ` +
        'customers come, as in "ten more a second, up to 500". When do they queue, and when are they angry (p99 above 500 ms)?',
    );
    const report = await run({
      target: counter.url,
      model: 'open',
      stages: [{ seconds: 2.4, to: 2 * most }],
      everyMs: 200,
      // Its own breath is the subject of a later scene.
      maxUtilization: 1,
      thresholds: [{ metric: 'p99', max: 500 }],
      user: user({
        wait: between(0, 0),
        tasks: [
          [3, visit],
          [1, (it) => void it.request('/visit', { name: 'buy', method: 'POST' })],
        ],
      }),
    });
    const angry = report.points.find(({ latency }) => (latency?.p99 ?? 0) > 500);
    const asked = (seconds: number) => (2 * most * seconds) / 2.4;
    const open = report.points.filter((point) => point.at < 2.5);
    story.lines({
      title: 'Customers who come, and customers who are served',
      x: { label: 's since the opening' },
      y: { label: 'a second', min: 0 },
      series: [
        { label: 'come', tone: 'bad', points: open.map((point) => [point.at, asked(point.at)]) },
        { label: 'served', tone: 'good', points: open.map((point) => [point.at, point.perSecond]) },
      ],
      moments: angry ? [{ at: angry.at, label: 'p99 above 500 ms', tone: 'bad' }] : [],
      picture: true,
    });
    // All of the second half: what is heard late in one stretch is counted in the next.
    const second = open.filter((point) => point.at > 1.2);
    const before = open.findLast((point) => point.at <= 1.2)?.at ?? 0;
    const served = second.reduce((sum, { requests }) => sum + requests, 0) / ((second.at(-1)?.at ?? 2.4) - before);
    story.verdict(
      'They serve no more, however many come',
      `${served.toFixed(0)} a second in the second half, of ${most}`,
      served < 1.25 * most,
    );
    story.verdict(
      'The threshold is crossed, and the exit code says so',
      `${report.reasons[0]}, exit ${exitCode(report)}`,
      exitCode(report) === 1,
    );
  });

  await story.scene('"It carries 5,000 users at 200 ms on average"', async () => {
    story.say(
      "A user who thinks asks seldom. By Little's law the users are the requests a second times (think time + answer time).",
    );
    const report = await run({
      target: counter.url,
      model: 'closed',
      stages: at(30, 1),
      user: user({ wait: between(0.15, 0.25), tasks: [[1, visit]] }),
    });
    const { perSecond, latency } = report.total;
    const law = 30 / (0.2 + (latency?.mean ?? 0) / 1_000);
    story.verdict(
      '30 users who think 0.2 s',
      `${perSecond.toFixed(0)} a second, ${law.toFixed(0)} by the law`,
      Math.abs(perSecond / law - 1) < 0.35,
    );
    story.say(
      `So 5,000 users who think for 1 to 3 s, at 200 ms, are ${(5_000 / 2.2).toFixed(0)} requests a second; if they think for a minute, ` +
        `${(5_000 / 60.2).toFixed(0)}. And a mean hides who waited: name the think time, the p99 and the failures, or it says nothing.`,
    );
  });

  await story.scene('The more errors, the more requests a second', async () => {
    story.say('A shop that is closed says so at once. "Requests a second: the higher the better" was never so good.');
    const plan = { target: shop.url, model: 'closed', stages: at(5, 0.3), maxUtilization: 1 } as const;
    const shut = user({ wait: between(0.001, 0.001), tasks: [[1, async (it) => void (await it.request('/closed'))]] });
    const [blind, report] = [await blindRun({ ...plan, user: shut }), await run({ ...plan, user: shut })];
    story.verdict(
      'Without a threshold on failures the build is green',
      `${(blind.total.requests / blind.seconds).toFixed(0)} requests a second, ${blind.verdict}`,
      blind.verdict === 'passed',
    );
    story.verdict(
      'Only good answers are throughput, and one failure in 1,000 is the default bound',
      `${report.total.perSecond.toFixed(0)} a second, exit ${exitCode(report)}`,
      report.total.perSecond === 0 && exitCode(report) === 1,
    );
  });

  await story.scene('The robots are out of breath themselves', async () => {
    const busy: Task = async (session) => {
      // What a script does with each answer: parse, log, compare.
      for (const end = performance.now() + 40; performance.now() < end; );
      await visit(session);
    };
    const measure = (task: Task, seconds: number) =>
      run({
        target: shop.url,
        model: 'closed',
        stages: at(20, seconds),
        maxUtilization: 0.7,
        user: user({ wait: between(0.2, 0.4), tasks: [[1, task]] }),
      });
    const [calm, breathless] = [await measure(visit, 0.5), await measure(busy, 1.4)];
    const of = ({ total, generator, verdict }: Report) =>
      `p99 ${ms(total.latency?.p99)}, own event loop busy for ${percent(generator.utilization)}: ${verdict}`;
    story.verdict(
      'Twenty users and a light script',
      of(calm),
      calm.generator.utilization < breathless.generator.utilization,
    );
    story.verdict('The same shop and twenty with a heavy one', of(breathless), breathless.verdict === 'refused');
  });

  await story.scene('Three machines, and one of them dies', async () => {
    process.env['LAB_FATES'] = 'lives,killed,lives';
    const before = await shop.served();
    const script = new URL('./test/customers.ts', import.meta.url);
    const report = await runWorkers({ target: shop.url, model: 'closed', stages: at(30, 0.7), workers: 3, script });
    const served = (await shop.served()) - before;
    const lost = report.generator.missing.map((it) => `share ${it.index} of ${it.of} (${it.reason})`).join(', ');
    story.verdict(
      "The survivors' figures are not those of 30 users",
      `${report.verdict}: missing ${lost}`,
      report.verdict === 'refused',
    );
    story.verdict(
      'What was measured is merged, not averaged',
      `${report.total.requests} answers, ${served} served`,
      served >= report.total.requests,
    );
  });

  await story.scene('The live page, and whose shop it is', async () => {
    await using dashboard = await startDashboard();
    const page = await browser.page();
    await page.goto(dashboard.url);
    const plan = { model: 'closed', user: user({ wait: between(0.01, 0.03), tasks: [[1, visit]] }) } as const;
    const seen = new AbortController();
    const running = run({
      ...plan,
      target: shop.url,
      stages: at(10, 30),
      everyMs: 200,
      onPoint: dashboard.show,
      signal: seen.signal,
    });
    const curve = page.locator('polyline').first();
    await until(async () => (await curve.getAttribute('points'))?.includes(' '));
    const live = await page.getByRole('status').textContent();
    seen.abort();
    const report = await running;
    dashboard.finish(report);
    await page.getByText(report.verdict, { exact: true }).waitFor();
    const lines = await page.locator('polyline').count();
    story.verdict(
      'A browser sees it live, and then its verdict',
      `it ${live}, then ${report.verdict}; ${lines} curves`,
      live === 'is running' && lines === 5,
    );
    const error = await run({ ...plan, target: 'https://www.baidu.com', stages: at(500, 60) }).catch(
      (reason: unknown) => reason,
    );
    story.say("Many a first script aims at a search engine. A load test of somebody else's machine is an attack.");
    story.verdict(
      'Refused before anything is sent',
      `${error instanceof Error ? error.name : error}`,
      error instanceof RemoteTargetError,
    );
  });
});
