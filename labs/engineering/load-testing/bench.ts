import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { provision } from '@shared/services/apt';
import { tell } from '@shared/story';
import autocannon from 'autocannon';
import { between, run, type Stage, user } from './src/index.ts';
import { type Shop, startShop } from './test/start.ts';

const RATE = 200;
const SECONDS = 4;
const PEERS = ['wrk', 'hey'] as const;
const customer = user({ wait: between(0, 0), tasks: [[1, async (it) => void (await it.request('/visit'))]] });
const at = (to: number, seconds: number): Stage[] => [
  { seconds: 0, to },
  { seconds, to },
];

/** The program from PATH, else from the private cache; undefined where neither can be had. */
async function programOf(name: (typeof PEERS)[number]) {
  const onPath = await promisify(execFile)('which', [name]).catch(() => undefined);
  if (onPath) return { path: onPath.stdout.trim(), env: {} };
  // Not a library, but wrk has no question that it answers with exit code 0.
  const recipe = { packages: [name], program: `usr/bin/${name}`, library: true } as const;
  return provision(name, recipe).catch(() => undefined);
}

await tell({ title: 'Load testing beside autocannon, wrk and hey', dir: import.meta.dirname }, async (story) => {
  const found = new Map(await Promise.all(PEERS.map(async (name) => [name, await programOf(name)] as const)));
  for (const [name, program] of found)
    if (!program) story.say(`${name} is missing: not on PATH, and apt can't fetch it here.`);
  const ask = async (name: (typeof PEERS)[number], ...args: string[]) => {
    const program = found.get(name);
    if (!program) return '';
    const { path, env } = program;
    return (await promisify(execFile)(path, args, { env: { ...process.env, ...env } })).stdout;
  };
  const number = (text: string, pattern: RegExp) => Number(pattern.exec(text)?.[1] ?? Number.NaN);

  await story.scene(`${RATE} a second for ${SECONDS} s, and the shop stands still for one of them`, async () => {
    const measured = async (measure: (shop: Shop) => Promise<number>) => {
      await using shop = await startShop();
      const running = measure(shop);
      await delay(1_500);
      await shop.stall(1_000);
      return running;
    };
    const cannon = (ignoreCoordinatedOmission: boolean) => (shop: Shop) =>
      autocannon({
        url: `${shop.url}/visit`,
        connections: 2,
        overallRate: RATE,
        duration: SECONDS,
        ignoreCoordinatedOmission,
      }).then(({ latency }) => latency.p99);
    const lab = await measured(async ({ url }) => {
      const plan = { target: url, model: 'open', stages: at(RATE, SECONDS), maxInFlight: 2, user: customer } as const;
      return (await run(plan)).total.latency?.p99 ?? Number.NaN;
    });
    const rows = [
      ['lab, open model, two under way', lab],
      ['autocannon --overallRate, two connections', await measured(cannon(false))],
      ['autocannon, without its correction', await measured(cannon(true))],
      [
        'hey -q, two connections',
        await measured(async ({ url }) => {
          const told = await ask('hey', '-z', `${SECONDS}s`, '-c', '2', '-q', String(RATE / 2), `${url}/visit`);
          return 1_000 * number(told, /99% in ([\d.]+) secs/);
        }),
      ],
    ] satisfies [string, number][];
    story.table({ columns: ['', 'p99 ms'], rows: rows.map(([name, value]) => [name, Math.round(value * 10) / 10]) });
    story.verdict('The lab sees the stall that a quarter of the customers met', `p99 ${lab.toFixed(0)} ms`, lab > 500);
  });

  await story.scene('As fast as they can, ten connections', async () => {
    await using shop = await startShop();
    const url = `${shop.url}/visit`;
    const turns = 3;
    const contestants: Record<string, () => Promise<number>> = {
      lab: async () => {
        const plan = {
          target: shop.url,
          model: 'closed',
          stages: at(10, 1.5),
          maxUtilization: 1,
          user: customer,
        } as const;
        return (await run(plan)).total.perSecond;
      },
      autocannon: async () => (await autocannon({ url, connections: 10, duration: 2 })).requests.average,
      wrk: async () => number(await ask('wrk', '-t', '1', '-c', '10', '-d', '2s', url), /Requests\/sec:\s+([\d.]+)/),
      hey: async () => number(await ask('hey', '-z', '2s', '-c', '10', url), /Requests\/sec:\s+([\d.]+)/),
    };
    const results = new Map<string, number[]>();
    for (let turn = 0; turn < turns; turn++) {
      for (const [name, measure] of Object.entries(contestants)) {
        results.set(name, [...(results.get(name) ?? []), await measure()]);
      }
    }
    const median = (name: string) => (results.get(name) ?? []).toSorted((a, b) => a - b)[1] ?? Number.NaN;
    const mine = median('lab');
    story.table({
      caption: `Requests a second, median of ${turns} turns; the server shares the machine`,
      columns: ['', 'a second', 'times the lab'],
      rows: [...results.keys()].map((name) => [
        name,
        Math.round(median(name)),
        Number((median(name) / mine).toFixed(2)),
      ]),
    });
    const times = mine / median('autocannon');
    story.verdict(
      'A session, a clock and a check for each request cost less than four fifths',
      `${times.toFixed(2)} of autocannon`,
      times > 0.2,
    );
  });
});
