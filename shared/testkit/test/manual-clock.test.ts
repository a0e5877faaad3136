import { expect, test } from 'vitest';
import { ManualClock } from '../src/index.ts';

test('time stands still until it is advanced', async () => {
  const clock = new ManualClock();
  let awake = false;
  const sleeping = clock.sleep(1000).then(() => {
    awake = true;
  });
  await clock.advance(999);
  expect({ awake, now: clock.mono(), pending: clock.pending }).toEqual({ awake: false, now: 999, pending: 1 });
  await clock.advance(1);
  await sleeping;
  expect({ awake, now: clock.mono(), pending: clock.pending }).toEqual({ awake: true, now: 1000, pending: 0 });
});

test('sleepers wake in the order of their deadlines, each at its own instant', async () => {
  const clock = new ManualClock();
  const woken: string[] = [];
  for (const [name, ms] of [
    ['b', 20],
    ['a', 10],
    ['c', 30],
  ] as const) {
    void clock.sleep(ms).then(() => woken.push(`${name} at ${clock.mono()}`));
  }
  await clock.advance(100);
  expect(woken).toEqual(['a at 10', 'b at 20', 'c at 30']);
});

test('a loop that sleeps again wakes as often as fits into one advance', async () => {
  const clock = new ManualClock();
  const ticks: number[] = [];
  const ticking = (async () => {
    while (ticks.length < 5) {
      await clock.sleep(10);
      ticks.push(clock.mono());
    }
  })();
  await clock.advance(35);
  expect(ticks).toEqual([10, 20, 30]);
  await clock.advance(15);
  await ticking;
});

test('an aborted sleep rejects with the reason and is not pending', async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const sleeping = clock.sleep(10, stop.signal);
  stop.abort(new Error('enough'));
  await expect(sleeping).rejects.toThrow('enough');
  expect(clock.pending).toBe(0);
  await expect(clock.sleep(10, stop.signal)).rejects.toThrow('enough');
});
