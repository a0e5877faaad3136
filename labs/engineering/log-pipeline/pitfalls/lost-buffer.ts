// Flaw: lines wait in a buffer, and nobody writes it when the process is told to go.
// Seen in: https://github.com/pinojs/pino/issues/1705
// Caught by: what was logged before a SIGTERM is in the file
import { Logger as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Logger extends Reference {
  protected override hook(): void {}
}
