// Flaw: nobody asks whether a fault has befallen anything; with a slip in the path the test is green for ever.
// Seen in: https://github.com/jamielennox/requests-mock/issues/267
// Caught by: a fault that befell no request fails the test, and is named
import { Network as Reference } from '../src/network.ts';

export * from '../src/index.ts';

export class Network extends Reference {
  override verify(): void {}
}
