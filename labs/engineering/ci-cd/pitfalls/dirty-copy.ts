// Flaw: the working folder is copied, so what nobody has committed is tested, and found to work.
// Seen in: https://github.com/maxheld83/ghactions/issues/282
// Caught by: what is not committed is not in the run
import { cp } from 'node:fs/promises';
import { rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const flawed = {
  ...rules,
  checkout: ({ top }: { top: string }, folder: string) => cp(top, folder, { recursive: true }),
};

export const runWorkflow = (options: RunOptions) => run(options, flawed);
