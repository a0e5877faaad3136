// Flaw: the last USER of every stage is judged, also of those that are only built in.
// Seen in: https://github.com/hadolint/hadolint/issues/405
// Caught by: who runs the program is the last USER of the stage that is shipped, and of those it builds on
import { rules as all, type DockerRule, lintDockerfile as reference } from '../src/index.ts';

export * from '../src/index.ts';

const strict = (rule: DockerRule): DockerRule => ({
  ...rule,
  *check(file) {
    for (const last of file.stages) yield* rule.check({ ...file, last });
  },
});

export const rules: readonly DockerRule[] = all.map((rule) => (rule.id === 'DL3002' ? strict(rule) : rule));
export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });
