// Flaw: a change goes to all hosts at once, and when the first has failed it is everywhere.
// Seen in: Ansible without serial; the CrowdStrike update of July 2024
// Caught by: a bad change stops at its first batch, and a host that is unknown counts as a failed one
export * from '../src/index.ts';

import { type BatchedJob, type Decision, Ops as Sound } from '../src/index.ts';

export class Ops extends Sound {
  protected override decide(jobs: readonly BatchedJob[], maxFailedPercent: number): Decision {
    const first = jobs.find(({ state }) => state === 'waiting');
    return first ? { next: 'start', batch: first.batch } : super.decide(jobs, maxFailedPercent);
  }
}
