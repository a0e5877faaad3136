// Flaw: it waits for the last request however long, so one that hangs keeps the process until SIGKILL takes it with all others.
// Seen in: https://github.com/veolms/veolms/pull/18
// Caught by: what outlasts the grace time is cut off, and counted
import { type DrainOptions, Drain as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Drain extends Reference {
  constructor(server: ConstructorParameters<typeof Reference>[0], options?: DrainOptions) {
    super(server, { ...options, graceMs: 2 ** 31 - 1 });
  }
}
