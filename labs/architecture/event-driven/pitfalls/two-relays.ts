// Flaw: every instance relays, so they publish twice and overtake each other.
// Seen in: https://github.com/kgrzybek/sample-dotnet-core-cqrs-api/issues/15
// Caught by: two relays at once do not overtake each other
import { Relay as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Relay extends Reference {
  protected override async lock(): Promise<boolean> {
    return true;
  }
}
