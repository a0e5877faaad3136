// Flaw: which commands have been carried out is known to one process alone, and forgotten with it.
// Seen in: https://github.com/microsoftarchive/cqrs-journey/issues/266
// Caught by: a command that is sent again has one effect and the same answer
import type { Append, NewEvent } from '../src/event-store.ts';
import { PostgresEventStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  readonly #known = new Map<string, bigint>();

  override async positionOf(commandId: string): Promise<bigint | undefined> {
    return this.#known.get(commandId);
  }

  override async append(entry: Append<E>): Promise<bigint> {
    const position = await super.append({ ...entry, commandId: crypto.randomUUID() });
    this.#known.set(entry.commandId, position);
    return position;
  }
}
