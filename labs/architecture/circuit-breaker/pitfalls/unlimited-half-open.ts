// Flaw: half-open lets everybody through, so the recovering service is met by all callers at once.
// Seen in: https://github.com/safe-global/safe-client-gateway/pull/3442 and https://github.com/nodeshift/opossum/issues/119
// Caught by: no more probes than permits are let through, and the rest are refused at once

import type { Pass } from '../src/breaker.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override admit(): Pass | undefined {
    return this.current.name === 'half-open' ? this.current : super.admit();
  }
}
