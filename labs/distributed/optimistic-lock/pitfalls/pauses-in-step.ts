// Flaw: the pauses double without a random part: those who met once wake up together and meet again.
// Seen in: https://github.com/MaterializeInc/materialize/pull/37099
// Caught by: pauses grow from baseMs to capMs, each a random part of its own
import { withRetry as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const withRetry: typeof reference = (run, options) => reference(run, { ...options, random: () => 1 });
