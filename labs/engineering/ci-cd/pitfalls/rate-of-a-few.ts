// Flaw: a rate is judged, of however few requests: one failure of five is 20 %.
// Seen in: https://github.com/kortix-ai/suna/pull/3403
// Caught by: a canary is judged by enough requests: neither one failure nor no traffic decides
import { type CanaryOptions, canary as rollOut } from '../src/canary.ts';
import { type Rules, rules } from '../src/rules.ts';

export * from '../src/index.ts';

const judge: Rules['judge'] = (canary, stable, limits) =>
  canary.errors > canary.requests * limits.maxErrorShare ? 'worse' : rules.judge(canary, stable, limits);

export const canary = (options: CanaryOptions) => rollOut(options, { ...rules, judge });
