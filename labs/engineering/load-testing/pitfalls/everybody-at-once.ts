// Flaw: a stage begins with the number that it shall end with: the cold caches and the empty pool meet all users at once.
// Seen in: https://github.com/aws-samples/eb-locustio-sample/issues/14
// Caught by: the number of users follows the stages, ramps included, to within one
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';
import { lengthOf, type levelAt as reference } from '../src/stages.ts';

export * from '../src/index.ts';

export const levelAt: typeof reference = (stages, at) =>
  stages.find((_, index) => at < lengthOf(stages.slice(0, index + 1)))?.to ?? 0;
export const run = runWith({ ...steps, levelAt });
