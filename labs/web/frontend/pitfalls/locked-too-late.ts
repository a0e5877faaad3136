// Flaw: the button is locked once the page has been drawn again. The second click of a double click is quicker than that.
// Seen in: https://github.com/mozilla/fxa/issues/4386
// Caught by: a double click is one order
import { Submission as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Submission<Input, Result> extends Reference<Input, Result> {
  override async submit(input: Input): Promise<void> {
    const locked = this.current.get().status === 'sending';
    await Promise.resolve();
    if (!locked) await this.send(input);
  }
}
