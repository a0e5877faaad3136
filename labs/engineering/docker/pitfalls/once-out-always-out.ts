// Flaw: whatever one line shuts out stays out, so "!" opens nothing.
// Seen in: https://github.com/docker-java/docker-java/issues/286
// Caught by: of the lines that match, the last one decides
import { patternsOf, within } from '../src/dockerignore.ts';
import type { dockerignore as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const dockerignore: typeof reference = (text) => {
  const patterns = patternsOf(text);
  return (path) => !patterns.some(({ negated, regex }) => !negated && within(path).some((each) => regex.test(each)));
};
