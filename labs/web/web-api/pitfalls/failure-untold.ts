// Flaw: what is taken back is not told that the request has failed: half of an order is committed.
// Seen in: https://github.com/fastapi/fastapi/issues/869
// Caught by: what was made is taken back in reverse, and each is told of the failure
import { Api as Reference } from '../src/index.ts';
import { Scope, type ScopeOptions } from '../src/scope.ts';

export * from '../src/index.ts';

class DeafScope extends Scope {
  override close(): Promise<void> {
    return super.close();
  }
}

export class Api extends Reference {
  protected override newScope(options: ScopeOptions): Scope {
    return new DeafScope(options);
  }
}
