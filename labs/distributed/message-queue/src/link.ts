import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import type { ConfirmLedger } from './confirms.ts';
import { BrokerLostError, ChannelClosedError, QueueClosedError, QueueError, reasonOf } from './errors.ts';
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
  /** Aborts when it is gone: with a BrokerLostError, a ChannelClosedError, or the reason of who has closed it. */
  readonly gone: AbortSignal;
  readonly #end = new AbortController();
  readonly #socket: AbortController;
  readonly #answerMs: number;
  readonly #stop: AbortSignal;

  private constructor(
    model: ChannelModel,
    channel: ConfirmChannel,
    socket: AbortController,
    stop: AbortSignal,
    options: LinkOptions,
  ) {
    this.model = model;
    this.channel = channel;
    this.confirms = options.confirms();
    this.gone = this.#end.signal;
    this.#socket = socket;
    this.#stop = stop;
    this.#answerMs = options.answerMs;
    model.on('error', (error) => this.end(error, isRefusal(error) ? ChannelClosedError : BrokerLostError));
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

  /** @throws BrokerLostError (`cause` has the client's), or what `setUp` throws */
  static async open(options: LinkOptions, stop: AbortSignal): Promise<Session> {
    const socket = new AbortController();
    const giveUp = () => socket.abort();
    stop.addEventListener('abort', giveUp);
    try {
      stop.throwIfAborted();
      const address = new URL(options.url);
      if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
      // `signal` is an option of the socket: the one way to be rid of a peer that no longer answers.
      // And no delay: by Nagle's algorithm a small frame waits 40 ms for the other side's delayed acknowledgement.
      const socketOptions = { timeout: options.answerMs, signal: socket.signal, noDelay: true };
      const model = await connect(address.href, socketOptions);
      model.on('error', () => {});
      const session = new Session(model, await model.createConfirmChannel(), socket, stop, options);
      await options.setUp(session);
      return session;
    } catch (error) {
      socket.abort();
      if (error instanceof QueueError) throw error;
      throw new BrokerLostError(`no connection to the broker: ${reasonOf(error)}`, { cause: error });
    } finally {
      stop.removeEventListener('abort', giveUp);
    }
  }

  /** Ends it without a word to the broker: what is not confirmed fails, what is not acknowledged comes again. */
  end(cause?: unknown, Reason: typeof BrokerLostError | typeof ChannelClosedError = BrokerLostError): void {
    if (this.gone.aborted) return;
    const why = cause === undefined ? 'it was closed' : reasonOf(cause);
    const lost = new Reason(`the connection to the broker is gone: ${why}. It comes back by itself.`, { cause });
    this.#end.abort(this.#stop.aborted ? this.#stop.reason : lost);
    this.confirms.fail(this.gone.reason);
    this.#socket.abort();
  }

  /**
   * The broker's answer.
   *
   * @throws BrokerLostError when the connection ends without one, or none comes in time; ChannelClosedError when it refuses
   */
  async answer<T>(request: Promise<T>): Promise<T> {
    request.catch(() => {});
    try {
      return await this.inTime(orAborted(request, this.gone));
    } catch (error) {
      if (error instanceof QueueError) throw error;
      for (const over of [this.#stop, this.gone]) over.throwIfAborted();
      throw new ChannelClosedError(`the broker has refused it: ${reasonOf(error)}`, { cause: error });
    }
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

/**
 * Whether the broker has closed the connection for what was sent on it (AMQP's codes from 500): that must not be sent
 * again. Others (320: an operator has closed it) say nothing of it.
 */
const isRefusal = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' && error.code >= 500;

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

  /** Opens the first session. @throws as `Session.open`: it is tried again only once it has worked */
  static async open(options: LinkOptions): Promise<Link> {
    const link = new Link(options);
    const first = await Session.open(options, link.#stop.signal);
    link.#keeping = link.#keep(first);
    return link;
  }

  /** The session of now, or the next one. @throws the signal's reason, or QueueClosedError */
  async session(signal?: AbortSignal): Promise<Session> {
    for (let session = this.#current; ; session = await orAborted(this.#next.promise, signal)) {
      signal?.throwIfAborted();
      this.#stop.signal.throwIfAborted();
      if (session && !session.gone.aborted) return session;
    }
  }

  /** Says goodbye to the broker, whether it answers or not. */
  async close(): Promise<void> {
    this.#stop.abort(new QueueClosedError('it was closed: open another'));
    const session = this.#current;
    await session?.answer(session.model.close()).catch(() => {});
    session?.end();
    await this.#keeping;
  }

  /** Whoever asks for a session from the very moment of the loss on gets the next one. */
  #lost(gone: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const lost = () => {
        this.#next = Promise.withResolvers<Session>();
        this.#next.promise.catch(() => {});
        resolve();
      };
      if (gone.aborted) lost();
      else gone.addEventListener('abort', lost);
    });
  }

  async #keep(first: Session): Promise<void> {
    const stop = this.#stop.signal;
    let session: Session | undefined = first;
    for (let failures = 0; !stop.aborted; ) {
      if (session) {
        failures = 0;
        this.#current = session;
        this.#next.resolve(session);
        await this.#lost(session.gone);
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
