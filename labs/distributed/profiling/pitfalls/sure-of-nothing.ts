// Flaw: the textbook's ±1.96·√(p(1−p)/n): what no look has found is said to be certainly not there.
// Seen in: https://github.com/microsoft/haste/issues/116
// Caught by: a share says between what the truth lies: few samples say little, and none found is not none there
export * from '../src/index.ts';

export function shareInterval(hits: number, samples: number): [low: number, high: number] {
  if (samples === 0) return [0, 1];
  const share = hits / samples;
  const reach = 1.96 * Math.sqrt((share * (1 - share)) / samples);
  return [share - reach, share + reach];
}
