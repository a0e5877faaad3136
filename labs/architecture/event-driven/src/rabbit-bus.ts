import { randomUUID } from 'node:crypto';
import type { Channel, ConfirmChannel, ConsumeMessage } from 'amqplib';
import {
  assertCount,
  type Bus,
  type Cemetery,
  completeOptions,
  type Delivery,
  exponential,
  type SubscribeOptions,
  type Subscription,
} from './bus.ts';
import { Dispatcher, inform, pause, waitOf } from './dispatcher.ts';
import { BusClosedError, UnroutableError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';
import { parseEvent } from './parse.ts';
import { type Session, type SessionOptions, Sessions } from './rabbit-session.ts';

export interface RabbitOptions {
  /** Of the exchange's and the queues' names. Default "events.". */
  readonly prefix?: string;
  /** Milliseconds after which a queue without a consumer goes, with its events. For tests. Default: never. */
  readonly expiresMs?: number;
  /** Milliseconds before try n (from 1) to connect again, or to serve a group that was refused. Default: 50 · 2ⁿ⁻¹, at most 5000, half of it at random. */
  readonly backoffMs?: (attempt: number) => number;
  /**
   * Milliseconds that the broker may take for an answer, the confirmation of what is published included; then the
   * connection is given up. Default 10,000.
   */
  readonly answerMs?: number;
  /** Hears of each lost connection, and each failed try to connect or to serve a group again. Default: nobody does. */
  readonly onError?: (error: unknown) => void;
}

/** A group of ours, whichever connection serves it. */
interface Consumer {
  readonly group: string;
  readonly reader: Reader;
  readonly options: Required<SubscribeOptions>;
  /** The present one, and those of lost connections whose handlers are still at work. */
  readonly dispatchers: Set<Dispatcher>;
  serving?: { readonly session: Session; readonly channel: Channel };
  stopped: boolean;
}

/**
 * RabbitMQ: a topic exchange, and a durable queue for each service. A new group gets what is published from then on.
 * Publishing is confirmed and mandatory: an event that no queue takes is an error, not a silence. A lost connection
 * comes back by itself, with its exchange, queues and consumers; what was not acknowledged comes again, what was not
 * confirmed has to be published again. Publishing has a connection of its own: a broker that is short of memory reads
 * no more from who publishes, acknowledgements included.
 */
export class RabbitBus implements Bus {
  readonly #connection: Omit<SessionOptions, 'stop' | 'setUp'>;
  readonly #dead: Cemetery;
  protected readonly prefix: string;
  readonly #expiresMs: number | undefined;
  readonly #consumers = new Set<Consumer>();
  readonly #closing = new AbortController();
  #publishing: Sessions | undefined;
  #consuming: Sessions | undefined;
  #closed: BusClosedError | undefined;

  protected constructor(url: string, dead: Cemetery, options: RabbitOptions) {
    const { prefix = 'events.', expiresMs, backoffMs = exponential, answerMs = 10_000, onError = () => {} } = options;
    assertCount('answerMs', answerMs);
    this.#connection = { url, backoffMs, answerMs, onError };
    this.#dead = dead;
    this.prefix = prefix;
    this.#expiresMs = expiresMs;
  }

  /**
   * Connects and declares the exchange.
   * @throws InvalidArgumentError, ConnectionLostError, or the client's error; it is tried again only once it has worked
   */
  static async open(url: string, dead: Cemetery, options: RabbitOptions = {}): Promise<RabbitBus> {
    const bus = new this(url, dead, options);
    try {
      bus.#publishing = await bus.#connect(async () => {});
      bus.#consuming = await bus.#connect((session) => bus.resume(session));
      return bus;
    } catch (error) {
      await bus.close();
      throw error;
    }
  }

  async publish(events: readonly Envelope[], only?: string): Promise<void> {
    const session = this.#present(this.#publishing);
    const { publisher } = session;
    const homeless: Envelope[] = [];
    const inTurn = async (story: readonly Envelope[]) => {
      for (const event of story) {
        // Its own for each time: the same event may be on its way to two groups.
        const ticket = randomUUID();
        await session.answer(this.send(publisher.channel, event, ticket, only));
        // The broker returns what it can't route before it confirms it.
        if (!session.unroutable.delete(ticket)) continue;
        homeless.push(event);
        return;
      }
    };
    // Of one key each waits for the one before: what the broker takes must not overtake what it has refused.
    const stories = Map.groupBy(events, ({ key }) => key);
    const taken = await Promise.allSettled([...stories.values()].map(inTurn));
    if (publisher.next) await session.answer(publisher.next).catch(() => {});
    for (const each of taken) {
      if (each.status === 'rejected') throw this.#closed ?? session.lost ?? publisher.refusal ?? each.reason;
    }
    const [first] = homeless;
    if (first) {
      throw new UnroutableError(
        `${homeless.length} of ${events.length} events have no queue, the first a ${first.type}: subscribe a group to it`,
      );
    }
  }

  /** Resolves when the broker has confirmed. @param ticket What it names when it returns the event */
  protected send(channel: ConfirmChannel, event: Envelope, ticket: string, only?: string): Promise<void> {
    const [exchange, route] = only === undefined ? [`${this.prefix}all`, event.type] : ['', this.queueOf(only)];
    const headers = { ticket };
    const contentType = 'application/json';
    const properties = { persistent: true, mandatory: true, messageId: event.id, contentType, headers };
    return new Promise((resolve, reject) => {
      const confirmed = (error: unknown) => (error ? reject(error) : resolve());
      channel.publish(exchange, route, Buffer.from(JSON.stringify(event)), properties, confirmed);
    });
  }

  async subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    const consumer: Consumer = {
      group,
      reader,
      options: completeOptions(group, options),
      dispatchers: new Set(),
      stopped: false,
    };
    const assertOpen = () => {
      if (this.#closing.signal.aborted)
        throw this.#closed ?? new BusClosedError('the bus is being closed: open another');
    };
    assertOpen();
    await this.#serve(this.#present(this.#consuming), consumer).catch((lost: unknown) => {
      throw this.#closed ?? lost;
    });
    this.#consumers.add(consumer);
    // It may have been closed meanwhile.
    if (this.#closing.signal.aborted) await this.#stop(consumer);
    assertOpen();
    return { stop: () => this.#stop(consumer) };
  }

  /** Waits for the tries that have begun, then for the broker's goodbye, `answerMs` at most. At any moment, connected or not. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#consumers].map((each) => this.#stop(each)));
    this.#closed ??= new BusClosedError('the bus is closed: open another');
    await Promise.all([this.#publishing?.close(), this.#consuming?.close()]);
  }

  /** Serves the groups on a new connection as on the one before. */
  protected async resume(session: Session): Promise<void> {
    for (const consumer of this.#consumers) this.#serveAgain(session, consumer);
  }

  /** Each by itself: a group that the broker refuses (the node of its queue is down, say) must hold up no other. */
  async #serveAgain(session: Session, consumer: Consumer): Promise<void> {
    const { backoffMs, onError } = this.#connection;
    for (let attempt = 1; !(session.lost || consumer.stopped); attempt++) {
      try {
        return await this.#serve(session, consumer);
      } catch (error) {
        // Of a connection that is gone whoever listens has heard, and who stopped wants to hear nothing.
        if (!(session.lost || consumer.stopped)) inform(onError, error);
      }
      await pause(waitOf(backoffMs, attempt), this.#closing.signal);
    }
  }

  protected queueOf(group: string): string {
    return `${this.prefix}${group}`;
  }

  protected dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return new Dispatcher(group, reader, options, this.#dead);
  }

  protected delivery(channel: Channel, message: Parameters<Channel['ack']>[0], event: Envelope): Delivery {
    return { event, ack: async () => channel.ack(message) };
  }

  #connect(setUp: (session: Session) => Promise<void>): Promise<Sessions> {
    const properties = { durable: true, autoDelete: this.#expiresMs !== undefined };
    return Sessions.open({
      ...this.#connection,
      stop: this.#closing.signal,
      setUp: async (session) => {
        await session.answer(session.publisher.channel.assertExchange(`${this.prefix}all`, 'topic', properties));
        await setUp(session);
      },
    });
  }

  #present(sessions: Sessions | undefined): Session {
    if (this.#closed || sessions === undefined) throw this.#closed ?? new BusClosedError('the bus is not open');
    return sessions.present;
  }

  async #serve(session: Session, consumer: Consumer): Promise<void> {
    const channel = await session.answer(session.connection.createChannel());
    try {
      await this.#serveOn(channel, session, consumer);
    } catch (error) {
      // A connection has 2047 of them.
      await session.answer(channel.close()).catch(() => {});
      throw error;
    }
  }

  async #serveOn(channel: Channel, session: Session, consumer: Consumer): Promise<void> {
    const { group, reader, options } = consumer;
    const dispatcher = this.dispatcher(group, reader, options);
    consumer.dispatchers.add(dispatcher);
    let consuming = false;
    let failure: unknown;
    channel.on('error', (error) => {
      failure = error;
    });
    channel.on('close', () => {
      dispatcher.abort();
      dispatcher.drain().then(() => consumer.dispatchers.delete(dispatcher));
      if (consuming && !consumer.stopped) session.end(failure);
    });
    const queue = this.queueOf(group);
    // One active consumer, the others stand by: two would overtake each other.
    await session.answer(
      channel.assertQueue(queue, {
        durable: true,
        ...(this.#expiresMs !== undefined && { expires: this.#expiresMs }),
        arguments: { 'x-single-active-consumer': true },
      }),
    );
    for (const type of reader.types) await session.answer(channel.bindQueue(queue, `${this.prefix}all`, type));
    await session.answer(channel.prefetch(options.concurrency));
    const receive = (message: ConsumeMessage | null) => {
      if (message === null) return session.end(new Error(`the queue of ${group} was deleted`));
      const parsed = parseEvent(message.content.toString());
      const delivery = { ...this.delivery(channel, message, parsed.event), ...parsed };
      if (consumer.stopped) return;
      // A queue stays bound to the types of former readers. What is replayed came by no exchange: it is a dead letter again.
      const passes = message.fields.exchange !== '' && !reader.types.includes(parsed.event.type);
      if (passes && !parsed.unreadable) channel.ack(message);
      else dispatcher.accept(delivery).catch(() => {});
    };
    await session.answer(channel.consume(queue, receive));
    // Not before: a group that may not read its queue must not take the others' connection along.
    consuming = true;
    consumer.serving = { session, channel };
    if (consumer.stopped) await session.answer(channel.close());
  }

  async #stop(consumer: Consumer): Promise<void> {
    consumer.stopped = true;
    const { serving } = consumer;
    // Not cancelled before: the broker would have another go on behind the events that are still in hand here.
    await Promise.all([...consumer.dispatchers].map((each) => each.finish()));
    await serving?.session.answer(serving.channel.close()).catch(() => {});
    // Until now `close` waits for it too.
    this.#consumers.delete(consumer);
  }
}
