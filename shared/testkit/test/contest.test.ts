import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { consensus, contest, ratio } from '../src/contest.ts';

test('a contest ranks the quicker call first, by the ratio of their rounds', async () => {
  const [quick, slow] = await contest(
    { quick: () => delay(1), slow: () => delay(12) },
    { rounds: 3, turnMs: 60, workers: 2 },
  );
  if (!quick || !slow) throw new Error('two contestants, two standings');
  expect(ratio(quick, slow)).toBeGreaterThan(1);
  expect(quick.rounds).toHaveLength(3);
  expect(quick.spread[0]).toBeLessThanOrEqual(quick.perSecond);
  expect(quick.spread[1]).toBeGreaterThanOrEqual(quick.perSecond);
  expect(slow.p50).toBeLessThanOrEqual(slow.p99);
});

test('a ratio is claimed only where all rounds but the best and the worst lie on one side of the floor', () => {
  const rounds = consensus([0.2, 1.1, 1.3, 1.2, 9]);
  expect(rounds).toMatchObject({ median: 1.2, low: 1.1, high: 1.3, text: '1.20 ×, the middle rounds 1.10–1.30' });
  expect([rounds.reaches(1), rounds.reaches(1.2), rounds.reaches(2)]).toEqual([true, undefined, false]);
  expect(() => consensus([1, 2])).toThrow(RangeError);
});
