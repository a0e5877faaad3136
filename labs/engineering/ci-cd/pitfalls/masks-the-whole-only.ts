// Flaw: a secret is masked where it stands as a whole, and a key of many lines is printed with a prefix before each.
// Seen in: https://github.com/hashicorp/vault-action/pull/208
// Caught by: no line of a secret is in what comes out
import { type Rules, rules } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';

export * from '../src/index.ts';

const mask: Rules['mask'] = (text, secrets) =>
  secrets.filter(Boolean).reduce((masked, secret) => masked.replaceAll(secret, '***'), text);

export const runWorkflow = (options: RunOptions) => run(options, { ...rules, mask });
