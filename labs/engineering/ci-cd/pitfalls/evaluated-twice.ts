// Flaw: the text is expanded until nothing is left to expand, so a title that names a secret gets it.
// Seen in: https://github.com/open-workflow-specification/specification/pull/1171
// Caught by: a value is put into a script once, and what it holds is not evaluated again
import { type Rules, rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const interpolate: Rules['interpolate'] = (template, scope) => {
  const text = rules.interpolate(template, scope);
  return text === template ? text : interpolate(text, scope);
};

export const runWorkflow = (options: RunOptions) => run(options, { ...rules, interpolate });
