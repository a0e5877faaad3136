import { expect, test } from 'vitest';
import { random } from '../src/index.ts';

const take = (seed: number): number[] => {
  const dice = random(seed);
  return Array.from({ length: 1000 }, () => dice.next());
};

test('one seed gives one sequence, another seed another', () => {
  expect(take(7)).toEqual(take(7));
  expect(take(7)).not.toEqual(take(8));
});

test('numbers lie in [0, 1) and fill it', () => {
  const drawn = take(1);
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...drawn)).toBeLessThan(1);
  for (const tenth of Array.from({ length: 10 }, (_, i) => i)) {
    expect(drawn.filter((x) => Math.floor(x * 10) === tenth).length, `in tenth ${tenth}`).toBeGreaterThan(50);
  }
});

test('int draws both of its bounds', () => {
  const dice = random(3);
  const drawn = new Set(Array.from({ length: 200 }, () => dice.int(2, 4)));
  expect([...drawn].sort()).toEqual([2, 3, 4]);
});

test('a shuffle keeps every element and leaves its argument alone', () => {
  const cards = [1, 2, 3, 4, 5, 6, 7, 8];
  const shuffled = random(5).shuffle(cards);
  expect(cards).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(shuffled).not.toEqual(cards);
  expect(shuffled.toSorted()).toEqual(cards);
});

test('nothing can be picked from an empty list', () => {
  expect(() => random(1).pick([])).toThrow(RangeError);
});
