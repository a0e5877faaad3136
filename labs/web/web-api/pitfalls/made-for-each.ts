// Flaw: the value is remembered when it is there: who asks before that gets another one, and sees nothing of the first one's transaction.
// Seen in: https://github.com/trvswgnr/prodkit/issues/102
// Caught by: a dependency is made once for a request, however many ask for it at once, and anew for the next
import { Api as Reference } from '../src/index.ts';
import { type Dependency, Scope, type ScopeOptions } from '../src/scope.ts';

export * from '../src/index.ts';

class LateScope extends Scope {
  override async inject<T>(dependency: Dependency<T>): Promise<T> {
    if (this.values.has(dependency)) return super.inject(dependency);
    const value = await this.make(dependency);
    this.values.set(dependency, Promise.resolve(value));
    return value;
  }
}

export class Api extends Reference {
  protected override newScope(options: ScopeOptions): Scope {
    return new LateScope(options);
  }
}
