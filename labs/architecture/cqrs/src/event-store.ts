/** What happened, as the domain tells it. What goes with it, such as who has asked for it, is in `data` too. */
export interface NewEvent {
  readonly type: string;
  readonly data: unknown;
}

/** What happened, and its place in the log. */
export type Recorded<E extends NewEvent> = E & {
  /** Place in the whole log, 1 or more (a read model begins at 0): later events have larger ones. There may be gaps. */
  readonly position: bigint;
  readonly stream: string;
  /** Place in its stream: 1, 2, 3, … */
  readonly version: number;
  /** When it was written, by the store's clock. */
  readonly at: Date;
};

/** What the command side adds to one stream. */
export interface Append<E extends NewEvent> {
  readonly stream: string;
  /** How many events the stream had when the decision was made. */
  readonly expectedVersion: number;
  /** At least one. */
  readonly events: readonly E[];
  /** The command that they answer. */
  readonly commandId: string;
}

/** What there is beyond a position. */
export interface Backlog {
  readonly events: number;
  /** Age of the oldest of them in milliseconds, by the store's clock; 0 when there is none. */
  readonly ms: number;
}

/**
 * The port of the command side. An adapter for another database has to keep three promises: `append` is atomic and tells
 * a late writer so; a command id is recorded with its events or not at all; and `readAll` never shows an event whose
 * position is below one that it has shown before (see PostgresEventStore on how that is broken).
 */
export interface EventStore<E extends NewEvent> {
  /**
   * Adds the events of one command, all or none. @returns the position of the last
   *
   * @throws ConflictError when the stream has moved on, or the command has been recorded already
   */
  append(entry: Append<E>): Promise<bigint>;
  /** A stream from its beginning. */
  read(stream: string): Promise<Recorded<E>[]>;
  /** At most `limit` events beyond `after`, in the order of their positions; none only where the log ends. */
  readAll(after: bigint, limit: number): Promise<Recorded<E>[]>;
  /** Where the events of a command end; undefined when it has not been recorded. */
  positionOf(commandId: string): Promise<bigint | undefined>;
  backlog(after: bigint): Promise<Backlog>;
}
