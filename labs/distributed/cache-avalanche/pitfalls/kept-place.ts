// Flaw: who leaves the queue keeps his turn: places are handed to people who have gone, until none is left.
// Seen in: https://github.com/HowProgrammingWorks/NodejsStarterKit/issues/63
// Caught by: a place is not given to somebody who has gone
import { DatabaseGate as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class DatabaseGate extends Reference {
  protected override forget(): void {}
}
