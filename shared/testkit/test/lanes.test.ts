import { expect, test } from 'vitest';
import { Lanes } from '../src/grader/lanes.ts';

test('who would only stand about lets the others pass, and has his turn when nobody else waits', async () => {
  const lanes = new Lanes(1);
  const order: string[] = [];
  let standing = true;
  const visit = async (name: string, isLater?: () => boolean): Promise<void> => {
    using _lane = await lanes.enter(isLater);
    order.push(name);
    await Promise.resolve();
  };
  const first = visit('first', () => standing);
  const others = [
    visit('starts', () => standing),
    visit('second'),
    visit('third'),
    visit('starts too', () => standing),
  ];
  await Promise.all([first, ...others]);
  expect(order).toEqual(['first', 'second', 'third', 'starts', 'starts too']);
  order.length = 0;
  standing = false;
  await Promise.all([visit('first'), visit('starts', () => standing), visit('second')]);
  expect(order).toEqual(['first', 'starts', 'second']);
});
