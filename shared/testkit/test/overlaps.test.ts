import { expect, test } from 'vitest';
import { History, overlaps } from '../src/index.ts';

const names = (spans: Parameters<typeof overlaps>[0]) => overlaps(spans).map(([a, b]) => `${a.who}${b.who}`);

test('spans that only touch do not overlap', () => {
  expect(
    names([
      { who: 'A', from: 0, to: 10 },
      { who: 'B', from: 10, to: 20 },
    ]),
  ).toEqual([]);
});

test('every pair that shares an instant is found, the earlier first', () => {
  const spans = [
    { who: 'C', from: 8, to: 9 },
    { who: 'A', from: 0, to: 10 },
    { who: 'B', from: 5, to: 15 },
  ];
  expect(names(spans)).toEqual(['AB', 'AC', 'BC']);
});

test('different keys never clash', () => {
  expect(
    names([
      { who: 'A', key: 'x', from: 0, to: 10 },
      { who: 'B', key: 'y', from: 0, to: 10 },
    ]),
  ).toEqual([]);
});

test('a history reads as lines, with its milliseconds', () => {
  const history = new History<string | { who: string; got: number }>();
  history.record('A acquired');
  history.record({ who: 'B', got: 3 });
  expect(String(history).split('\n')).toEqual([
    expect.stringMatching(/^\d+ ms {2}A acquired$/),
    expect.stringMatching(/^\d+ ms {2}who=B got=3$/),
  ]);
});
