// Flaw: which commands have been carried out is known to one process alone, and forgotten with it.
// Seen in: https://github.com/microsoftarchive/cqrs-journey/issues/266
// Caught by: a command that is sent again has one effect and the same answer
import type { PoolClient } from 'pg';
import type { NewEvent } from '../src/event-store.ts';
import { PostgresEventStore as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class PostgresEventStore<E extends NewEvent> extends Reference<E> {
  readonly #known = new Map<string, bigint>();

  override async positionOf(commandId: string): Promise<bigint | undefined> {
    return this.#known.get(commandId);
  }

  protected override async remember(_tx: PoolClient, commandId: string, position: bigint): Promise<void> {
    this.#known.set(commandId, position);
  }
}
