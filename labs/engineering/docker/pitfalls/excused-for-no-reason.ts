// Flaw: an excuse without a reason is followed too, so nobody can tell a decision from a habit.
// Seen in: https://github.com/hadolint/hadolint/issues/747
// Caught by: an instruction is excused by the comment above it, for a reason
import { lintDockerfile as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const lintDockerfile: typeof reference = (text, options) =>
  reference(text.replaceAll(/^(#\s*hadolint\s+ignore=[^#\n]*?)[#\s]*$/gm, '$1# because'), options);
