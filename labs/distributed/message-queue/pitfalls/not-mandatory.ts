// Flaw: the broker's return is not looked at. A message that no queue takes is confirmed all the same, and gone.
// Seen in: https://github.com/SpinGo/op-rabbit/issues/83
// Caught by: rabbit: a message that no queue takes is an error, and one that a queue takes is none
import { Rabbit as Client, Confirms as Reference } from '../src/index.ts';

export * from '../src/index.ts';

class Confirms extends Reference {
  override returned(): void {}
}

export class Rabbit extends Client {
  protected override confirms(): Reference {
    return new Confirms();
  }
}
