import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import {
  type Bus,
  type Cemetery,
  completeOptions,
  type Delivery,
  type SubscribeOptions,
  type Subscription,
} from './bus.ts';
import { Dispatcher } from './dispatcher.ts';
import { BusClosedError, UnroutableError } from './errors.ts';
import type { Envelope, Reader } from './event.ts';

export interface RabbitOptions {
  /** Of the exchange's and the queues' names. Default "events.". */
  readonly prefix?: string;
  /** Milliseconds after which a queue without a consumer goes, with its events. For tests. Default: never. */
  readonly expiresMs?: number;
}

const PREFIX = 'events.';

/**
 * RabbitMQ: a topic exchange, and a durable queue for each service. Publishing is confirmed and mandatory: an event that
 * no queue takes is an error, not a silence. When the connection breaks, `closed` resolves: open another bus.
 */
export class RabbitBus implements Bus {
  /** Resolves when the connection is gone, with the error if there was one. */
  readonly closed: Promise<Error | undefined>;
  readonly #connection: ChannelModel;
  readonly #publisher: ConfirmChannel;
  readonly #dead: Cemetery;
  protected readonly prefix: string;
  readonly #expiresMs: number | undefined;
  readonly #unroutable = new Set<string>();
  readonly #subscriptions = new Set<Subscription>();
  #gone: BusClosedError | undefined;

  protected constructor(connection: ChannelModel, publisher: ConfirmChannel, dead: Cemetery, options: RabbitOptions) {
    this.#connection = connection;
    this.#publisher = publisher;
    this.#dead = dead;
    this.prefix = options.prefix ?? PREFIX;
    this.#expiresMs = options.expiresMs;
    publisher.on('return', (message) => this.#unroutable.add(message.properties.messageId));
    publisher.on('error', () => {});
    const { promise, resolve } = Promise.withResolvers<Error | undefined>();
    this.closed = promise;
    let failure: Error | undefined;
    connection.on('error', (error: Error) => {
      failure = error;
    });
    connection.on('close', () => {
      this.#gone ??= new BusClosedError(`the connection is gone (${failure?.message ?? 'closed'}): open another bus`);
      resolve(failure);
    });
  }

  /** Connects and declares the exchange. @throws the client's error */
  static async open(url: string, dead: Cemetery, options: RabbitOptions = {}): Promise<RabbitBus> {
    const connection = await connect(url);
    connection.on('error', () => {});
    const publisher = await connection.createConfirmChannel();
    const passing = options.expiresMs !== undefined;
    await publisher.assertExchange(`${options.prefix ?? PREFIX}all`, 'topic', { durable: true, autoDelete: passing });
    return new this(connection, publisher, dead, options);
  }

  async publish(events: readonly Envelope[], only?: string): Promise<void> {
    if (this.#gone) throw this.#gone;
    const taken = await Promise.allSettled(events.map((event) => this.send(this.#publisher, event, only)));
    for (const each of taken) if (each.status === 'rejected') throw this.#gone ?? each.reason;
    // The broker returns what it can't route before it confirms it.
    const homeless = events.filter(({ id }) => this.#unroutable.delete(id));
    const [first] = homeless;
    if (first) {
      throw new UnroutableError(
        `${homeless.length} of ${events.length} events have no queue, the first a ${first.type}: subscribe a group to it`,
      );
    }
  }

  /** Resolves when the broker has confirmed. */
  protected send(channel: ConfirmChannel, event: Envelope, only?: string): Promise<void> {
    const [exchange, route] = only === undefined ? [`${this.prefix}all`, event.type] : ['', this.queueOf(only)];
    const properties = { persistent: true, mandatory: true, messageId: event.id, contentType: 'application/json' };
    return new Promise((resolve, reject) => {
      const confirmed = (error: unknown) => (error ? reject(error) : resolve());
      channel.publish(exchange, route, Buffer.from(JSON.stringify(event)), properties, confirmed);
    });
  }

  async subscribe(group: string, reader: Reader, options: SubscribeOptions = {}): Promise<Subscription> {
    const settings = completeOptions(group, options);
    if (this.#gone) throw this.#gone;
    const channel = await this.#connection.createChannel();
    channel.on('error', () => {});
    const queue = this.queueOf(group);
    // One active consumer, the others stand by: two would overtake each other.
    await channel.assertQueue(queue, {
      durable: true,
      ...(this.#expiresMs !== undefined && { expires: this.#expiresMs }),
      arguments: { 'x-single-active-consumer': true },
    });
    for (const type of reader.types) await channel.bindQueue(queue, `${this.prefix}all`, type);
    await channel.prefetch(settings.concurrency);
    const dispatcher = this.dispatcher(group, reader, settings);
    channel.on('close', () => dispatcher.abort());
    const { consumerTag } = await channel.consume(queue, (message) => {
      if (message === null) return;
      const event: Envelope = JSON.parse(message.content.toString());
      dispatcher.accept(this.delivery(channel, message, event)).catch(() => {});
    });
    const subscription = {
      stop: async () => {
        this.#subscriptions.delete(subscription);
        await channel.cancel(consumerTag).catch(() => {});
        await dispatcher.drain();
        await channel.close().catch(() => {});
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((each) => each.stop()));
    this.#gone ??= new BusClosedError('the bus is closed: open another');
    await this.#connection.close().catch(() => {});
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
}
