// Flaw: the limit counts hosts that have said that they failed, and not those that say nothing any more.
// Seen in: rollouts whose change cut the network, and went on
// Caught by: a bad change stops at its first batch, and a host that is unknown counts as a failed one
export * from '../src/index.ts';

import { type BatchedJob, type Decision, Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  protected override decide(jobs: readonly BatchedJob[], maxFailedPercent: number): Decision {
    const heard = jobs.map(({ batch, state }) => ({ batch, state: state === 'unknown' ? 'ok' : state }) as const);
    return super.decide(heard, maxFailedPercent);
  }
}
