// Flaw: an action that can't be executed here counts as passed, the security scan too.
// Seen in: https://github.com/OctopusDeploy/Issues/issues/7880
// Caught by: an action is reported as not executed: it is no success, and nothing that needs its job runs
import { type Rules, rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const action: Rules['action'] = () => 'success';

export const runWorkflow = (options: RunOptions) => run(options, { ...rules, action });
