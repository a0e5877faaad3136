import type { PoolClient } from 'pg';
import type { NewEvent, Recorded } from './event-store.ts';

/** A connection within a transaction that somebody else ends: from then on its `query` rejects with a CqrsError. */
export type Tx = Pick<PoolClient, 'query'>;

/**
 * How a read model is made from events. It may use the events and its own table, nothing else: then it can be built anew
 * at any time, and the second result is the first.
 */
export interface Projection<E extends NewEvent> {
  readonly name: string;
  /** Raise it whenever the table or a handler changes: code of another version leaves this read model alone. */
  readonly version: number;
  /** Creates the table. `table` is quoted, and another one in each build. */
  create(tx: Tx, table: string): Promise<unknown>;
  /** What an event does to the table, by the event's type; other events pass. */
  readonly on: {
    readonly [T in E['type']]?: (tx: Tx, table: string, event: Recorded<E & { readonly type: T }>) => Promise<unknown>;
  };
}
