// Flaw: a name with such a word anywhere is a secret, so TOKEN_TTL and PASSWORD_FILE are, and people switch the rule off.
// Seen in: https://github.com/moby/buildkit/issues/5775
// Caught by: a secret in ENV, ARG or the text is found, by its name or by its look, and what only sounds like one is not
import { rules as all, type DockerRule, lintDockerfile as reference } from '../src/index.ts';
import { each } from '../src/rules/rule.ts';

export * from '../src/index.ts';

const suspicious = (rule: DockerRule): DockerRule => ({
  ...rule,
  *check(file) {
    yield* rule.check(file);
    for (const { at } of each(file, 'ENV', 'ARG')) {
      if (/TOKEN|SECRET|PASSWORD/.test(at.toString())) yield { at, message: 'it sounds like a secret' };
    }
  },
});

export const rules: readonly DockerRule[] = all.map((rule) => (rule.id === 'CL1003' ? suspicious(rule) : rule));
export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });
