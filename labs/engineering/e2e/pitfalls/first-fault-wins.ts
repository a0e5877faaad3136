// Flaw: the first fault that matches befalls the request: a test can't say anything else about a path that its fixture has slowed.
// Seen in: https://github.com/cypress-io/cypress/issues/9302
// Caught by: a fault befalls the requests that it names, as often as it says, and none after heal
import type { Request } from '@playwright/test';
import { Network as Reference } from '../src/network.ts';

export * from '../src/index.ts';

export class Network extends Reference {
  protected override take(request: Request) {
    const fault = this.faults.find(({ matches, hits, times }) => hits < times && matches(request));
    if (fault) fault.hits++;
    return fault;
  }
}
