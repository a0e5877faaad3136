// Flaw: the library's own edges, 5 ms to 10 s: what was promised lies between two of them, and how many kept it is a guess.
// Seen in: https://github.com/slok/sloth/issues/506
// Caught by: the promise is the edge of a bucket, so that how many kept it is a count
export * from '../src/index.ts';

export function sloBuckets(_sloSeconds: number): number[] {
  return [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
}
