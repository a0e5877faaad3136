import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { startPrometheus } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { httpMetrics as rawPath } from './pitfalls/raw-path.ts';
import { dashboard, httpMetrics, queries, ruleFile, runsOut, servicePanels } from './src/index.ts';
import { badPromql, PrometheusApi } from './test/prometheus-api.ts';
import { Promtool } from './test/promtool.ts';
import { customers, host, phone, queueService, Shop, SLO_SECONDS, scan, shopPanels, visit } from './test/shop.ts';

const WINDOW = '1s';
const RULES = { window: WINDOW, sloSeconds: SLO_SECONDS, jobs: ['shop'], hold: '250ms' };
const ask = queries(RULES);
const ms = (seconds: number) => `${(seconds * 1000).toFixed(0)} ms`;
const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
const now = () => Date.now() / 1000;

const options = {
  title: 'Metrics 服务监控',
  subtitle: 'The milk-tea shop that never closes: a nurse with a thermometer, and a wall of dials',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  await using bin = new AsyncDisposableStack();
  // The shop: one address, and the release that answers there.
  let shop = new Shop('1.4.0', (drink) => drink);
  const front = await host(bin, (request, response) => void shop.handle(request, response));
  const notFound = (response: ServerResponse) => void response.writeHead(404).end();
  const [raw, bounded] = [await queueService(bin, rawPath, notFound), await queueService(bin, httpMetrics, notFound)];
  let served = 0;
  const counter = await queueService(bin, httpMetrics, (response) => {
    setTimeout(() => response.end('tea'), ++served % 30 === 0 ? 900 : 20);
  });
  const manager = await phone(bin, 'CacheMisses');

  const prometheus = await story.use(
    startPrometheus({
      targets: [
        { job: 'shop', urls: [front.url] },
        { job: 'raw', urls: [raw.url] },
        { job: 'bounded', urls: [bounded.url] },
        { job: 'counter', urls: [counter.url] },
      ],
      rules: JSON.stringify(ruleFile(RULES)),
      alertmanager: { webhook: manager.url },
    }),
  );
  const api = new PrometheusApi(prometheus.url);
  bin.use(customers(front.url, 300));
  // More than a hundred at once do not come to a machine that is too slow for them.
  let inQueue = 0;
  const queue = setInterval(() => {
    if (inQueue >= 100) return;
    inQueue++;
    void visit(`${counter.url}/queue`)
      .catch(() => {})
      .finally(() => inQueue--);
  }, 10);
  bin.defer(() => clearInterval(queue));
  const scanned = scan(raw.url, bounded.url);
  scanned.catch(() => {});

  await story.scene('A day of the shop in a moment', async () => {
    story.say(
      'Prometheus is a nurse who comes round every 10 seconds, reads each thermometer and writes it down: she asks, nobody calls her. ' +
        "Here are two of the shop's days, on Prometheus' own engine and a clock of its own: guests, counted, and pearls, weighed.",
    );
    const promtool = new Promtool(prometheus.promtool, 10);
    const HOUR = 3600;
    // 120 guests an hour, 360 from 14 to 18 o'clock; 5 kg of pearls, of which 2.1 kg an hour are eaten from 14 o'clock on.
    const day = (first: number) => `${first}+0.3333x5039 ${first + 1680}+1x1439 ${first + 3120}+0.3333x2159`;
    const series = { guests_total: `${day(0)} ${day(3840)}`, pearls_kg: '5x5039 5-0.005833x857' };
    const at = async (hours: number, expr: string) => (await promtool.value(series, hours * HOUR, expr)) ?? Number.NaN;
    const today = await at(39, 'rate(guests_total[10m]) * 3600');
    const yesterday = await at(39, 'rate(guests_total[10m] offset 1d) * 3600');
    const left = await at(15, 'pearls_kg');
    const eaten = await at(15, '-deriv(pearls_kg[30m]) * 3600');
    const rate = await at(15, 'rate(pearls_kg[30m]) * 3600');
    const soon = runsOut('pearls_kg', '30m', 2 * HOUR);
    const [before, foretold] = [await at(13.9, soon), await at(15, soon)];
    story.table({
      columns: ['asked', 'answer'],
      rows: [
        ['guests an hour, today at 15:00', today.toFixed(0)],
        ['guests an hour, yesterday at 15:00', yesterday.toFixed(0)],
        ['kg of pearls at 15:00', left.toFixed(1)],
        ['kg an hour that go, by deriv', eaten.toFixed(1)],
        ['kg an hour that go, by rate', rate.toFixed(0)],
      ],
    });
    story.verdict(
      'At 15:00 the rule foretells that the pearls are out within two hours; before the rush it says nothing',
      `${left.toFixed(1)} kg left`,
      Number.isNaN(before) && foretold <= 0,
    );
    story.verdict(
      'A stock is a gauge: rate() takes each sale for a restart and counts all that is left',
      `${rate.toFixed(0)} kg an hour instead of ${eaten.toFixed(1)}`,
      rate > 100 * eaten,
    );
  });

  await story.scene('A label that explodes', async () => {
    story.say(
      'A scanner asks 1,000 paths of two shops that have none of them: 404. One keeps the path as a label. (Prometheus makes its first round 5 s after its start.)',
    );
    await scanned;
    const stored = (job: string) => `count({__name__=~"http_request.+",job="${job}"})`;
    await api.untilValue('sum(http_requests_total{job="raw"})', (sum) => sum >= 1000);
    const [many, one] = [
      await api.untilValue(stored('raw'), (n) => n > 0),
      await api.untilValue(stored('bounded'), () => true),
    ];
    const size = async (url: string) => (await (await fetch(`${url}/metrics`)).text()).length / 1024;
    story.bars({
      title: 'Series in Prometheus, after 1,000 requests',
      items: [
        {
          label: 'route = the path',
          value: many,
          tone: 'bad',
          note: `${(await size(raw.url)).toFixed(0)} kB each scrape`,
        },
        { label: 'route = the pattern', value: one, tone: 'good', note: `${(await size(bounded.url)).toFixed(0)} kB` },
      ],
    });
    story.code('pitfalls/raw-path.ts', { from: 'const labels = { method' });
    story.verdict(
      'A path is a series for each of its buckets, for ever; a pattern is not',
      `${many} series, or ${one}`,
      many > 10_000 && one < 20,
    );
  });

  await story.scene('The mean that hides the queue', async () => {
    story.say(
      'At another counter a tea takes 20 ms, and one in thirty has to wait for the pearls: 900 ms. Promised: 200 ms.',
    );
    const figures = async () => {
      const asked = [ask.mean, ask.quantile(0.99), ask.slowRatio].map(async (expr) => {
        const answer = (await api.query(expr)).find(({ labels }) => labels['job'] === 'counter');
        return answer?.value ?? Number.NaN;
      });
      const [mean = 0, p99 = 0, late = 0] = await Promise.all(asked);
      return { mean, p99, late };
    };
    // Until the scanner is out of the window.
    const calm = async () => {
      const now = await figures();
      return now.mean < SLO_SECONDS && now.late > 0.01 && now.late < 0.1 ? now : undefined;
    };
    const { mean, p99, late } = await until(calm, { timeoutMs: 10_000 }).catch(figures);
    story.bars({
      title: 'How long a tea takes, as Prometheus has it',
      unit: 'ms',
      items: [
        { label: 'mean', value: mean * 1000, tone: 'good' },
        { label: 'p99', value: p99 * 1000, tone: 'bad', note: 'estimated: in its bucket are 800 to 1,600 ms' },
      ],
    });
    const green = 'The mean is green and the 99th percentile is red';
    if (mean < SLO_SECONDS)
      story.verdict(green, `${ms(mean)} and ${ms(p99)}, of ${ms(SLO_SECONDS)}`, p99 > SLO_SECONDS);
    else story.say(`Cannot be shown here: this machine is so busy that the mean is ${ms(mean)}.`);
    const counted = 'The late ones are counted, since the promise is the edge of a bucket';
    story.verdict(counted, `${percent(late)} late`, late > 0.01 && late < 1);
    clearInterval(queue);
  });

  await story.scene('The release at night', async () => {
    const t0 = now();
    const marks: { at: number; label: string; tone?: 'good' | 'bad' }[] = [];
    const mark = (label: string, tone: 'good' | 'bad', at = now()) => marks.push({ at: at - t0, label, tone });
    const DATABASE = 'sum(rate(database_query_seconds_sum[1s])) / (sum(rate(database_query_seconds_count[1s])) > 0)';
    const HITS = 'sum(rate(cache_requests_total{result="hit"}[1s])) / (sum(rate(cache_requests_total[1s])) > 0)';
    const deploy = (release: Shop) => {
      shop = release;
      front.server.closeAllConnections();
    };
    const rings = (status: string) =>
      until(() => manager.calls.find((call) => call.status === status), {
        timeoutMs: 15_000,
        what: `the phone: ${status}`,
      });
    const well = {
      database: await api.untilValue(DATABASE, (it) => it > 0),
      hits: await api.untilValue(HITS, () => true),
    };
    story.say(
      '300 customers a second. The recipes are in a cache, and 3 connections lead to the database, which takes 50 ms. ' +
        'At night 2.0.0 goes live: by mistake its cache has the customer in each key.',
    );
    mark('2.0.0', 'bad');
    deploy(new Shop('2.0.0', (drink, customer) => `${drink}/${customer}`));
    const fired = await rings('firing');
    mark('alert', 'bad', fired.at);
    story.say(`The manager's phone: "${fired.annotations['summary']} ${fired.annotations['action']}"`);
    const slowest = await api.untilValue(DATABASE, (it) => it > 1.8).catch(() => api.untilValue(DATABASE, () => true));
    const ill = await api.untilValue(HITS, () => true);
    mark('back', 'good');
    deploy(new Shop('1.4.0', (drink) => drink));
    const resolved = await rings('resolved');
    mark('resolved', 'good', resolved.at);
    await delay(300);
    const [database = [], hits = []] = [
      (await api.range(DATABASE, t0 - 0.5, now(), 0.25))[0],
      (await api.range(HITS, t0 - 0.5, now(), 0.25))[0],
    ];
    story.lines({
      title: 'What the dashboard showed that night',
      x: { label: 's since the release' },
      y: { label: 'ms', min: 0 },
      series: [
        { label: 'the database answers in', tone: 'bad', points: database.map(([at, it]) => [at - t0, it * 1000]) },
        { label: 'cache hits (2,000 = 100 %)', tone: 'good', points: hits.map(([at, it]) => [at - t0, it * 2000]) },
      ],
      moments: marks,
      picture: true,
    });
    story.verdict(
      'Cache hits fall, and the database drowns in the questions',
      `${percent(well.hits)} to ${percent(ill)}, ${ms(well.database)} to ${ms(slowest)}`,
      well.hits > 0.9 && ill < 0.5 && slowest > 10 * well.database,
    );
    const named = new Set(manager.calls.map(({ labels }) => labels['version']));
    story.verdict(
      'The alert names the version that is to blame, and no other',
      `${[...named].join(', ')}, ${(fired.at - t0).toFixed(1)} s after its release`,
      named.size === 1 && named.has('2.0.0'),
    );
    const up = resolved.at - t0 - (marks.find(({ label }) => label === 'back')?.at ?? 0);
    story.verdict('It ends with the roll-back', `${up.toFixed(1)} s after it`, up > 0);
    const resets = await api.untilValue('max(resets(cache_requests_total{job="shop"}[1m]))', () => true);
    const lowest = await api.untilValue('min(min_over_time(job_route:http_requests:rate{job="shop"}[1m]))', () => true);
    story.verdict(
      'Each release set every counter to 0, and no rate fell below it',
      `${resets} resets, the lowest rate ${lowest.toFixed(0)} a second`,
      resets === 2 && lowest >= 0,
    );
  });

  await story.scene('The wall of dials', async () => {
    story.say('Grafana only draws; it has Prometheus count. So each question on its wall can be asked without it:');
    const panels = [
      ...servicePanels({ window: '$__rate_interval', sloSeconds: SLO_SECONDS }),
      ...shopPanels('$__rate_interval'),
    ];
    const wall = dashboard({ title: 'Milk tea', uid: 'milk-tea', panels });
    const asked = wall.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })));
    const answers = await Promise.all(
      asked.map(async ({ title, expr }) => {
        const query = expr.replaceAll('$__rate_interval', WINDOW);
        const found = async () => (await api.query(query)).filter(({ labels }) => labels['job'] === 'shop');
        // The roll-back is less than a window ago: what is said of a version comes later.
        const data = await until(async () => ((await found()).length > 0 ? found() : undefined)).catch(() => []);
        return { title, ok: badPromql(query).length === 0 && data.length > 0, value: data[0]?.value ?? Number.NaN };
      }),
    );
    story.table({
      columns: ['panel', 'its first figure'],
      rows: answers.map(({ title, value }) => [title, value.toPrecision(3)]),
    });
    const milk = (await api.query('milk_boxes'))[0]?.value ?? Number.NaN;
    story.verdict('The milk is below 10 boxes: its light is red', `${milk} boxes`, milk < 10);
    story.verdict(
      'Each question is PromQL and has an answer',
      `${answers.filter(({ ok }) => ok).length} of ${answers.length}`,
      answers.every(({ ok }) => ok),
    );
  });
});
