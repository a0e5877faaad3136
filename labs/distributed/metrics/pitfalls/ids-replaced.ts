// Flaw: numbers are taken out of the value and it passes for bounded; whoever makes up words still makes a series of each.
// Seen in: https://github.com/artifact-keeper/artifact-keeper/issues/2220
// Caught by: a label keeps its first values, and each other one is other
export * from '../src/index.ts';

export function boundedLabel(_max: number): (value: string) => string {
  return (value) => value.replaceAll(/[0-9]+/g, ':id').slice(0, 128);
}
