// Flaw: the server's "ask me again in a second", and its "don't", are not read: who is overloaded is asked at our pace.
// Seen in: https://github.com/thomhurst/Kevlar/pull/465
// Caught by: the server says when it wants to be asked again, or that it does not
import { RetryPolicy as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RetryPolicy extends Reference {
  protected override pushbackOf(): undefined {
    return undefined;
  }
}
