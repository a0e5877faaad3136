// Flaw: what gives back is called, and its promise dropped: the program goes on too early, and a rejection is nobody's.
// Seen in: https://github.com/anomalyco/opencode/issues/34985
// Caught by: giving back takes the time it takes, and its failure arrives
import { ExitStack as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ExitStack extends Reference {
  override callback<P extends readonly unknown[]>(fn: (...args: P) => unknown, ...args: P): void {
    this.push(() => void fn(...args));
  }
}
