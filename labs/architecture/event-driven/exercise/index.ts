import type { Pool, PoolClient } from 'pg';
import type {
  Bus,
  Cemetery,
  Dispatcher,
  Envelope,
  Reader,
  RelayOptions,
  SubscribeOptions,
  Subscription,
  Waiting,
} from '../src/index.ts';

// Given: the envelope, its catalogue and its parser, the platform's services, the table of dead letters, the two transports,
// and the Dispatcher: lanes, retries, dead letters, acknowledgement. `transaction(pool, work)` is given too. Yours: the bus
// in process, outbox, relay and inbox. `h` in `pnpm lab learn event-driven` gives a hint.
export type {
  Bus,
  Cemetery,
  DeadLetter,
  Definition,
  Delivery,
  DeliveryEvents,
  Envelope,
  EventOf,
  Handlers,
  Parsed,
  PlatformParts,
  RabbitOptions,
  Reader,
  RelayOptions,
  StreamsOptions,
  SubscribeOptions,
  Subscription,
  Waiting,
} from '../src/index.ts';
export {
  BusClosedError,
  Catalogue,
  ConnectionLostError,
  DeadLetters,
  Dispatcher,
  delivery,
  EventError,
  HandlerTimeoutError,
  InvalidArgumentError,
  NoDeadLetterError,
  Platform,
  parseEvent,
  RabbitBus,
  RolledBackError,
  StreamsBus,
  transaction,
  UnknownEventError,
  UnreadableEventError,
  UnroutableError,
} from '../src/index.ts';

/** Events within one process. Each group has a `Dispatcher`; `completeOptions` of src/bus.ts looks at its options. */
export class MemoryBus implements Bus {
  protected readonly dead: Cemetery;
  /** The first of a group is active, the others stand by. */
  protected readonly groups = new Set<{ group: string; reader: Reader; dispatcher: Dispatcher }>();

  constructor(dead: Cemetery = { add: async () => {} }) {
    this.dead = dead;
  }

  /** Hands each event to the dispatcher of each group that reads its type (or to `only`). Waits for no handler. */
  publish(_events: readonly Envelope[], _only?: string): Promise<void> {
    return todo('MemoryBus.publish');
  }

  /** @throws InvalidArgumentError */
  subscribe(_group: string, _reader: Reader, _options: SubscribeOptions = {}): Promise<Subscription> {
    return todo('MemoryBus.subscribe');
  }

  close(): Promise<void> {
    return todo('MemoryBus.close');
  }

  protected dispatcher(_group: string, _reader: Reader, _options: Required<SubscribeOptions>): Dispatcher {
    throw new Error('dispatcher is not written yet: a new Dispatcher(group, reader, options, dead).');
  }
}

/** The event is a row in the same database, written by the same transaction as the change that it tells of. */
export class Outbox {
  /** Its table's name. */
  readonly name: string;
  protected readonly pool: Pool;
  protected readonly table: string;

  /** @param table Default "outbox". */
  constructor(pool: Pool, table = 'outbox') {
    this.name = table;
    this.pool = pool;
    this.table = table;
  }

  /** Creates the table where it is missing: position, id, key, event, published. */
  migrate(): Promise<void> {
    return todo('Outbox.migrate');
  }

  /** Writes the events by `tx`. The positions of one key have the order of their commits. */
  add(_tx: PoolClient, ..._events: readonly Envelope[]): Promise<void> {
    return todo('Outbox.add');
  }

  /** The oldest that are not published, `limit` at most, without those of the keys in `except`. None is ever skipped, however late it commits. */
  waiting(_db: Pool | PoolClient, _limit: number, _except: readonly string[] = []): Promise<Waiting[]> {
    return todo('Outbox.waiting');
  }

  /** Marks them as published. */
  mark(_db: Pool | PoolClient, _published: readonly Waiting[]): Promise<void> {
    return todo('Outbox.mark');
  }

  /**
   * Deletes what was published longer than `olderThanMs` ago, `batch` rows a transaction; never what is not published.
   * @returns how many @throws InvalidArgumentError for a time below 0, or a batch that is no whole number above 0
   */
  prune(_olderThanMs: number, _batch = 1000): Promise<number> {
    return todo('Outbox.prune');
  }

  /** All events of a key, oldest first. */
  trace(_key: string): Promise<Envelope[]> {
    return todo('Outbox.trace');
  }
}

/** Carries the outbox to the bus. Of several relays of one outbox one works at a time. */
export class Relay {
  protected readonly outbox: Pick<Outbox, 'name' | 'waiting' | 'mark'>;
  protected readonly bus: Pick<Bus, 'publish'>;
  protected readonly pool: Pool;
  protected readonly given: RelayOptions;

  /** @throws InvalidArgumentError for a batch or a `roundMs` that is no whole number above 0 */
  constructor(
    pool: Pool,
    outbox: Pick<Outbox, 'name' | 'waiting' | 'mark'>,
    bus: Pick<Bus, 'publish'>,
    options: RelayOptions = {},
  ) {
    this.pool = pool;
    this.outbox = outbox;
    this.bus = bus;
    this.given = options;
  }

  /**
   * One round: take, publish, and only then mark, in `roundMs` at most. @returns how many: 0 when nothing waits or another
   * relay works
   */
  round(): Promise<number> {
    return todo('Relay.round');
  }

  /** Rounds without end, until `stop()`. A failed one is repeated. */
  start(): void {
    throw new Error('Relay.start is not written yet: its comment in attempt/index.ts is the task.');
  }

  /** Finishes the round in hand. */
  stop(): Promise<void> {
    return todo('Relay.stop');
  }
}

/** Idempotent consumer: the note that an event is done is written by the same transaction as the effect. */
export class Inbox {
  protected readonly pool: Pool;
  protected readonly table: string;

  /** @param table Default "inbox". */
  constructor(pool: Pool, table = 'inbox') {
    this.pool = pool;
    this.table = table;
  }

  /** Creates the table where it is missing. */
  migrate(): Promise<void> {
    return todo('Inbox.migrate');
  }

  /** Runs `effect` in a transaction, unless this consumer has done so for this event. */
  once(
    _consumer: string,
    _event: Pick<Envelope, 'id'>,
    _effect: (tx: PoolClient) => Promise<unknown>,
  ): Promise<'done' | 'duplicate'> {
    return todo('Inbox.once');
  }

  /** Deletes the notes older than `olderThanMs`, `batch` rows a transaction. @returns how many @throws InvalidArgumentError */
  prune(_olderThanMs: number, _batch = 1000): Promise<number> {
    return todo('Inbox.prune');
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
