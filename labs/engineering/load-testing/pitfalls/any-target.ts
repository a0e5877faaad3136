// Flaw: the target is whatever the command line says, and a slip of the hand loads somebody else's machine.
// Seen in: https://github.com/gamedevpl/www.gamedev.pl/pull/1220
// Caught by: a machine that is not this one is refused before anything is sent, unless the plan names it
import { run as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const run: typeof reference = (plan) =>
  reference({ ...plan, allowHosts: [URL.parse(plan.target)?.hostname ?? ''] });
