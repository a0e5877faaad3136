// Flaw: everybody thinks for the mean, so those who come together come back together, in waves.
// Seen in: https://github.com/locustio/locust/issues/1042
// Caught by: think times are spread evenly between their bounds
import type { Wait } from '../src/index.ts';

export * from '../src/index.ts';

export const between =
  (min: number, max: number): Wait =>
  () =>
    (min + max) / 2;
