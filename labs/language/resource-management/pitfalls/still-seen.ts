// Flaw: every exit is told of the body's error, also after one of them has handled it: the account rolls back for nothing.
// Seen in: https://github.com/huggingface/smolagents/pull/2033
// Caught by: after an exit that handled the error, the others see none
import { type Ending, ExitStack as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ExitStack extends Reference {
  protected override unwind(ending: Ending) {
    this.exits = this.exits.map((exit) => () => exit(ending));
    return super.unwind(ending);
  }
}
