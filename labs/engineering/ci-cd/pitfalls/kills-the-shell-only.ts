// Flaw: the time limit ends the shell, and what the shell has begun goes on.
// Seen in: https://github.com/xalgorix/xalgorix/pull/119
// Caught by: when its time is up a step ends with all that it has begun
import { type Rules, rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const signalGroup: Rules['signalGroup'] = (leader, signal) => void process.kill(leader, signal);

export const runWorkflow = (options: RunOptions) => run(options, { ...rules, signalGroup });
