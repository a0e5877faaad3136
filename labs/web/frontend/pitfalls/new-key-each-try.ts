// Flaw: each request makes its own key, the retry too: the server cannot know that it is one order.
// Seen in: https://github.com/KanishJebaMathewM/Truxify/issues/14932
// Caught by: what is tried again keeps its key until its answer is known; another order has another
import { Submission as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Submission<Input, Result> extends Reference<Input, Result> {
  protected override send(input: Input): Promise<void> {
    this.key = undefined;
    return super.send(input);
  }
}
