// Flaw: each call has its four attempts, so an outage has four times the traffic, just when it can't be borne.
// Seen in: https://github.com/world-federation-of-advertisers/cross-media-measurement/issues/4509
// Caught by: an outage is not multiplied by the retries
import { RetryBudget as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RetryBudget extends Reference {
  override get allows(): boolean {
    return true;
  }
}
