// Flaw: an arrival is due when the answer of the one before has come, so a slow server is asked less.
// Seen in: https://github.com/tideways/shopware6-benchmarking/issues/47
// Caught by: in the open model arrivals come when they are due, whether or not those before them have an answer
import { InvalidPlanError, run as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const run: typeof reference = (plan) => {
  if (plan.model !== 'open') return reference(plan);
  if (plan.maxInFlight !== undefined && plan.maxInFlight < 1) throw new InvalidPlanError('maxInFlight is 1 at least.');
  return reference({ ...plan, maxInFlight: 1 });
};
