// Flaw: the key is made when the page is loaded: the second order of the day gets the receipt of the first.
// Seen in: https://github.com/mozilla/fxa/issues/6553
// Caught by: what is tried again keeps its key until its answer is known; another order has another
import { Submission as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Submission<Input, Result> extends Reference<Input, Result> {
  readonly #only = crypto.randomUUID();

  protected override send(input: Input): Promise<void> {
    this.key = this.#only;
    return super.send(input);
  }
}
