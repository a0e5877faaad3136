// Flaw: a run without a threshold on failures is green when every answer is an error, and so is one without a request.
// Seen in: https://github.com/owncloud/cdperf/pull/69
// Caught by: a run passes when its thresholds hold, fails when one is crossed, and its exit code says so
import { steps } from '../src/generator.ts';
import { runWith } from '../src/run.ts';
import { crossing } from '../src/verdict.ts';

export * from '../src/index.ts';

export const run = runWith({
  ...steps,
  judge: (evidence, thresholds) => {
    const reasons = thresholds.flatMap((threshold) => crossing(evidence, threshold));
    return { verdict: reasons.length > 0 ? 'failed' : 'passed', reasons };
  },
});
