// Flaw: the Lease is written whatever it says by then: two that have read "nobody leads" both lead.
// Seen in: https://github.com/spring-cloud/spring-cloud-kubernetes/issues/2032
// Caught by: of three candidates one leads, and when it ends another follows, with a greater fence
import type { V1Lease } from '@kubernetes/client-node';
import { Candidate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Candidate extends Reference {
  protected override async write(found: V1Lease | undefined, holder?: string): Promise<V1Lease | undefined> {
    const written = await super.write(found, holder);
    if (written !== undefined) return written;
    // Somebody was quicker: once more, on top of what he has written.
    const now = await this.cluster.find<V1Lease>(this.address);
    return now && super.write(now, holder);
  }
}
