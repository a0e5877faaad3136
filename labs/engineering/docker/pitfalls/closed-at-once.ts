// Flaw: the door closes with the signal, while balancers still send customers to it.
// Seen in: https://github.com/data-fair/data-fair/pull/473
// Caught by: it says that it is not ready before it refuses anybody, and answers until then
import { type DrainOptions, Drain as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Drain extends Reference {
  constructor(server: ConstructorParameters<typeof Reference>[0], options?: DrainOptions) {
    super(server, { ...options, lameDuckMs: 0 });
  }
}
