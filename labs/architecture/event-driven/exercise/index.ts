import type { Redis } from 'ioredis';
import type { Pool, PoolClient } from 'pg';
import type {
  Bus,
  Cemetery,
  Definition,
  Delivery,
  Dispatcher,
  Envelope,
  EventOf,
  Handlers,
  RabbitOptions,
  Reader,
  RelayOptions,
  StreamsOptions,
  SubscribeOptions,
  Subscription,
  Waiting,
} from '../src/index.ts';

// Given: the envelope and its parser, the platform's services, the table of dead letters, and the Dispatcher: lanes, retries, dead
// letters, acknowledgement. Yours: the catalogue with its versions, the bus in process, outbox, relay, inbox, and the two
// transports. `h` in `pnpm lab learn event-driven` gives a hint.
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
  ConnectionLostError,
  DeadLetters,
  Dispatcher,
  delivery,
  EventError,
  InvalidArgumentError,
  NoDeadLetterError,
  Platform,
  parseEvent,
  transaction,
  UnknownEventError,
  UnreadableEventError,
  UnroutableError,
} from '../src/index.ts';

/** The events of a system: their types, versions, and how to read what was written years ago. */
export class Catalogue<Events extends object> {
  protected readonly definitions: { readonly [Type in keyof Events & string]: Definition<Events[Type]> };

  constructor(definitions: { readonly [Type in keyof Events & string]: Definition<Events[Type]> }) {
    this.definitions = definitions;
  }

  /**
   * A new event of the current version, with a random id. Its correlation is its cause's, or its own id where it has
   * none. @throws InvalidArgumentError without a key
   */
  create<Type extends keyof Events & string>(
    type: Type,
    _key: string,
    _data: Events[Type],
    _cause?: Envelope,
  ): EventOf<Events, Type> {
    throw new Error(`create of a ${type} is not written yet: its comment in attempt/index.ts is the task.`);
  }

  /** The same event in its type's current version. @throws UnknownEventError for a type or version that it doesn't know. */
  read(_event: Envelope): Envelope {
    throw new Error('read is not written yet: its comment in attempt/index.ts is the task.');
  }

  /** A reader of the types that have a handler. Handlers get the current version. */
  reader(_handlers: Handlers<Events>): Reader {
    throw new Error('reader is not written yet: its comment in attempt/index.ts is the task.');
  }
}

/** Events within one process. Each group has a `Dispatcher`; `completeOptions` of src/bus.ts looks at its options. */
export class MemoryBus implements Bus {
  protected readonly dead: Cemetery;
  protected readonly groups = new Map<string, { reader: Reader; dispatcher: Dispatcher }>();

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
  protected readonly pool: Pool;
  protected readonly table: string;

  /** @param table Default "outbox". */
  constructor(pool: Pool, table = 'outbox') {
    this.pool = pool;
    this.table = table;
  }

  /** Creates the table where it is missing: position, id, key, event, published. */
  migrate(): Promise<void> {
    return todo('Outbox.migrate');
  }

  /** Writes the event by `tx`. The positions of one key have the order of their commits. */
  add(_tx: PoolClient, _event: Envelope): Promise<void> {
    return todo('Outbox.add');
  }

  /** The oldest that are not published, `limit` at most. None is ever skipped, however late it commits. */
  waiting(_db: Pool | PoolClient, _limit: number): Promise<Waiting[]> {
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

/** Carries the outbox to the bus. Of several relays of one `lock` one works at a time. */
export class Relay {
  protected readonly outbox: Pick<Outbox, 'waiting' | 'mark'>;
  protected readonly bus: Pick<Bus, 'publish'>;
  protected readonly pool: Pool;
  protected readonly given: RelayOptions;

  /** @throws InvalidArgumentError for a batch that is no whole number above 0 */
  constructor(
    pool: Pool,
    outbox: Pick<Outbox, 'waiting' | 'mark'>,
    bus: Pick<Bus, 'publish'>,
    options: RelayOptions = {},
  ) {
    this.pool = pool;
    this.outbox = outbox;
    this.bus = bus;
    this.given = options;
  }

  /** One round: take, publish, and only then mark. @returns how many: 0 when nothing waits or another relay works */
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

/**
 * Redis Streams: the stream `<prefix>stream` with the fields `event` (JSON) and `only`, and a consumer group for each
 * group. Of several consumers of a group one is active, as long as it holds a lease; what it leaves the next takes over.
 */
export class StreamsBus implements Bus {
  protected readonly redis: Redis;
  protected readonly dead: Cemetery;
  protected readonly prefix: string;

  /** @throws InvalidArgumentError for a `leaseMs` that is no whole number from 50 */
  constructor(redis: Redis, dead: Cemetery, options: StreamsOptions = {}) {
    this.redis = redis;
    this.dead = dead;
    this.prefix = options.prefix ?? 'events:';
  }

  publish(_events: readonly Envelope[], _only = ''): Promise<void> {
    return todo('StreamsBus.publish');
  }

  subscribe(_group: string, _reader: Reader, _options: SubscribeOptions = {}): Promise<Subscription> {
    return todo('StreamsBus.subscribe');
  }

  close(): Promise<void> {
    return todo('StreamsBus.close');
  }

  /** Drops what every group has done with, and nothing that is in hand. @returns how many */
  trim(): Promise<number> {
    return todo('StreamsBus.trim');
  }

  protected delivery(_redis: Redis, _group: string, _id: string, _event: Envelope): Delivery {
    throw new Error('delivery is not written yet: an event and its XACK.');
  }
}

/**
 * RabbitMQ: the topic exchange `<prefix>all`, and a durable queue `<prefix><group>` for each group with one active
 * consumer. Publishing is confirmed and mandatory. `subscribe` binds the group's types; `only` goes to one queue. With
 * `expiresMs` the queues expire and the exchange is deleted with the last of them. A lost connection comes back by
 * itself, with all that lived on it.
 */
export class RabbitBus implements Bus {
  /** Called by `open`. */
  protected constructor(_url: string, _dead: Cemetery, _options: RabbitOptions) {}

  /** Connects (`connect` of amqplib) and declares the exchange. @throws the client's error, if it never worked */
  static open(_url: string, _dead: Cemetery, _options: RabbitOptions = {}): Promise<RabbitBus> {
    return todo('RabbitBus.open');
  }

  /** @throws UnroutableError for what no queue takes, ConnectionLostError for what was not confirmed, BusClosedError */
  publish(_events: readonly Envelope[], _only?: string): Promise<void> {
    return todo('RabbitBus.publish');
  }

  /** Serves the group on this connection and on those that follow it. */
  subscribe(_group: string, _reader: Reader, _options: SubscribeOptions = {}): Promise<Subscription> {
    return todo('RabbitBus.subscribe');
  }

  /** Ends, also without a connection, or while one is being opened. */
  close(): Promise<void> {
    return todo('RabbitBus.close');
  }
}

async function todo(method: string): Promise<never> {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
