// Flaw: the script runs without -e, so only its last command can make the step red.
// Seen in: https://github.com/HDFGroup/hermes/pull/25
// Caught by: a command that fails ends its step, and one within a pipe does where the step says shell: bash
import { rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const shell = (name: string | undefined, file: string) =>
  name === undefined ? ['bash', file] : rules.shell(name, file);

export const runWorkflow = (options: RunOptions) => run(options, { ...rules, shell });
