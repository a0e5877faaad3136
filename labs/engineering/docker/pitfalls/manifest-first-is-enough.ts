// Flaw: once package.json is copied by itself the order counts as right, also where all the rest follows before the install.
// Seen in: https://github.com/prisma/web/pull/7004
// Caught by: dependencies are installed before the source is copied
import { rules as all, type DockerRule, lintDockerfile as reference } from '../src/index.ts';
import { copied } from '../src/stages.ts';

export * from '../src/index.ts';

const content = (rule: DockerRule): DockerRule => ({
  ...rule,
  *check(file) {
    const stages = file.stages.filter(
      ({ instructions }) =>
        !instructions.some((at) => copied(at).sources.some((source) => source.startsWith('package'))),
    );
    yield* rule.check({ ...file, stages });
  },
});

export const rules: readonly DockerRule[] = all.map((rule) => (rule.id === 'CL1005' ? content(rule) : rule));
export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });
