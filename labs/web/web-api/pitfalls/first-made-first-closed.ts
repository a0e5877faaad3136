// Flaw: what was made first is taken back first: the connection is gone when the transaction wants to commit on it.
// Seen in: https://github.com/ets-labs/python-dependency-injector/issues/432
// Caught by: what was made is taken back in reverse, and each is told of the failure
import { Api as Reference } from '../src/index.ts';
import { Scope, type ScopeOptions } from '../src/scope.ts';

export * from '../src/index.ts';

class ForwardScope extends Scope {
  override async close(failure?: { readonly error: unknown }): Promise<void> {
    await Promise.allSettled(this.values.values());
    this.made.reverse();
    await super.close(failure);
  }
}

export class Api extends Reference {
  protected override newScope(options: ScopeOptions): Scope {
    return new ForwardScope(options);
  }
}
