// Flaw: the module's address is compared with what the watcher appended, so each save of the file is a duplicate.
// Seen in: https://github.com/eyadgaran/SimpleML/pull/18 (reloading a module registers its classes again)
// Caught by: a module that is evaluated again replaces its class
import { Registry as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Registry<T extends object> extends Reference<T> {
  protected override moduleOf(from: string | undefined): string | undefined {
    return from;
  }
}
