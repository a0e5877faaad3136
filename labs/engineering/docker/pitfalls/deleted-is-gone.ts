// Flaw: a file is only missed where the same RUN has not deleted it, as if `rm` reached into the layers below.
// Seen in: https://github.com/ever-co/ever-gauzy/pull/9995 (a registry token in a public image)
// Caught by: what is copied and then deleted is still in the layer before, unless that stage is not shipped
import { rules as all, type DockerRule, lintDockerfile as reference } from '../src/index.ts';

export * from '../src/index.ts';

const trusting = (rule: DockerRule): DockerRule => ({
  ...rule,
  *check(file) {
    for (const hit of rule.check(file)) if (!/&&\s*rm\b/.test(hit.at?.toString() ?? '')) yield hit;
  },
});

export const rules: readonly DockerRule[] = all.map((rule) => (rule.id === 'CL1004' ? trusting(rule) : rule));
export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });
