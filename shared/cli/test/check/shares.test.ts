import { expect, test } from 'vitest';
import { Shares } from '../../src/check/shares.ts';

test('what passes is shared among those at work, and the shares add up to it', () => {
  let now = 5;
  const shares = new Shares(() => now);
  const first = shares.start();
  now += 10;
  const second = shares.start();
  now += 20;
  expect(first()).toBe(20);
  now += 4;
  expect(second()).toBe(14);
  now += 100;
  const third = shares.start();
  now += 3;
  expect(third()).toBe(3);
});
