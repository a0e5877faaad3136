// Flaw: nobody tells the kept connections to end, so server.close() waits for clients who have no reason to leave.
// Seen in: https://github.com/nodejs/node/issues/2642
// Caught by: a kept connection is told to close, and cannot hold up the stop
import { Drain as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Drain extends Reference {
  protected override sayGoodbye(): void {}
  protected override hangUp(): void {}
}
