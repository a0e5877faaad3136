import { outcome, random } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import {
  entanglements,
  InvalidArgumentError,
  inRandomOrder,
  ReportError,
  type RunInOrder,
  rate,
  readReport,
  verdictOf,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

const dice = () => {
  const it = random(SEED);
  return () => it.next();
};

describe('what a run is worth', () => {
  /** Tests in one world: each is given those that ran before it, and says whether it passes. */
  const world = (tests: Readonly<Record<string, (before: readonly string[]) => boolean>>) => {
    const runs: (readonly string[])[] = [];
    const run: RunInOrder = async (order) => {
      runs.push(order);
      return new Set(order.filter((name, place) => !tests[name]?.(order.slice(0, place))));
    };
    return { names: Object.keys(tests), run, runs };
  };
  const passes = () => true;
  const crowd = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, passes]));
  const search = ({ names, run }: ReturnType<typeof world>) => entanglements(names, run, { random: dice() });

  // ── core ──

  test('a test that passed on a retry is flaky, and never passed', () => {
    expect(verdictOf(['passed'])).toBe('passed');
    expect(verdictOf(['failed', 'passed'])).toBe('flaky');
    expect(verdictOf(['timedOut', 'failed', 'passed'])).toBe('flaky');
    expect(verdictOf(['failed', 'failed'])).toBe('failed');
    expect(verdictOf(['passed', 'failed']), 'of two repetitions the second').toBe('failed');
  });

  test('a test that fails only behind another, or only without it, is named with that other', async () => {
    const suffers = world({
      ...crowd(5),
      orders: passes,
      ships: passes,
      stock: (before) => !before.includes('orders'),
      last: passes,
    });
    expect(await search(suffers)).toEqual([{ test: 'stock', how: 'suffers', other: 'orders' }]);
    const needs = world({
      ...crowd(3),
      'signs up': passes,
      'signs in': (before) => before.includes('signs up'),
      last: passes,
    });
    expect(await search(needs)).toEqual([{ test: 'signs in', how: 'needs', other: 'signs up' }]);
    const clean = world(crowd(8));
    expect(await search(clean)).toEqual([]);
  });

  // ── hardening ──

  test('a test that did not run has passed nothing, one that was cut off neither, and one may be expected to fail', () => {
    expect(verdictOf([])).toBe('skipped');
    expect(verdictOf(['skipped'])).toBe('skipped');
    expect(verdictOf(['interrupted'])).toBe('failed');
    expect(verdictOf(['failed'], 'failed')).toBe('passed');
    expect(verdictOf(['passed'], 'failed')).toBe('failed');
    expect(verdictOf(['passed', 'failed'], 'failed')).toBe('flaky');
  });

  test('a test that fails everywhere is told from one that fails now and then, and two that spoil it only together are both named', async () => {
    const alone = world({ ...crowd(3), broken: () => false });
    expect(await search(alone)).toEqual([{ test: 'broken', how: 'alone' }]);
    const next = dice();
    let asked = 0;
    // Fails each third time, whatever was before.
    const unsteady = world({ ...crowd(3), unsteady: () => asked++ % 3 !== 1 });
    expect(
      (await entanglements(unsteady.names, unsteady.run, { random: next })).map(({ test, how }) => [test, how]),
    ).toEqual([['unsteady', 'unsteady']]);
    const both = world({ a: passes, b: passes, z: (before) => !(before.includes('a') && before.includes('b')) });
    expect(await search(both)).toEqual([{ test: 'z', how: 'suffers', other: 'a + b' }]);
  });

  test('the search for the other takes a number of runs that grows with the logarithm of the tests', async () => {
    const few = world({ ...crowd(8), victim: (before) => !before.includes('t3') });
    const many = world({ ...crowd(256), victim: (before) => !before.includes('t3') });
    await search(few);
    await search(many);
    // Five times a doubling, of which each costs two runs at most.
    expect(many.runs.length - few.runs.length, 'runs more for 256 tests than for 8').toBeLessThanOrEqual(10);
    const clean = world(crowd(256));
    await search(clean);
    expect(clean.runs.length, 'runs when nothing is wrong').toBe(5);
  });

  test('two tests of one name and shuffles without a number are refused, an abort ends the search, and what a run throws is thrown', async () => {
    expect((await outcome(entanglements(['a', 'a'], async () => new Set()))).error).toBeInstanceOf(
      InvalidArgumentError,
    );
    let orders = 0;
    const count = async () => {
      orders++;
      return new Set<string>();
    };
    for (const shuffles of [0, 1000]) await entanglements(['a'], count, { shuffles });
    expect(orders, 'two orders without a shuffle, and two with a thousand').toBe(2 + 1002);
    for (const shuffles of [-1, 0.5, 1001, Number.NaN, Number.POSITIVE_INFINITY])
      expect(
        (await outcome(entanglements(['a'], async () => new Set(), { shuffles }))).error,
        `${shuffles}`,
      ).toBeInstanceOf(InvalidArgumentError);
    const stop = new AbortController();
    const reason = new Error('enough');
    let runs = 0;
    const run = async () => {
      if (++runs === 2) stop.abort(reason);
      return new Set<string>();
    };
    const stopping = entanglements(['a', 'b'], run, { signal: stop.signal });
    expect((await outcome(stopping)).error).toBe(reason);
    expect(runs).toBe(2);
    const broken = new Error('the runner is gone');
    expect((await outcome(entanglements(['a'], () => Promise.reject(broken)))).error).toBe(broken);
  });

  test('a shuffle has each in it once, and each order is as likely as another', () => {
    const next = dice();
    const counts = new Map<string, number>();
    for (let n = 0; n < 6000; n++) {
      const order = inRandomOrder(['a', 'b', 'c'], next).join('');
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba']);
    for (const [order, count] of counts)
      expect(count, `${order}, of 6000`).toSatisfy((it: number) => it > 850 && it < 1150);
    expect(
      inRandomOrder(['a', 'b'], () => 1),
      'a random that can be 1',
    ).toHaveLength(2);
  });

  test('none of fifty still allows 5.8 %, and the bound holds for what it is about', () => {
    const percent = (failed: number, runs: number, confidence?: number) =>
      Number((100 * rate(failed, runs, confidence).atMost).toFixed(2));
    expect(percent(0, 50)).toBe(5.82);
    expect(percent(0, 299)).toBe(1);
    expect(percent(0, 50, 0.99)).toBe(8.8);
    // The tables of Clopper and Pearson, one-sided.
    expect([percent(1, 10), percent(5, 10), percent(10, 10), percent(1, 1)]).toEqual([39.42, 77.76, 100, 100]);
    expect(percent(0, 100_000), 'where 0.5 to the power of n is 0').toBe(0);
    expect(percent(50_000, 100_000)).toBe(50.26);
    expect(rate(3, 12)).toMatchObject({ failed: 3, runs: 12, share: 0.25 });
    const next = dice();
    let covered = 0;
    for (let n = 0; n < 500; n++) {
      let failed = 0;
      for (let run = 0; run < 40; run++) if (next() < 0.1) failed++;
      if (rate(failed, 40).atMost >= 0.1) covered++;
    }
    expect(covered / 500, 'how often the real share, 10 %, is below the bound').toBeGreaterThan(0.92);
  });

  test('a rate of nothing, or of more failures than runs, is refused', () => {
    for (const [failed, runs] of [
      [0, 0],
      [2, 1],
      [-1, 5],
      [0.5, 5],
      [0, 1e7],
      [0, Number.NaN],
    ] as const)
      expect(() => rate(failed, runs), `${failed} of ${runs}`).toThrow(InvalidArgumentError);
    for (const confidence of [0, 1, -1, Number.NaN])
      expect(() => rate(0, 5, confidence), `confidence ${confidence}`).toThrow(InvalidArgumentError);
  });

  test('a report is read with every level of its titles, its projects and its first failure', () => {
    const result = (status: string, message?: string) => ({
      status,
      errors: message === undefined ? [] : [{ message }],
    });
    const spec = (title: string, ...results: object[]) => ({
      title,
      tests: [{ expectedStatus: 'passed', projectName: 'chromium', results }],
    });
    const report = {
      suites: [
        {
          title: 'shop.spec.ts',
          file: 'shop.spec.ts',
          specs: [spec('opens', result('passed'))],
          suites: [
            {
              title: 'an order',
              specs: [spec('arrives', result('failed', '\u001b[31mError: late\u001b[39m\n  at …'), result('passed'))],
              suites: [{ title: 'twice', specs: [spec('is one')] }],
            },
          ],
        },
      ],
    };
    expect(readReport(report)).toEqual([
      { name: 'shop.spec.ts › opens › [chromium]', verdict: 'passed', attempts: ['passed'] },
      {
        name: 'shop.spec.ts › an order › arrives › [chromium]',
        verdict: 'flaky',
        attempts: ['failed', 'passed'],
        error: 'Error: late',
      },
      { name: 'shop.spec.ts › an order › twice › is one › [chromium]', verdict: 'skipped', attempts: [] },
    ]);
    expect(readReport({ suites: [] })).toEqual([]);
  });

  test('what is no report is a ReportError, not a run without failures', () => {
    for (const report of [
      undefined,
      null,
      [],
      'text',
      {},
      { suites: {} },
      { suites: [null] },
      { suites: [{ specs: [{}] }] },
      { suites: [], errors: [{ message: 'SyntaxError: a spec that does not load' }] },
    ])
      expect(() => readReport(report), JSON.stringify(report)).toThrow(ReportError);
  });
});
