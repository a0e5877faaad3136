import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { ConfirmLedger } from './confirms.ts';
import { BrokerLostError, ChannelClosedError, QueueClosedError, reasonOf } from './errors.ts';
import { backoff, elapse, orAborted } from './wait.ts';

/** A connection without a sign of life for twice as long is a broken one. RabbitMQ alone would wait for 60. */
const HEARTBEAT_SECONDS = 10;

export interface LinkOptions {
  readonly url: string;
  /** Milliseconds that the broker may take for an answer; then the connection is given up. */
  readonly answerMs: number;
  /** Hears of each lost connection and each failed try to connect again. */
  readonly onError: (error: unknown) => void;
  readonly confirms: () => ConfirmLedger;
  /** What has to be declared, and what lives on it. Called for each connection. */
  readonly setUp: (session: Session) => Promise<void>;
}

/**
 * One connection with one publishing channel, from its handshake to its end. Whatever the broker takes away of it ends it
 * as a whole: so there is one way back from every loss, the next session.
 */
export class Session {
  readonly model: ChannelModel;
  readonly channel: ConfirmChannel;
  readonly confirms: ConfirmLedger;
  /** Aborts with a BrokerLostError or a ChannelClosedError when it is gone. */
  readonly gone: AbortSignal;
  readonly #end = new AbortController();
  readonly #socket: AbortController;
  readonly #answerMs: number;

  private constructor(model: ChannelModel, channel: ConfirmChannel, socket: AbortController, options: LinkOptions) {
    this.model = model;
    this.channel = channel;
    this.confirms = options.confirms();
    this.gone = this.#end.signal;
    this.#socket = socket;
    this.#answerMs = options.answerMs;
    model.on('error', (error) => this.end(error));
    model.on('close', (error) => this.end(error));
    channel.on('error', (error) => this.end(error, ChannelClosedError));
    channel.on('close', () => this.end());
    channel.on('ack', ({ deliveryTag, multiple }) => this.confirms.ack(deliveryTag, multiple));
    channel.on('nack', ({ deliveryTag, multiple }) => this.confirms.nack(deliveryTag, multiple));
    channel.on('return', ({ fields, properties }) => {
      const why = `exchange "${fields.exchange}", key "${fields.routingKey}"`;
      this.confirms.returned(Number(properties.headers?.[TAG]), why);
    });
  }

  /** @throws the client's error, what `setUp` throws, or the reason of `stop` */
  static async open(options: LinkOptions, stop: AbortSignal): Promise<Session> {
    const socket = new AbortController();
    const giveUp = () => socket.abort();
    stop.addEventListener('abort', giveUp);
    try {
      stop.throwIfAborted();
      const address = new URL(options.url);
      if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
      // `signal` is an option of the socket: the one way to be rid of a peer that no longer answers.
      const socketOptions = { timeout: options.answerMs, signal: socket.signal };
      const model = await connect(address.href, socketOptions);
      model.on('error', () => {});
      const session = new Session(model, await model.createConfirmChannel(), socket, options);
      await session.answer(options.setUp(session));
      return session;
    } catch (error) {
      socket.abort();
      throw stop.aborted ? stop.reason : error;
    } finally {
      stop.removeEventListener('abort', giveUp);
    }
  }

  /** Ends it without a word to the broker: what is not confirmed fails, what is not acknowledged comes again. */
  end(cause?: unknown, Reason: typeof BrokerLostError | typeof ChannelClosedError = BrokerLostError): void {
    if (this.gone.aborted) return;
    const why = cause === undefined ? 'it was closed' : reasonOf(cause);
    const lost = new Reason(`the connection to the broker is gone: ${why}. It comes back by itself.`, { cause });
    this.#end.abort(lost);
    this.confirms.fail(lost);
    this.#socket.abort();
  }

  /** The broker's answer. Where the connection ends without one, or none comes in time: @throws BrokerLostError */
  async answer<T>(request: Promise<T>): Promise<T> {
    request.catch(() => {});
    return this.inTime(orAborted(request, this.gone));
  }

  /** The same for what ends with the session by itself, as confirms do: without a listener for each. */
  async inTime<T>(request: Promise<T>): Promise<T> {
    const silence = setTimeout(() => this.end(new Error(`no answer within ${this.#answerMs} ms`)), this.#answerMs);
    try {
      return await request;
    } finally {
      clearTimeout(silence);
    }
  }
}

/** The header by which a returned message is told from others: only the publisher reads it. */
export const TAG = 'x-publish-tag';

/** A connection that comes back by itself: one session after another, until it is closed. */
export class Link {
  readonly #options: LinkOptions;
  readonly #stop = new AbortController();
  #next = Promise.withResolvers<Session>();
  #current: Session | undefined;
  #keeping: Promise<void> | undefined;

  private constructor(options: LinkOptions) {
    this.#options = options;
    this.#next.promise.catch(() => {});
  }

  /** Opens the first session. @throws the client's error: it is tried again only once it has worked */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    const first = await Session.open(options, link.#stop.signal);
    link.#keeping = link.#keep(first);
    return link;
  }

  /** The session of now, or the next one. @throws the signal's reason, or QueueClosedError */
  async session(signal?: AbortSignal): Promise<Session> {
    signal?.throwIfAborted();
    if (this.#current && !this.#current.gone.aborted) return this.#current;
    return orAborted(this.#next.promise, signal);
  }

  /** Says goodbye to the broker, whether it answers or not. */
  async close(): Promise<void> {
    this.#stop.abort(new QueueClosedError('it was closed: open another'));
    const session = this.#current;
    await session?.answer(session.model.close()).catch(() => {});
    session?.end();
    await this.#keeping;
  }

  async #keep(first: Session): Promise<void> {
    const stop = this.#stop.signal;
    let session: Session | undefined = first;
    for (let failures = 0; !stop.aborted; ) {
      if (session) {
        failures = 0;
        this.#current = session;
        this.#next.resolve(session);
        await new Promise((resolve) => session?.gone.addEventListener('abort', resolve));
        this.#next = Promise.withResolvers<Session>();
        this.#next.promise.catch(() => {});
        if (!stop.aborted) this.#options.onError(session.gone.reason);
      }
      await elapse(backoff(++failures), stop);
      session = await Session.open(this.#options, stop).catch((error: unknown) => {
        if (!stop.aborted) this.#options.onError(error);
        return undefined;
      });
    }
    session?.end();
    this.#next.reject(stop.reason);
  }
}
