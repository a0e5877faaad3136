// Flaw: what begins with a bracket is taken for the JSON form; in single quotes it is a command for the shell.
// Seen in: https://github.com/moby/moby/issues/39199
// Caught by: the program itself is process 1: no shell form, no npm, no shell that does not exec
import { rules as all, type DockerRule, lintDockerfile as reference } from '../src/index.ts';
import { each } from '../src/rules/rule.ts';

export * from '../src/index.ts';

const hasty = (rule: DockerRule): DockerRule => ({
  ...rule,
  *check(file) {
    for (const { at } of each(file, 'CMD', 'ENTRYPOINT')) {
      if (!at.getArgumentsContent()?.startsWith('[')) yield { at, message: 'run by a shell' };
    }
  },
});

export const rules: readonly DockerRule[] = all.map((rule) => (rule.id === 'DL3025' ? hasty(rule) : rule));
export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });
