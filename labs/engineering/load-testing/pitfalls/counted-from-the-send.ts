// Flaw: an answer's time counts from when its request was sent, and those who had to wait for their turn didn't wait at all.
// Seen in: https://github.com/rakyll/boom/issues/100
// Caught by: a stall of the server is felt by everybody who was due in it, sent or not
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';

export * from '../src/index.ts';

export const run = runWith({ ...steps, countedFrom: (_, sent) => sent });
