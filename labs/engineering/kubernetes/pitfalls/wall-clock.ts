// Flaw: whether a lease is over is read from the time that its holder wrote into it, by a clock of its own.
// Seen in: https://github.com/kubernetes/client-go/issues/448
// Caught by: no wall clock makes a leader: a lease that is renewed is not taken, whatever time it says
import type { V1Lease } from '@kubernetes/client-node';
import { Candidate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Candidate extends Reference {
  protected override mayTake({ spec }: V1Lease): boolean {
    const end = new Date(spec?.renewTime ?? 0).getTime() + (spec?.leaseDurationSeconds ?? 0) * 1000;
    return ['', this.options.identity].includes(spec?.holderIdentity ?? '') || Date.now() >= end;
  }
}
