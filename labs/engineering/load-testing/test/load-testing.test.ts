import { spawn } from 'node:child_process';
import { getEventListeners, once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createPort } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describeWith, part, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  between,
  dueAt,
  exitCode,
  expects,
  Histogram,
  InvalidPlanError,
  levelAt,
  type Plan,
  type Point,
  pick,
  RemoteTargetError,
  type Report,
  run,
  runWorkers,
  type Session,
  type Stage,
  Stats,
  type Task,
  type Threshold,
  user,
  work,
} from '#lab';
import { startShop } from './start.ts';

const { steps }: typeof import('../src/generator.ts') = await import(part('generator.ts'));
const { settingsOf }: typeof import('../src/plan.ts') = await import(part('plan.ts'));
const { Recorder }: typeof import('../src/recorder.ts') = await import(part('recorder.ts'));

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
/** Whose answers, and how many, is what most laws are about: a busy machine must not refuse them. */
const CALM = { seed: SEED, maxUtilization: 1 };
const SCRIPT = new URL('./customers.ts', import.meta.url);
const visit: Task = async (session) => void (await session.request('/visit'));
const at = (to: number, seconds: number): Stage[] => [
  { seconds: 0, to },
  { seconds, to },
];
const doing = (...tasks: Task[]) => user({ wait: between(0, 0), tasks: tasks.map((task) => [1, task] as const) });
const of = (report: Report, name: string) => report.rows.find((row) => row.name === name);
const figures = ({ verdict, reasons, total, users, generator }: Report) => ({
  verdict,
  reasons,
  total,
  users,
  generator,
});
const showing = (report: Report) => JSON.stringify(figures(report), null, 1);

/** The area below the level: a straight line is, on average, what it is in its middle. */
const areaUntil = (stages: readonly Stage[], until_: number) => {
  let [begins, sum] = [0, 0];
  for (const { seconds } of stages) {
    const spent = Math.min(Math.max(until_ - begins, 0), seconds);
    sum += spent * levelAt(stages, begins + spent / 2);
    begins += seconds;
  }
  return sum;
};

/** Pearson's χ²: how far counts are from what was expected of them. */
const chiSquared = (counts: readonly number[], expected: readonly number[]) =>
  counts.reduce((sum, count, index) => sum + (count - (expected[index] ?? 0)) ** 2 / (expected[index] ?? 1), 0);

await describeWith('load-testing', { shop: () => startShop() }, ({ shop }) => {
  const plan = (o: Partial<Plan> & Pick<Plan, 'stages'>): Plan => ({
    ...CALM,
    target: shop.url,
    model: 'closed',
    ...o,
  });

  test('a task of weight three is done three times as often as one of weight one', async () => {
    const { next } = random(SEED);
    for (const weights of [[3, 1], [1, 3], [5, 2, 1, 0.5], [1], [0.2, 0.1]]) {
      const tasks = weights.map((weight) => [weight, () => {}] as const);
      const counts = tasks.map(() => 0);
      const draws = 20_000;
      for (let draw = 0; draw < draws; draw++) {
        const task = pick(tasks, next);
        const index = tasks.findIndex(([, it]) => it === task);
        counts[index] = (counts[index] ?? 0) + 1;
      }
      const sum = weights.reduce((all, weight) => all + weight, 0);
      const expected = weights.map((weight) => (draws * weight) / sum);
      // Beyond 21 by chance: once in 10,000 times, with three degrees of freedom.
      expect(chiSquared(counts, expected), `weights ${weights}: drawn ${counts}, expected ${expected}`).toBeLessThan(
        21,
      );
    }
  });

  test('think times are spread evenly between their bounds', () => {
    const { next } = random(SEED);
    for (const [min, max] of [
      [1, 3],
      [0, 0.5],
      [2, 2],
    ] as const) {
      const wait = between(min, max);
      const times = Array.from({ length: 10_000 }, () => wait(next));
      expect(Math.min(...times)).toBeGreaterThanOrEqual(min);
      expect(Math.max(...times)).toBeLessThanOrEqual(max);
      if (min === max) continue;
      const tenths = Array.from({ length: 10 }, () => 0);
      for (const time of times) {
        const tenth = Math.min(9, Math.floor(((time - min) / (max - min)) * 10));
        tenths[tenth] = (tenths[tenth] ?? 0) + 1;
      }
      const evenly = tenths.map(() => 1_000);
      expect(
        chiSquared(tenths, evenly),
        `of 10,000 waits in each tenth from ${min} to ${max} s: ${tenths}`,
      ).toBeLessThan(34);
    }
  });

  test('the number of users follows the stages, ramps included, to within one', async () => {
    const stages = [
      { seconds: 10, to: 100 },
      { seconds: 5, to: 100 },
      { seconds: 0, to: 40 },
      { seconds: 20, to: 0 },
    ];
    const expected = [
      [0, 0],
      [2.5, 25],
      [5, 50],
      [9.99, 99.9],
      [12, 100],
      [15, 40],
      [20, 30],
      [34.5, 1],
      [35, 0],
      [99, 0],
    ] as const;
    for (const [seconds, users] of expected) {
      expect(
        Math.abs(levelAt(stages, seconds) - users),
        `${levelAt(stages, seconds)} users at ${seconds} s, not ${users}`,
      ).toBeLessThanOrEqual(1);
    }
    const begun: number[] = [];
    const left: number[] = [];
    const start = performance.now();
    const now = () => (performance.now() - start) / 1_000;
    const short = [
      { seconds: 0.2, to: 8 },
      { seconds: 0.6, to: 8 },
      { seconds: 0.2, to: 0 },
    ];
    const customer = user({
      wait: between(10, 10),
      tasks: [[1, visit]],
      onStart: ({ signal }) => {
        begun.push(now());
        signal.addEventListener('abort', () => left.push(now()));
      },
    });
    await run({ ...plan({ stages: short }), user: customer });
    const evidence = `began at ${begun.map((it) => it.toFixed(3))}, left at ${left.map((it) => it.toFixed(3))}`;
    expect([begun.length, left.length], evidence).toEqual([8, 8]);
    // A busy machine may be late, and none may be early.
    for (const [index, seconds] of begun.entries())
      expect(levelAt(short, Math.min(seconds, 0.5)) + 1, evidence).toBeGreaterThanOrEqual(Math.min(index + 1, 8));
    for (const [index, seconds] of left.entries())
      expect(seconds, evidence).toBeGreaterThanOrEqual(0.8 + (index / 8) * 0.2 - 0.02);
  });

  test('in the open model arrivals come when they are due, whether or not those before them have an answer', async () => {
    const stages = [
      { seconds: 10, to: 100 },
      { seconds: 5, to: 100 },
      { seconds: 10, to: 0 },
    ];
    const dues = Array.from({ length: 1_500 }, (_, index) => dueAt(stages, index));
    const until_ = (seconds: number) => dues.filter((due) => due <= seconds).length;
    for (const [seconds, arrivals] of [
      [1, 5],
      [5, 125],
      [10, 500],
      [12, 700],
      [15, 1_000],
      [20, 1_375],
      [25, 1_500],
    ] as const) {
      expect(
        Math.abs(until_(seconds) - arrivals),
        `${until_(seconds)} arrivals in ${seconds} s, not ${arrivals}`,
      ).toBeLessThanOrEqual(1);
    }
    expect(
      dues.every((due, index) => due >= (dues[index - 1] ?? 0)),
      'each is due after the one before',
    ).toBe(true);
    const quiet = [
      { seconds: 0, to: 1 },
      { seconds: 10, to: 0 },
      { seconds: 20, to: 0.5 },
    ];
    for (const [own, arrivals] of [
      [stages, 1_500],
      [quiet, 10],
    ] as const) {
      for (let index = 0; index < arrivals; index++) {
        const area = areaUntil(own, dueAt(own, index));
        expect(area, `the area below the level until arrival ${index} of ${arrivals} is due`).toBeCloseTo(
          index + 0.5,
          6,
        );
      }
    }
    const answers = Promise.withResolvers<void>();
    let begun = 0;
    let over = false;
    const asks: Task = async ({ signal }) => {
      begun++;
      // The stages have ended, and nobody comes any more.
      signal.addEventListener('abort', () => {
        over = true;
      });
      await answers.promise;
    };
    const running = run({ ...plan({ model: 'open', stages: at(200, 0.25) }), user: doing(asks) });
    await until(() => over || begun === 50, { what: 'the last arrival' });
    expect(begun, 'arrivals while nobody has an answer').toBe(50);
    answers.resolve();
    await running;
    expect(begun, 'arrivals in all').toBe(50);
  }, 20_000);

  test('a percentile is right to one part in a hundred, from a microsecond to an hour', () => {
    const { next } = random(SEED);
    for (const largest of [0.05, 2, 900, 4e6]) {
      const values = Array.from({ length: 5_000 }, () => Math.max(0.001, largest * next() ** 3));
      const histogram = new Histogram();
      for (const value of values) histogram.record(value);
      const sorted = values.toSorted((a, b) => a - b);
      for (const percent of [0.01, 10, 50, 90, 99, 99.9, 100]) {
        const truth = sorted[Math.ceil((percent / 100) * values.length) - 1] ?? Number.NaN;
        const read = histogram.percentile(percent);
        const evidence = `p${percent} of 5,000 values up to ${largest} ms is ${truth}; the histogram says ${read}`;
        expect(Math.abs(read - truth), evidence).toBeLessThanOrEqual(truth / 100 + 0.001);
      }
      expect([histogram.count, histogram.max]).toEqual([5_000, sorted.at(-1)]);
      expect(histogram.mean / (values.reduce((sum, value) => sum + value, 0) / 5_000)).toBeCloseTo(1, 9);
    }
  });

  test('the histograms of several workers merge into that of the whole', () => {
    const { next } = random(SEED);
    const whole = new Histogram();
    const parts = [new Histogram(), new Histogram(), new Histogram(), new Histogram()];
    // One worker of the four has all the slow answers; the last has seen nothing.
    for (let index = 0; index < 3_000; index++) {
      const value = index % 3 === 0 ? 500 + 400 * next() : 5 * next();
      whole.record(value);
      parts[index % 3]?.record(value);
    }
    const merged = new Histogram();
    for (const part of parts) merged.merge(JSON.parse(JSON.stringify(part)));
    const read = (histogram: Histogram) => [
      histogram.count,
      histogram.max,
      ...[1, 50, 66, 67, 90, 99, 100].map((percent) => histogram.percentile(percent)),
    ];
    expect(read(merged), 'count, max, p1, p50, p66, p67, p90, p99, p100').toEqual(read(whole));
    expect(merged.mean / whole.mean).toBeCloseTo(1, 9);
  });

  test('a timeout, a refusal, a broken connection, an error status and a wrong answer are told apart', async () => {
    const deaf = createServer(() => {});
    const rude = createPort((socket) => socket.destroy());
    const [slow, broken, nobody] = await Promise.all([portOf(deaf), portOf(rude), portOf(createPort(), 'closed')]);
    const failuresOf = async (port: string | number, path: string, o: Parameters<Session['request']>[1] = {}) => {
      const target = typeof port === 'string' ? port : `http://127.0.0.1:${port}`;
      const once_: Task = async (session) => {
        const { ok, status } = await session.request(path, { name: 'it', ...o });
        statuses.set(`${path} of ${target}`, ok ? `good ${status}` : `${status}`);
      };
      const report = await run({
        ...plan({ model: 'open', stages: at(20, 0.1), target, timeoutMs: 5_000 }),
        user: doing(once_),
      });
      return (of(report, 'it') ?? report.total).failures;
    };
    const check = ({ text }: { text: string }) => text === 'thank you';
    const statuses = new Map<string, string>();
    const seen = await Promise.all([
      failuresOf(slow, '/', { timeoutMs: 100 }),
      failuresOf(nobody, '/'),
      failuresOf(broken, '/'),
      failuresOf(shop.url, '/closed'),
      failuresOf(shop.url, '/wrong', { check }),
      failuresOf(shop.url, '/', { check }),
    ]);
    expect(seen, 'asked of: the deaf, nobody, the rude, the closed, the one who is sold out, a good one').toEqual([
      [['timeout', 2]],
      [['refused', 2]],
      [['network', 2]],
      [['status', 2]],
      [['assertion', 2]],
      [],
    ]);
    expect(Object.fromEntries(statuses), 'what the tasks were told').toEqual({
      [`/ of http://127.0.0.1:${slow}`]: '0',
      [`/ of http://127.0.0.1:${nobody}`]: '0',
      [`/ of http://127.0.0.1:${broken}`]: '0',
      [`/closed of ${shop.url}`]: '503',
      [`/wrong of ${shop.url}`]: '200',
      [`/ of ${shop.url}`]: 'good 200',
    });
  }, 20_000);

  test('a stall of the server is felt by everybody who was due in it, sent or not', async () => {
    // Four may be under way: those who are due later wait for their turn, and their waiting is the server's doing.
    const stages = at(100, 2);
    const answered = new Map<string, number>();
    const dated: Task = async (session) => {
      const name = `visit ${session.id}`;
      await session.request('/visit', { name });
      answered.set(name, performance.now());
    };
    const running = run({ ...plan({ model: 'open', stages, maxInFlight: 4 }), user: doing(dated) });
    await delay(100);
    await shop.stall(1_200);
    const report = await running;
    const { latency } = report.total;
    // About 120 of 200 were due in the stall, and waited from 1,200 ms down to 0; from the sending, 4 of 200 did.
    expect(latency?.mean ?? 0, `a stall of 1.2 s in two seconds of 200 arrivals: ${showing(report)}`).toBeGreaterThan(
      200,
    );
    expect(report.total.requests).toBe(200);
    // An answer's time, less how long it took and less when it was due, is the start of the run.
    // Who is still waiting for his turn when the stages end is never sent.
    const starts = Array.from({ length: 200 }, (_, index) => {
      const name = `visit ${index}`;
      const end = answered.get(name);
      return end === undefined ? [] : end - (of(report, name)?.latency?.max ?? 0) - dueAt(stages, index) * 1_000;
    }).flat();
    const drift = Math.min(...starts.slice(-50)) - Math.min(...starts.slice(0, 50));
    expect(Math.abs(drift), 'ms by which the last count from another moment than the first').toBeLessThan(0.7);
  });

  test('a run passes when its thresholds hold, fails when one is crossed, and its exit code says so', async () => {
    const stages = at(100, 0.2);
    const half: Task = async (session) =>
      void (await session.request(session.id % 2 ? '/visit' : '/closed', { name: 'it' }));
    const judged = async (thresholds: Plan['thresholds'], task = visit) => {
      const report = await run({ ...plan({ model: 'open', stages, thresholds: thresholds ?? [] }), user: doing(task) });
      return { verdict: report.verdict, code: exitCode(report) };
    };
    const [generous, strict, busy, idle, failing, pardoned] = await Promise.all([
      judged([
        { metric: 'p99', max: 60_000 },
        { metric: 'perSecond', min: 1 },
      ]),
      judged([
        { metric: 'p99', max: 60_000 },
        { metric: 'p50', max: 0.000_1 },
      ]),
      judged([{ metric: 'p99', max: 60_000, name: 'GET /visit' }]),
      judged([{ metric: 'perSecond', min: 1e6 }]),
      judged([], half),
      judged([{ metric: 'failureRatio', max: 0.6 }], half),
    ]);
    expect(generous).toEqual({ verdict: 'passed', code: 0 });
    expect(strict, 'p50 above its bound').toEqual({ verdict: 'failed', code: 1 });
    expect(busy).toEqual({ verdict: 'passed', code: 0 });
    expect(idle, 'less than a million a second').toEqual({ verdict: 'failed', code: 1 });
    expect(failing, 'every other answer a 503, and no threshold on failures').toEqual({ verdict: 'failed', code: 1 });
    expect(pardoned).toEqual({ verdict: 'passed', code: 0 });
    const nobody = await run({ ...plan({ stages: at(0, 0.05) }), user: doing(visit) });
    expect([nobody.verdict, exitCode(nobody)], 'not one request was made').toEqual(['refused', 2]);
  });

  test('a generator that is itself the bottleneck refuses its verdict', async () => {
    const burns: Task = async (session) => {
      for (const end = performance.now() + 60; performance.now() < end; );
      await session.request('/visit');
    };
    const stages = at(4, 0.4);
    const limits = { maxUtilization: 0.7, thresholds: [{ metric: 'p99', max: 60_000 } as const] };
    const busy = await run({ ...plan({ stages, ...limits }), user: doing(burns) });
    expect([busy.verdict, exitCode(busy)], showing(busy)).toEqual(['refused', 2]);
    expect(busy.generator.utilization, 'its event loop was busy').toBeGreaterThan(0.7);
    // On a machine that others keep busy it may well be late, but not each time.
    const calm = () =>
      run({
        ...plan({ stages: at(1, 0.4), ...limits }),
        user: user({ wait: between(0.1, 0.1), tasks: [[1, visit]] }),
      });
    await until(async () => (await calm()).verdict === 'passed', { what: 'four calm visits', timeoutMs: 20_000 });
  }, 30_000);

  test('a generator that stood still does not say that the target did', async () => {
    vi.stubEnv('LAB_FATES', 'stops');
    const thresholds = [{ metric: 'p99', max: 60_000 } as const];
    const running = runWorkers({
      ...plan({ model: 'open', stages: at(50, 1), maxUtilization: 0.99, thresholds }),
      workers: 1,
      script: SCRIPT,
      silentMs: 20_000,
    });
    vi.unstubAllEnvs();
    const report = await running;
    expect([report.verdict, report.generator.missing], showing(report)).toEqual(['refused', []]);
    expect(report.reasons.join(), 'it was stopped for 1.5 s').toContain('a generator was busy');
  }, 30_000);

  test("a dead worker's share is named as missing, and what it had measured counts", async () => {
    const lose = async (fates: string, seconds: number, silentMs: number) => {
      vi.stubEnv('LAB_FATES', fates);
      const workers = fates.split(',').length;
      const report = await runWorkers({ ...plan({ stages: at(workers, seconds) }), workers, script: SCRIPT, silentMs });
      vi.unstubAllEnvs();
      expect(report.verdict, showing(report)).toBe('refused');
      const missing = report.generator.missing.toSorted((a, b) => a.index - b.index);
      for (const { reason } of missing) expect(report.reasons.join(), 'the verdict says so').toContain(reason);
      return { report, lost: missing.map(({ index, of: all, reason }) => `${index} of ${all}: ${reason}`) };
    };
    const dead = await lose('killed,leaves', 0.3, 60_000);
    expect(dead.lost, showing(dead.report)).toEqual(['0 of 2: SIGKILL', '1 of 2: exit code 0']);
    let { report, lost } = await lose('lives,hangs', 1, 1_000);
    // On a machine that is busy enough, the one that lives may be silent for a while, too.
    for (const silentMs of [6_000, 24_000])
      if (lost.length === 2) ({ report, lost } = await lose('lives,hangs', 1, silentMs));
    expect(lost, showing(report)).toEqual(['1 of 2: silent']);
    expect(report.total.requests, 'the other went on').toBeGreaterThan(0);
  }, 90_000);

  test('several worker processes together make the load of one', async () => {
    const target = `http://127.0.0.1:${await portOf(createServer((_, response) => response.end()))}`;
    const stop = new AbortController();
    const onPoint = ({ users }: Point) => void (users >= 3 && stop.abort());
    const three = plan({ stages: at(3, 60), everyMs: 100, target, signal: stop.signal, onPoint });
    const closed = runWorkers({ ...three, workers: 2, script: SCRIPT });
    const before = await shop.served();
    const report = await runWorkers({ ...plan({ model: 'open', stages: at(101, 0.6) }), workers: 2, script: SCRIPT });
    expect([report.total.requests, report.rows.map(({ name }) => name), report.verdict], showing(report)).toEqual([
      61,
      ['visit'],
      'passed',
    ]);
    expect((await shop.served()) - before, 'what the shop has counted').toBe(61);
    expect(
      report.points.reduce((sum, point) => sum + point.requests, 0),
      'in all stretches together',
    ).toBe(61);
    expect(report.generator).toEqual({ workers: 2, utilization: expect.any(Number), missing: [] });
    expect((await closed).users.most, 'users of two workers, of three that are wanted').toBe(3);
  }, 30_000);

  test("a point's rate is that of the time in which its answers came", async () => {
    const own = plan({ stages: at(1, 60) });
    const recorder = new Recorder(own, settingsOf(own), steps, 2);
    const stats = new Stats();
    for (let answer = 0; answer < 100; answer++) stats.record('GET /', 5);
    const series = stats.take();
    const delta = { users: 1, turnedAway: 0, unfinished: 0, utilization: 0.1, ms: 500, lateMs: 0 };
    // Two workers report half a second each, and the next tick comes at once.
    for (const worker of [0, 1]) recorder.add({ ...delta, series }, worker);
    const { points } = await recorder.report();
    expect(
      points.map(({ requests, perSecond }) => [requests, perSecond]),
      '200 answers in half a second',
    ).toEqual([[200, 400]]);
  });

  test('workers die with their parent, however it dies', async () => {
    const parent = spawn(process.execPath, [fileURLToPath(new URL('./parent.ts', import.meta.url)), shop.url], {
      env: { ...process.env, LAB_FATES: 'told' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let said = '';
    parent.stdout.on('data', (text) => {
      said += text;
    });
    const pids = await until(() => /(\d+)\n(\d+)\n/.exec(said)?.slice(1).map(Number), {
      what: 'two workers',
      timeoutMs: 20_000,
    });
    parent.kill('SIGKILL');
    const lives = (pid: number) => {
      try {
        return process.kill(pid, 0);
      } catch {
        return false;
      }
    };
    await until(() => !pids.some(lives), { what: 'the end of both workers', timeoutMs: 20_000 });
  }, 45_000);

  test('a user whose onStart fails does not begin, and nobody takes the place', async () => {
    let logins = 0;
    const visitors = new Set<number>();
    const customer = user({
      wait: between(0.01, 0.01),
      onStart: async (session) => {
        logins++;
        if (session.id === 1) throw new Error('no such account');
        const { ok } = await session.request(session.id === 2 ? '/closed' : '/login', {
          method: 'POST',
          body: { id: session.id },
        });
        if (ok) session.headers['authorization'] = `token ${session.id}`;
      },
      tasks: [[1, async (session) => void visitors.add(session.id)]],
    });
    const stop = new AbortController();
    const running = run({ ...plan({ stages: at(4, 60), signal: stop.signal }), user: customer });
    await until(() => visitors.size > 1, { what: 'two who visit' }).finally(() => stop.abort());
    const report = await running;
    expect([logins, [...visitors].sort(), report.users.turnedAway], showing(report)).toEqual([4, [0, 3], 2]);
    expect(of(report, '(task)')?.failures, 'the one who threw').toEqual([['script', 1]]);
  }, 20_000);

  test('whoever is stopped ends what is under way and begins nothing more', async () => {
    const stop = new AbortController();
    const answered = new Set<number>();
    const inside = new Set<number>();
    let stopped = 0;
    const asks: Task = async (session) => {
      if (stop.signal.aborted) stopped++;
      const { ok } = await session.request('/stall?ms=1');
      // With all of them under way.
      if (inside.add(session.id).size === 10) stop.abort();
      await delay(100);
      if (ok) answered.add(session.id);
    };
    for (const model of ['closed', 'open'] as const) {
      answered.clear();
      const running = run({ ...plan({ model, stages: at(10, 60) }), signal: stop.signal, user: doing(asks) });
      const report = await running;
      expect([report.users.unfinished, report.verdict], showing(report)).toEqual([
        0,
        model === 'closed' ? 'passed' : 'refused',
      ]);
      expect([answered.size, report.seconds < 30], 'stopped at once, the second had not begun').toEqual([
        model === 'closed' ? 10 : 0,
        true,
      ]);
    }
    expect(stopped, 'tasks begun after the stop').toBe(0);
    expect(getEventListeners(stop.signal, 'abort'), 'nothing left on the signal').toEqual([]);
  });

  test('a task that does not end is given up after the drain, and the verdict refused', async () => {
    const report = await run({
      ...plan({ stages: at(2, 0.1), drainMs: 50 }),
      user: doing(() => new Promise(() => {})),
    });
    expect([report.users.unfinished, report.verdict], showing(report)).toEqual([2, 'refused']);
    let asked = 0;
    const insisting: Task = async (session) => {
      for (;;) {
        asked++;
        await session.request('/visit');
      }
    };
    const insisted = await run({ ...plan({ stages: at(1, 0.1), drainMs: 50 }), user: doing(insisting) });
    expect(insisted.verdict, showing(insisted)).toBe('refused');
    const then = asked;
    await delay(100);
    expect(asked - then, 'requests after the end, each of which fails at once').toBeLessThanOrEqual(1);
  });

  test('what a task leaves on its signal goes when its user does', async () => {
    const stop = new AbortController();
    const signals: AbortSignal[] = [];
    const running = run({
      ...plan({ model: 'open', stages: at(40, 60), signal: stop.signal }),
      user: doing(async ({ signal }) => {
        signals.push(signal);
        if (signals.length > 3) await once(signal, 'abort');
      }),
    });
    await until(() => signals.length > 5, { what: 'six arrivals' }).finally(() => stop.abort());
    const report = await running;
    expect(report.users.unfinished, 'those who waited for it heard of the stop').toBe(0);
    expect(new Set(signals).size, 'each a signal of his own').toBe(signals.length);
  });

  test('arrivals that never had their turn are counted as dropped, and the run fails', async () => {
    const deaf = await portOf(createServer(() => {}));
    const asked = async (stages: Stage[]) => {
      const target = `http://127.0.0.1:${deaf}`;
      const own = plan({ model: 'open', stages, maxInFlight: 3, timeoutMs: 200, target });
      const report = await run({ ...own, user: doing(visit) });
      const [dropped, timeout] = [of(report, '(never sent)')?.failed ?? 0, of(report, 'GET /visit')?.failed ?? 0];
      expect([dropped + timeout, timeout >= 3, report.verdict], showing(report)).toEqual([30, true, 'failed']);
    };
    await Promise.all([asked(at(100, 0.3)), asked([{ seconds: 0.3, to: 200 }])]);
  });

  test('errors that come fast neither flatter the percentiles nor count as throughput', async () => {
    const server = createServer((request, response) => {
      if (request.url === '/error') response.writeHead(500).end();
      else setTimeout(() => response.end(), 60);
    });
    const target = `http://127.0.0.1:${await portOf(server)}`;
    const mixed: Task = async (session) => void (await session.request(session.id % 4 === 0 ? '/slow' : '/error'));
    const report = await run({ ...plan({ model: 'open', stages: at(200, 0.2), target }), user: doing(mixed) });
    expect([report.total.requests, report.total.failed], showing(report)).toEqual([40, 30]);
    expect(report.total.latency?.p50 ?? 0, showing(report)).toBeGreaterThan(55);
    expect(Math.round(report.total.perSecond * report.seconds), 'good answers').toBe(10);
    expect(of(report, 'GET /error')?.latency, 'of errors only there is no percentile').toBeUndefined();
  });

  test('a task that throws, an answer without end and a request that cannot be sent are counted by kind', async () => {
    const server = createServer((_, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(2 ** 18)));
      };
      response.on('drain', more);
      more();
    });
    const target = `http://127.0.0.1:${await portOf(server)}`;
    const large = createServer(({ url }, response) => response.end(Buffer.alloc(Number(url?.slice(1)), 'x')));
    const [most, more] = [16 * 2 ** 20, 16 * 2 ** 20 + 1];
    const served = { target: `http://127.0.0.1:${await portOf(large)}` };
    const kindOf = async (task: Task, own: Partial<Plan> = {}) => {
      const report = await run({ ...plan({ model: 'open', stages: at(20, 0.05) }), ...own, user: doing(task) });
      return report.total.failures;
    };
    const expecting: Task = async (session) =>
      expects((await session.request('/wrong')).text === 'thank you', 'thanked');
    const throwing =
      (check: () => unknown): Task =>
      async (session) =>
        void (await session.request('/', { check }));
    const unsent =
      (path: string, o = {}): Task =>
      async (session) =>
        void (await session.request(path, o));
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    const fails = () => {
      throw new Error('no');
    };
    const seen = await Promise.all([
      kindOf(fails),
      kindOf(expecting),
      kindOf(throwing(fails)),
      kindOf(throwing(() => false)),
      kindOf(throwing(() => undefined)),
      kindOf(throwing(async () => false)),
      kindOf(throwing(async () => fails())),
      kindOf(unsent('http://elsewhere/')),
      kindOf(unsent('/a b\r\nhost: elsewhere')),
      kindOf(unsent('/', { method: 'POST', body: cyclic })),
      kindOf(unsent('/'), { target }),
      kindOf(unsent(`/${most}`), served),
      kindOf(unsent(`/${more}`), served),
      kindOf(async (session) => void (await session.request('/', { timeoutMs: Number.NaN }))),
    ]);
    expect(seen.map((failures) => failures.map(([failure]) => failure).join())).toEqual([
      'script',
      'assertion',
      'assertion',
      'assertion',
      '',
      'assertion',
      'assertion',
      'script',
      'script',
      'script',
      'network',
      '',
      'network',
      'script',
    ]);
  }, 20_000);

  test('a header has one value, and an option that is undefined is as good as left out', async () => {
    const seen: string[] = [];
    const server = createServer(({ rawHeaders }, response) => {
      seen.push(rawHeaders.filter((_, index) => /type|auth/i.test(rawHeaders[index - (index % 2)] ?? '')).join(' '));
      response.end();
    });
    const target = `http://127.0.0.1:${await portOf(server)}`;
    const left: object = { timeoutMs: undefined, name: undefined, check: undefined };
    const patches: Task = async (session) => {
      session.headers['Authorization'] = 'of the session';
      const headers = { 'Content-Type': 'application/merge-patch+json', authorization: 'of the request' };
      await session.request('/', { method: 'PATCH', body: {}, headers, ...left });
    };
    const report = await run({ ...plan({ model: 'open', stages: at(20, 0.05), target }), user: doing(patches) });
    expect(seen, showing(report)).toEqual(['content-type application/merge-patch+json authorization of the request']);
    expect(report.rows.map(({ name, failed }) => [name, failed])).toEqual([['PATCH /', 0]]);
  });

  test('a user who neither waits nor asks does not keep the others from their turn', async () => {
    const stop = new AbortController();
    let [turns, answers] = [0, 0];
    const running = run({
      ...plan({ stages: at(3, 60), signal: stop.signal }),
      user: doing(async (session) => {
        if (session.id === 0) turns++;
        else if (session.id === 1) while (!(await session.request('has no slash')).ok && !session.signal.aborted);
        else if ((await session.request('/visit')).ok) answers++;
      }),
    });
    const what = 'the turns of one and the answers of the other';
    await until(() => turns > 10 && answers > 3, { what }).finally(() => stop.abort());
    await running;
  }, 20_000);

  test('the same seed makes the same choices', async () => {
    const choices = async (seed: number) => {
      const drawn: string[] = [];
      const [a, b] = ['a', 'b'].map(
        (name): Task =>
          (session) =>
            void drawn.push(`${session.id}${name}${session.random()}`),
      );
      const report = await run({
        ...plan({ model: 'open', stages: at(400, 0.25), seed }),
        user: doing(a ?? visit, b ?? visit),
      });
      return { drawn: drawn.sort(), seed: report.seed, firsts: drawn.filter((it) => it.includes('a')).length };
    };
    const [one, again, other] = await Promise.all([choices(7), choices(7), choices(8)]);
    expect(again).toEqual(one);
    expect(one.seed).toBe(7);
    expect(other.drawn).not.toEqual(one.drawn);
    expect(
      chiSquared([one.firsts, 100 - one.firsts], [50, 50]),
      `${one.firsts} of 100 arrivals drew the first task`,
    ).toBeLessThan(15);
  });

  test('many requests under many names take no more memory than two hundred', async () => {
    const stats = new Stats();
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc');
    const size = () => {
      collect();
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      return (heapUsed + arrayBuffers) / 2 ** 20;
    };
    for (let index = 0; index < 1_000; index++) stats.record(`GET /item/${index}`, 5);
    const early = size();
    for (let index = 0; index < 100_000; index++) stats.record(`GET /item/${index}`, index % 1_000);
    expect(size() - early, 'MB').toBeLessThan(4);
    const rows = stats.toJSON();
    expect([rows.length, rows.at(-1)?.name]).toEqual([201, '(other names)']);
    expect(
      rows.reduce((sum, { ok }) => sum + ok, 0),
      'none is lost',
    ).toBe(101_000);
    expect(() => new Histogram().record(Number.NaN)).toThrow(RangeError);
    expect(() => new Histogram().record(-1)).toThrow(RangeError);
  });

  test('a machine that is not this one is refused before anything is sent, unless the plan names it', async () => {
    const foreign = [
      'http://example.com',
      'http://192.168.0.7',
      'http://0.0.0.0:80',
      'http://127.0.0.1.example.com',
      'http://127.0.0.1@example.com',
      'http://[::ffff:10.0.0.1]',
      'http://localhost.example.com',
      'https://10.1',
      'http://2915189091',
    ];
    let begun = 0;
    const counts: Task = () => void begun++;
    for (const target of foreign) {
      const error = await run({ ...plan({ stages: at(1, 0.05), target }), user: doing(counts) }).catch(
        (reason: unknown) => reason,
      );
      const refused = error instanceof RemoteTargetError || (target.includes('@') && error instanceof InvalidPlanError);
      expect(refused, `${target}: ${error}`).toBe(true);
      await expect(runWorkers({ ...plan({ stages: at(1, 1), target }), workers: 1, script: SCRIPT })).rejects.toThrow();
    }
    expect(begun).toBe(0);
    const part = { target: 'http://example.com', allowHosts: JSON.parse('"test.example.com"') };
    await expect(run({ ...plan({ stages: at(1, 0.05), ...part }), user: doing(counts) })).rejects.toThrow(
      RemoteTargetError,
    );
    const port = new URL(shop.url).port;
    for (const target of [
      `http://localhost:${port}`,
      `http://2130706433:${port}`,
      'http://[::1]:1',
      'http://127.9.9.9:1',
      'http://name.invalid',
    ]) {
      await run({ ...plan({ stages: at(10, 0.05), target, allowHosts: ['name.invalid'] }), user: doing(counts) });
    }
    expect(begun).toBeGreaterThanOrEqual(5);
  });

  test('a plan that no run can be made from is refused, with the value that is wrong', async () => {
    const stages = at(1, 0.05);
    const wrong: [Partial<Plan>, string][] = [
      [{ target: 'shop' }, 'shop'],
      [{ target: 'ftp://127.0.0.1' }, 'ftp:'],
      [{ target: `${shop.url}/path` }, '/path'],
      [{ target: `${shop.url}/?q` }, '/?q'],
      [{ model: JSON.parse('"half"') }, 'half'],
      [{ stages: [] }, '0'],
      [{ stages: JSON.parse('"soon"') }, 'soon'],
      [{ stages: [{ seconds: 0, to: 5 }] }, '0'],
      [{ stages: [{ seconds: -1, to: 5 }] }, '-1'],
      [{ stages: [{ seconds: 1, to: Number.NaN }] }, 'NaN'],
      [{ stages: [{ seconds: 1e9, to: 1 }] }, '1000000000'],
      [
        {
          stages: [
            { seconds: 2e6, to: 1 },
            { seconds: 2e6, to: 1 },
          ],
        },
        '4000000',
      ],
      [{ timeoutMs: 0 }, '0'],
      [{ timeoutMs: 2 ** 31 }, '2147483648'],
      [{ drainMs: -1 }, '-1'],
      [{ maxInFlight: 0 }, '0'],
      [{ maxUtilization: 1.5 }, '1.5'],
      [{ seed: JSON.parse('"7"') }, '7'],
      [{ thresholds: [{ metric: JSON.parse('"p98"'), max: 1 }] }, 'p98'],
      [{ thresholds: [{ metric: 'p99' }] }, 'p99'],
      [{ thresholds: [{ metric: 'p99', max: Number.NaN }] }, 'NaN'],
    ];
    for (const [own, value] of wrong) {
      const error = await run({ ...plan({ stages }), ...own, user: doing(visit) }).catch((reason: unknown) => reason);
      expect(error instanceof InvalidPlanError, `${JSON.stringify(own)}: ${error}`).toBe(true);
      expect(String(error)).toContain(value);
    }
    for (const workers of [0, 1.5, 1_000]) {
      await expect(runWorkers({ ...plan({ stages }), workers, script: SCRIPT })).rejects.toThrow(InvalidPlanError);
    }
    await expect(runWorkers({ ...plan({ stages }), workers: 1, script: SCRIPT, silentMs: 999 })).rejects.toThrow(
      InvalidPlanError,
    );
    const long = { ...plan({ stages: at(1, 3_600), signal: AbortSignal.abort() }), workers: 1, script: SCRIPT };
    const hour = await runWorkers(long);
    expect(
      hour.reasons,
      'the default of silentMs will do for an hour, and who is stopped before does not begin',
    ).toEqual(['not one request was made']);
    await expect(work(doing(visit))).rejects.toThrow();
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => user({ wait: between(0, 1), tasks: [[weight, visit]] })).toThrow(InvalidPlanError);
    }
    expect(() => user({ wait: between(0, 1), tasks: [] })).toThrow(InvalidPlanError);
    for (const [min, max] of [
      [-1, 1],
      [2, 1],
      [Number.NaN, 1],
      [0, Number.POSITIVE_INFINITY],
    ] as const) {
      expect(() => between(min, max)).toThrow(InvalidPlanError);
    }
  }, 30_000);

  test('the least and the most that a plan may say make a run', async () => {
    const longest = 2 ** 31 - 1;
    const bounds: Partial<Plan>[] = [
      { stages: [{ seconds: longest / 1_000, to: 1e6 }] },
      { stages: [{ seconds: 0.001, to: 0 }] },
      { thresholds: [{ metric: 'failureRatio', min: 0, max: 0 }] },
      { thresholds: [{ metric: 'p99', max: Number.MAX_VALUE }] },
      { timeoutMs: 1, drainMs: 0, maxInFlight: 1, maxUtilization: 0, seed: 0, everyMs: 50 },
      { timeoutMs: longest, drainMs: longest, maxInFlight: 1e6, seed: 2 ** 32, everyMs: longest },
    ];
    for (const own of bounds) {
      // Stopped before it begins: that there could be a run is what is asked.
      const asked = { ...plan({ stages: at(1, 0.05), signal: AbortSignal.abort() }), ...own, user: doing(visit) };
      expect((await run(asked)).reasons, JSON.stringify(own)).toContain('not one request was made');
    }
  });

  test('a run of which nobody has reported has no point', async () => {
    vi.stubEnv('LAB_FATES', 'leaves');
    const running = runWorkers({ ...plan({ stages: at(1, 60), everyMs: 100 }), workers: 1, script: SCRIPT });
    vi.unstubAllEnvs();
    const report = await running;
    const { verdict, points, total } = report;
    expect([verdict, points, total.requests], showing(report)).toEqual(['refused', [], 0]);
  }, 30_000);

  test('a threshold on what was never measured is not kept', async () => {
    const judged = async (threshold: Threshold) => {
      const report = await run({
        ...plan({ model: 'open', stages: at(20, 0.1), thresholds: [threshold] }),
        user: doing(visit),
      });
      return [report.verdict, ...report.reasons];
    };
    const named = (name: string) => judged({ metric: 'p99', max: 60_000, name });
    expect(await Promise.all([named('GET /visit'), named('GET /vist')])).toEqual([
      ['passed'],
      ['failed', 'p99 of GET /vist was not measured'],
    ]);
  });
});

/** The port of a server that listens on 127.0.0.1 until the test is over; or of one that has listened, and is `closed`. */
async function portOf(server: ReturnType<typeof createPort>, then?: 'closed'): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const stop = () => {
    if ('closeAllConnections' in server && typeof server.closeAllConnections === 'function')
      server.closeAllConnections();
    server.close();
  };
  if (then === 'closed') stop();
  else onTestFinished(stop);
  return typeof address === 'object' ? (address?.port ?? 0) : 0;
}
