import { Generator, type Steps, steps } from './generator.ts';
import { type Plan, settingsOf } from './plan.ts';
import { Recorder, type Report } from './recorder.ts';
import type { User } from './user.ts';

/** `run`, with steps of one's own. */
export const runWith =
  (own: Steps) =>
  async (plan: Plan & { readonly user: User }): Promise<Report> => {
    const settings = settingsOf(plan);
    const generator = new Generator(plan.user, settings, { index: 0, of: 1 }, own);
    const recorder = new Recorder(plan, settings, own);
    const stop = () => generator.stop();
    plan.signal?.addEventListener('abort', stop);
    if (plan.signal?.aborted) stop();
    try {
      await generator.run((delta) => recorder.add(delta));
      return recorder.report();
    } finally {
      recorder.close();
      plan.signal?.removeEventListener('abort', stop);
    }
  };

/**
 * Loads the target from this process, and reports. What goes wrong on the way is counted, not thrown; the verdict is in
 * the report, and `process.exitCode = exitCode(report)` tells a shell.
 * @throws InvalidPlanError for what no run can be made from
 * @throws RemoteTargetError for a target that is neither this machine nor in `allowHosts`
 */
export const run = runWith(steps);
