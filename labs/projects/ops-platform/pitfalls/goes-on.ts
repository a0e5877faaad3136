// Flaw: a step is executed when those that it needs have ended, however they ended.
// Seen in: `a; b` where `a && b` was meant; CI jobs with `if: always()`
// Caught by: a step begins when all that it needs are done, and what needs a failed one is skipped
export * from '../src/index.ts';

import { Machine as Sound, type Step, type StepReport } from '../src/index.ts';

export class Machine extends Sound {
  protected override async graph(
    steps: readonly Step[],
    execute: (step: Step) => Promise<StepReport>,
  ): Promise<readonly StepReport[]> {
    const real = new Map<string, StepReport>();
    await super.graph(steps, async (step) => {
      const report = await execute(step);
      real.set(step.name, report);
      return { ...report, state: 'ok' };
    });
    return steps.flatMap(({ name }) => real.get(name) ?? []);
  }
}
