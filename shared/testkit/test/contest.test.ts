import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { contest, ratio } from '../src/contest.ts';

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
