// Flaw: a list of the names that are known to be dangerous, so the input, the branch and the second hand pass.
// Seen in: https://github.com/Amazon-Q-Developer/language-servers/pull/2861
// Caught by: a stranger's text in a script is found wherever it comes from, and is data in env
import { checkPolicy as check } from '../src/policy.ts';
import { type Rules, rules } from '../src/rules.ts';

export * from '../src/index.ts';

const foreignIn: Rules['foreignIn'] = (expression) =>
  expression.match(/github\.(?:event\.(?:pull_request|issue|comment)\.(?:title|body)|head_ref)/g) ?? [];

export const checkPolicy = (text: string) => check(text, { ...rules, foreignIn });
