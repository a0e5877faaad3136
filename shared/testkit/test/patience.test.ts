import { expect, onTestFinished, test } from 'vitest';
import { measurePatience, patient } from '../src/patience.ts';
import { until } from '../src/until.ts';

test('on a machine that is slow to start, laws and demos wait longer, and not for ever', async () => {
  onTestFinished(() => measurePatience(0));
  const waits = [0, 999, 1_000, 1_750, 60_000].map((startedMs) => {
    measurePatience(startedMs);
    return patient(5_000);
  });
  expect(waits).toEqual([5_000, 5_000, 10_000, 17_500, 30_000]);
  measurePatience(1_500);
  await expect(until(() => false, { timeoutMs: 20 })).rejects.toThrow('waited 60 ms for');
});
