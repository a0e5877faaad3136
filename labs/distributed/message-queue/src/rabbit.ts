import { randomUUID } from 'node:crypto';
import { type Channel, type ConsumeMessage, IllegalOperationError, type Message, type Options } from 'amqplib';
import { type ConfirmLedger, Confirms } from './confirms.ts';
import { BadArgumentError, BrokerLostError, PermanentError, QueueClosedError, QueueError, reasonOf } from './errors.ts';
import { Link, type LinkOptions, type Session, TAG } from './link.ts';
import type { Binding, ExchangeType } from './routing.ts';
import { checkContent, checkText, checkWholeNumber, MOST, orAborted, settledWithin } from './wait.ts';

export interface Topology {
  /** All durable. */
  readonly exchanges?: readonly { readonly name: string; readonly type: ExchangeType }[];
  readonly queues: readonly QueueSpec[];
}

/** A durable quorum queue. With it go `NAME.dead`, and for each delay a queue in which a failed message waits. */
export interface QueueSpec {
  readonly name: string;
  readonly bindings?: readonly (Omit<Binding, 'queue'> & { readonly exchange: string })[];
  /** Milliseconds before the second, third, … attempt. Behind the last one it is a dead letter. Default 1 s, 10 s, 60 s. */
  readonly retryDelaysMs?: readonly number[];
  /** Deliveries without an answer (their consumers died) after which it is a dead letter. Default 20, as RabbitMQ 4's. */
  readonly deliveryLimit?: number;
}

export interface OutgoingMessage {
  /** "" leads to the queue that is named by `key`. */
  readonly exchange: string;
  readonly key: string;
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, unknown>>;
  /** The same for each copy of it: by this a consumer knows a message that came twice. Default: a random UUID. */
  readonly id?: string;
}

export interface Received {
  readonly id: string;
  readonly key: string;
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, unknown>>;
  /** From 1. Deliveries whose consumer died are not counted. */
  readonly attempt: number;
  /** It was given out before, and nobody has acknowledged it. */
  readonly redelivered: boolean;
}

/** What it throws is the reason for a retry. The signal aborts when the message was taken away, or on close. */
export type Handler = (message: Received, signal: AbortSignal) => Promise<unknown> | unknown;

export interface RabbitOptions {
  readonly topology: Topology;
  /** Milliseconds that the broker may take for an answer, a confirm included. Default 10,000. */
  readonly answerMs?: number;
  /** Milliseconds that handlers may take to end once they are stopped; then their messages come again. Default 5000. */
  readonly graceMs?: number;
  /** Hears of each lost connection and each failed try to connect again. Default: nobody does. */
  readonly onError?: (error: unknown) => void;
}

const ATTEMPT = 'x-attempt';
/** The routing key under which a copy first came. */
const FIRST_KEY = 'x-first-key';
const DELAYS = [1000, 10_000, 60_000];
const DELIVERIES = 20;

/** Messages through RabbitMQ that are not lost: confirmed, acknowledged after the work, retried, and kept when they can't be handled. */
export class Rabbit {
  readonly #options: Required<Omit<RabbitOptions, 'topology'>>;
  readonly #queues: ReadonlyMap<string, Required<QueueSpec>>;
  readonly #topology: Topology;
  readonly #exchanges: ReadonlySet<string>;
  readonly #consumers = new Set<QueueConsumer>();
  // A broker short of memory reads nothing more from who publishes, acknowledgements included: so there are two.
  #publishing: Link | undefined;
  #consuming: Link | undefined;
  #closing = false;

  protected constructor(options: RabbitOptions) {
    const { topology, answerMs = 10_000, graceMs = 5000, onError = () => {} } = options;
    checkWholeNumber(answerMs, 'answerMs', 1, MOST);
    checkWholeNumber(graceMs, 'graceMs', 0, MOST);
    this.#topology = structuredClone(checked(topology));
    this.#exchanges = new Set(this.#topology.exchanges?.map(({ name }) => name));
    this.#queues = new Map(
      this.#topology.queues.map(({ name, bindings = [], retryDelaysMs = DELAYS, deliveryLimit = DELIVERIES }) => [
        name,
        { name, bindings, retryDelaysMs, deliveryLimit },
      ]),
    );
    // What it throws is uncaught, and stops nothing here.
    this.#options = { answerMs, graceMs, onError: (error) => queueMicrotask(() => onError(error)) };
  }

  /**
   * Connects and declares the topology.
   *
   * @throws BadArgumentError, BrokerLostError, or ChannelClosedError (a queue is there with other arguments)
   */
  static async open(url: string, options: RabbitOptions): Promise<Rabbit> {
    if (!/^amqps?:/.test(url) || !URL.canParse(url))
      throw new BadArgumentError('the address is no amqp:// or amqps:// URL');
    const rabbit = new this(options);
    const common = { ...rabbit.#options, url, confirms: () => rabbit.confirms() };
    const declare = (session: Session) => rabbit.declare(session);
    const serve: LinkOptions['setUp'] = async (session) => {
      for (const consumer of rabbit.#consumers) await rabbit.serve(session, consumer);
    };
    try {
      rabbit.#publishing = await Link.open({ ...common, setUp: declare });
      rabbit.#consuming = await Link.open({
        ...common,
        setUp: (session) => declare(session).then(() => serve(session)),
      });
    } catch (error) {
      await rabbit.close();
      throw error;
    }
    return rabbit;
  }

  /**
   * Resolves once the broker has it in a queue, on disk. A connection that breaks before is waited for, and the message
   * is sent again: it may arrive twice, with one id.
   *
   * @throws UnroutableMessageError, RefusedError, BadArgumentError, ChannelClosedError, QueueClosedError, or the signal's reason
   */
  async send(message: OutgoingMessage, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (message.exchange !== '' && !this.#exchanges.has(message.exchange)) {
      // Sent all the same, it would close the channel, for the others too.
      throw new BadArgumentError(`exchange ${message.exchange} is not in the topology`);
    }
    checkText(message.key, 'a key', 0);
    if (message.id !== undefined) checkText(message.id, 'an id');
    checkContent(message.body, 'a body');
    const content = Buffer.from(message.body);
    const properties = { ...message, messageId: message.id ?? randomUUID(), headers: { ...message.headers } };
    for (const [name, value] of Object.entries(properties.headers)) checkHeader(value, name);
    for (;;) {
      const session = await this.#link(this.#publishing).session(signal);
      try {
        return await orAborted(session.inTime(this.publish(session, { ...properties, content })), signal);
      } catch (error) {
        if (error instanceof BrokerLostError) continue;
        if (error instanceof IllegalOperationError) {
          // The client says that its channel is closed. Nothing was sent.
          session.end(error);
          continue;
        }
        if (error instanceof QueueError || signal?.aborted) throw error;
        // The client can't encode it. It has been counted and not sent: the tags of all that follow would be wrong.
        session.end(error);
        throw new BadArgumentError(`the message can't be sent: ${reasonOf(error)}`, { cause: error });
      }
    }
  }

  /** Handles what is in a queue of the topology. @throws BadArgumentError, BrokerLostError, ChannelClosedError, QueueClosedError */
  async consume(
    queue: string,
    handler: Handler,
    { prefetch = 10 }: { /** Messages at once, from 1. Default 10. */ readonly prefetch?: number } = {},
  ): Promise<{ stop(): Promise<void> }> {
    checkWholeNumber(prefetch, 'prefetch', 1, 65_535);
    const consumer = new QueueConsumer(this.#known(queue), handler, prefetch);
    const session = await this.#link(this.#consuming).session();
    if (this.#closing) throw new QueueClosedError('it is being closed: open another');
    this.#consumers.add(consumer);
    try {
      await this.serve(session, consumer);
    } catch (error) {
      this.#consumers.delete(consumer);
      throw error;
    }
    return { stop: () => this.#stop(consumer) };
  }

  /**
   * Sends the dead letters of a queue back into it, as new: those that are there now. How many it were.
   *
   * @throws BrokerLostError, and as `send` does
   */
  async replay(queue: string): Promise<number> {
    const { name } = this.#known(queue);
    const session = await this.#link(this.#consuming).session();
    const channel = await session.answer(session.model.createChannel());
    try {
      const { messageCount } = await session.answer(channel.checkQueue(`${name}.dead`));
      for (let count = 0; ; count++) {
        // Some may be dead again by now.
        if (count === messageCount) return count;
        const letter = await session.answer(channel.get(`${name}.dead`));
        if (letter === false) return count;
        await this.send({ ...copyOf(letter, 1), key: name });
        channel.ack(letter);
      }
    } finally {
      await session.answer(channel.close()).catch(() => {});
    }
  }

  /** Waits for handlers, `graceMs` at most, then says goodbye. What is not sent by then throws QueueClosedError. */
  async close(): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#consumers].map((each) => this.#stop(each)));
    await Promise.all([this.#publishing?.close(), this.#consuming?.close()]);
  }

  protected confirms(): ConfirmLedger {
    return new Confirms();
  }

  protected async declare(session: Session): Promise<void> {
    const { channel } = session;
    const quorum = { 'x-queue-type': 'quorum' };
    const back = {
      'x-dead-letter-exchange': '',
      // A message leaves its queue when the next one has confirmed it. Needs the overflow below.
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    };
    const assert = (name: string, args: object) =>
      session.answer(channel.assertQueue(name, { arguments: { ...quorum, ...args } }));
    for (const { name, type } of this.#topology.exchanges ?? []) {
      await session.answer(channel.assertExchange(name, type));
    }
    for (const { name, bindings, retryDelaysMs, deliveryLimit } of this.#queues.values()) {
      await assert(`${name}.dead`, {});
      await assert(name, { ...back, 'x-dead-letter-routing-key': `${name}.dead`, 'x-delivery-limit': deliveryLimit });
      for (const ms of retryDelaysMs) {
        await assert(`${name}.${ms}ms`, { ...back, 'x-dead-letter-routing-key': name, 'x-message-ttl': ms });
      }
      for (const { exchange, key = '', headers } of bindings) {
        await session.answer(channel.bindQueue(name, exchange, key, headers));
      }
    }
  }

  /** Resolves when the broker has confirmed it, and a queue has it. */
  protected async publish({ channel, confirms }: Session, message: Publication): Promise<void> {
    const { exchange, key, content, messageId, headers } = message;
    const { tag, settled } = confirms.next();
    const options: Options.Publish = {
      messageId,
      persistent: true,
      mandatory: true,
      headers: { ...headers, [TAG]: tag },
    };
    channel.publish(exchange, key, content, options);
    await settled;
  }

  /** Begins to consume, on a channel of its own: its tags are its own too. */
  protected async serve(session: Session, consumer: QueueConsumer): Promise<void> {
    const channel = await session.answer(session.model.createChannel());
    let failure: unknown;
    channel.on('error', (error) => {
      failure = error;
    });
    channel.on('close', () => {
      if (!consumer.stopped) session.end(failure);
    });
    const receive = (message: ConsumeMessage | null) => {
      if (message === null) return session.end(new Error(`the queue ${consumer.queue.name} was deleted`));
      if (!consumer.stopped) consumer.track(this.#deliver(channel, message, consumer, session));
    };
    const { name } = consumer.queue;
    const { consumerTag } = await session.answer(this.begin(channel, { name, prefetch: consumer.prefetch }, receive));
    consumer.cancel = () => session.answer(channel.cancel(consumerTag));
    consumer.leave = () => session.answer(channel.close());
    if (consumer.stopped) await consumer.leave();
  }

  protected async begin(
    channel: Channel,
    { name, prefetch }: { readonly name: string; readonly prefetch: number },
    receive: (message: ConsumeMessage | null) => void,
  ) {
    await channel.prefetch(prefetch);
    return channel.consume(name, receive, { noAck: false });
  }

  /** One delivery: the work, and only then the acknowledgement. `signal` aborts when it is no longer ours. */
  protected async work(channel: Channel, message: ConsumeMessage, consumer: QueueConsumer, signal: AbortSignal) {
    try {
      await consumer.handler(received(message), signal);
    } catch (error) {
      if (!signal.aborted) await this.setAside(message, error, consumer);
    }
    // On the channel that has delivered it: elsewhere its tag is unknown, or another message's.
    if (!signal.aborted) channel.ack(message);
  }

  /** A copy into the queue of the next delay, or of the dead. The original is acknowledged once that is confirmed. */
  protected async setAside(message: ConsumeMessage, error: unknown, { queue, cut }: QueueConsumer): Promise<void> {
    const attempt = attemptOf(message);
    const delayMs = error instanceof PermanentError ? undefined : queue.retryDelaysMs[attempt - 1];
    const key = delayMs === undefined ? `${queue.name}.dead` : `${queue.name}.${delayMs}ms`;
    const copy = copyOf(message, delayMs === undefined ? attempt : attempt + 1, reasonOf(error));
    await this.send({ ...copy, key }, { signal: cut });
  }

  async #deliver(channel: Channel, message: ConsumeMessage, consumer: QueueConsumer, session: Session) {
    const { gone } = session;
    const life = new AbortController();
    const lose = () => life.abort(gone.aborted ? gone.reason : consumer.cut.reason);
    gone.addEventListener('abort', lose);
    consumer.cut.addEventListener('abort', lose);
    try {
      await this.work(channel, message, consumer, life.signal);
    } catch (error) {
      // The message could not be put aside: it stays with the broker, and comes again after the connection.
      session.end(error);
    } finally {
      gone.removeEventListener('abort', lose);
      consumer.cut.removeEventListener('abort', lose);
    }
  }

  #known(queue: string): Required<QueueSpec> {
    const known = this.#queues.get(queue);
    if (known) return known;
    throw new BadArgumentError(`queue ${queue} is not in the topology: it has ${[...this.#queues.keys()].join(', ')}`);
  }

  async #stop(consumer: QueueConsumer): Promise<void> {
    this.#consumers.delete(consumer);
    await consumer.stop(this.#options.graceMs);
  }

  #link(link: Link | undefined): Link {
    if (link === undefined) throw new QueueClosedError('it is not open');
    return link;
  }
}

export interface Publication {
  readonly exchange: string;
  readonly key: string;
  readonly content: Buffer;
  readonly messageId: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** A consumer's life, across connections. */
export class QueueConsumer {
  readonly queue: Required<QueueSpec>;
  readonly handler: Handler;
  readonly prefetch: number;
  cancel: () => Promise<unknown> = async () => {};
  leave: () => Promise<unknown> = async () => {};
  stopped = false;
  readonly #cut = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(queue: Required<QueueSpec>, handler: Handler, prefetch: number) {
    this.queue = queue;
    this.handler = handler;
    this.prefetch = prefetch;
  }

  /** Aborts when its handlers have had their time. */
  get cut(): AbortSignal {
    return this.#cut.signal;
  }

  track(work: Promise<void>): void {
    const running = work.finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async stop(graceMs: number): Promise<void> {
    this.stopped = true;
    await this.cancel().catch(() => {});
    await settledWithin(this.#running, graceMs);
    this.#cut.abort(new QueueClosedError('the consumer was stopped'));
    await this.leave().catch(() => {});
  }
}

export function received(message: ConsumeMessage): Received {
  const { fields, properties, content } = message;
  // Without our own: whoever passes the headers on would pass the attempts on too. And a copy, as the body is.
  const { [ATTEMPT]: _attempt, [FIRST_KEY]: _first, [TAG]: _tag, ...headers } = copiedTable(properties.headers ?? {});
  return Object.freeze({
    id: String(properties.messageId ?? ''),
    key: keyOf(message),
    // What a handler does to it must not be in the next attempt.
    body: Buffer.from(content),
    headers: Object.freeze(headers),
    attempt: attemptOf(message),
    redelivered: fields.redelivered,
  });
}

const copiedTable = (table: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(table).map(([name, value]) => [name, copied(value)]));

function copied(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (Array.isArray(value)) return value.map(copied);
  return typeof value === 'object' && value !== null ? copiedTable(value) : value;
}

/** The key under which it came first: a copy comes by its queue's name, and only of a copy its header is ours. */
function keyOf({ fields, properties }: Message): string {
  const first: unknown = properties.headers?.[FIRST_KEY];
  return fields.exchange === '' && typeof first === 'string' ? first : fields.routingKey;
}

export const attemptOf = ({ properties }: Message): number => {
  const attempt: unknown = properties.headers?.[ATTEMPT];
  return typeof attempt === 'number' && Number.isSafeInteger(attempt) && attempt > 0 ? attempt : 1;
};

/** The message as it is sent again, to a queue: without what the broker has noted of its way. */
export function copyOf(message: Message, attempt: number, reason?: string) {
  const { properties, content } = message;
  // CC names more queues: a copy is for one.
  const noted = /^(x-(death|first-death-|last-death-|delivery-count|acquired-count|reason)|B?CC$)/;
  const own = Object.entries(properties.headers ?? {}).filter(([name]) => !noted.test(name) && name !== TAG);
  const headers: Record<string, unknown> = {
    ...Object.fromEntries(own),
    [FIRST_KEY]: keyOf(message),
    [ATTEMPT]: attempt,
  };
  if (reason !== undefined) headers['x-reason'] = reason.slice(0, 1000).toWellFormed();
  const id: unknown = properties.messageId;
  return { exchange: '', body: content, headers, ...(typeof id === 'string' && id !== '' && { id }) };
}

/** What AMQP's tables keep. One number that is none ends the connection, for all who use it. */
function checkHeader(value: unknown, name: string): void {
  if (value === null || value === undefined || typeof value === 'boolean' || Buffer.isBuffer(value)) return;
  if (typeof value === 'string' ? value.isWellFormed() : Number.isFinite(value)) return;
  const plain = typeof value === 'object' && [Object.prototype, null].includes(Object.getPrototypeOf(value));
  if (!plain && !Array.isArray(value)) {
    throw new BadArgumentError(`header ${name} must be text, a number, a boolean, bytes, or made of such ones`);
  }
  for (const each of Object.values(value)) checkHeader(each, name);
}

function checked(topology: Topology): Topology {
  for (const { name } of topology.exchanges ?? []) checkText(name, "an exchange's name");
  for (const { name, bindings = [], retryDelaysMs = DELAYS, deliveryLimit = DELIVERIES } of topology.queues) {
    checkText(name, "a queue's name");
    checkText(`${name}.${MOST}ms`, "a queue's name, with the delay behind it,");
    for (const ms of retryDelaysMs) checkWholeNumber(ms, 'a retry delay', 1, MOST);
    checkWholeNumber(deliveryLimit, 'deliveryLimit', 1, MOST);
    for (const { exchange, key = '' } of bindings) {
      checkText(exchange, 'the exchange of a binding');
      checkText(key, 'the key of a binding', 0);
    }
  }
  return topology;
}
