// Flaw: the time of the last row goes into the cursor as JavaScript has it, in milliseconds: Postgres has microseconds.
// Seen in: https://github.com/hayes/pothos/pull/1650
// Caught by: pages by key neither skip nor repeat a book while others come and go
import { Keyset as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Keyset extends Reference {
  protected override seal([time = '', ...others]: readonly string[], of: string): string {
    return super.seal([new Date(time).toISOString(), ...others], of);
  }
}
