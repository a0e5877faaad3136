import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { inform, pause, waitOf, within } from './dispatcher.ts';
import { ConnectionLostError } from './errors.ts';

/** A connection without a sign of life for twice as long is a broken one. RabbitMQ alone would wait for 60. */
const HEARTBEAT_SECONDS = 10;
/** A connection that stood for as many milliseconds is no failed try: the backoff begins anew. */
const STEADY_MS = 5000;

export interface SessionOptions {
  readonly url: string;
  /** Ends each session while it is being opened, at once, and lets none follow. */
  readonly stop: AbortSignal;
  /** Milliseconds that a handshake or an answer may take. */
  readonly answerMs: number;
  readonly backoffMs: (attempt: number) => number;
  readonly onError: (error: unknown) => void;
  /** Declares what lives on it. */
  readonly setUp: (session: Session) => Promise<void>;
}

/** A channel to publish on. */
export interface Publisher {
  readonly channel: ConfirmChannel;
  /** What the broker closed it over: an event, not the connection. */
  refusal?: Error;
  /** Resolves when there is another. */
  next?: Promise<unknown>;
}

/**
 * One connection, from its handshake to its end. What the broker takes away of it (a channel, a consumer) ends it as a
 * whole, so that there is one way back from every loss: the next session. All but the channel that is closed over an event
 * (larger than `max_message_size`, say): else that event would take the connection from all others, again and again.
 *
 * Why by hand: `amqp-connection-manager` keeps in memory what was not confirmed, and sends it when the connection is
 * back, behind what the relay has sent by then; the outbox is that memory already, and it survives us. The `recovery` of
 * amqplib itself restores the connection, but neither a channel nor a consumer that the broker has closed.
 */
export class Session {
  readonly connection: ChannelModel;
  /** Tickets of events that the broker could not route. */
  readonly unroutable = new Set<string>();
  /** Resolves when it is gone. */
  readonly over: Promise<ConnectionLostError>;
  readonly #resolve: (lost: ConnectionLostError) => void;
  readonly #cut: AbortController;
  readonly #answerMs: number;
  readonly #waiting = new Set<(lost: ConnectionLostError) => void>();
  #lost: ConnectionLostError | undefined;
  #publisher: Publisher;

  private constructor(connection: ChannelModel, channel: ConfirmChannel, cut: AbortController, answerMs: number) {
    this.connection = connection;
    this.#cut = cut;
    this.#answerMs = answerMs;
    const { promise, resolve } = Promise.withResolvers<ConnectionLostError>();
    this.over = promise;
    this.#resolve = resolve;
    connection.on('error', (error) => this.end(error));
    connection.on('close', (error) => this.end(error));
    this.#publisher = this.#publishOn(channel);
  }

  /** @throws ConnectionLostError, the client's error, or what `setUp` throws */
  static async open({ url, stop, answerMs, setUp }: SessionOptions): Promise<Session> {
    const cut = new AbortController();
    const giveUp = () => cut.abort();
    stop.addEventListener('abort', giveUp);
    try {
      stop.throwIfAborted();
      const address = new URL(url);
      if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
      // `signal` is an option of the socket: the one way to be rid of a peer that no longer answers.
      // And no delay: by Nagle's algorithm a small frame waits 40 ms for the other side's delayed acknowledgement.
      const options = { timeout: answerMs, signal: cut.signal, noDelay: true };
      // Only here: who has Redis alone needs no client of RabbitMQ.
      const { connect } = await import('amqplib');
      const connection = await connect(address.href, options);
      connection.on('error', () => {});
      // The client's own limit ends with the handshake, and its heartbeat is slow to tell.
      const channel = await within(answerMs, connection.createConfirmChannel());
      const session = new Session(connection, channel, cut, answerMs);
      await setUp(session);
      return session;
    } catch (error) {
      cut.abort();
      throw error;
    } finally {
      stop.removeEventListener('abort', giveUp);
    }
  }

  get publisher(): Publisher {
    return this.#publisher;
  }

  /** Why it is gone; undefined while it is not. */
  get lost(): ConnectionLostError | undefined {
    return this.#lost;
  }

  /** Ends it without a word to the broker: what is not confirmed fails, what is not acknowledged comes again. */
  end(cause?: unknown): void {
    if (this.#lost !== undefined) return;
    const why = cause instanceof Error ? cause.message : 'it was closed';
    this.#lost = new ConnectionLostError(`the connection to the broker is gone: ${why}. It comes back by itself.`, {
      cause,
    });
    this.#resolve(this.#lost);
    for (const reject of this.#waiting) reject(this.#lost);
    this.#cut.abort();
  }

  /** The broker's answer. Where the connection ends without one, or none comes in time: @throws ConnectionLostError */
  async answer<T>(request: Promise<T>): Promise<T> {
    const silence = setTimeout(() => this.end(new Error(`no answer within ${this.#answerMs} ms`)), this.#answerMs);
    // Not `over`: what waits on a promise stays with it, and a connection may stand for months.
    const { promise: gone, reject } = Promise.withResolvers<never>();
    this.#waiting.add(reject);
    if (this.#lost !== undefined) reject(this.#lost);
    try {
      return await Promise.race([request, gone]);
    } finally {
      clearTimeout(silence);
      this.#waiting.delete(reject);
    }
  }

  #publishOn(channel: ConfirmChannel): Publisher {
    const publisher: Publisher = { channel };
    channel.on('error', (error) => {
      if (!isVerdict(error)) return this.end(error);
      publisher.refusal = error;
      publisher.next = this.connection.createConfirmChannel().then((next) => {
        this.#publisher = this.#publishOn(next);
      });
      publisher.next.catch((lost: unknown) => this.end(lost));
    });
    channel.on('close', () => publisher.refusal ?? this.end());
    channel.on('return', ({ properties }) => this.unroutable.add(properties.headers?.['ticket']));
    return publisher;
  }

  /** Says goodbye to the broker, and is gone, whether it answers or not. */
  async close(): Promise<void> {
    await this.answer(this.connection.close()).catch(() => {});
    this.end();
  }
}

/** ACCESS_REFUSED or PRECONDITION_FAILED: said of what was published. */
const isVerdict = (error: Error): boolean => 'code' in error && (error.code === 403 || error.code === 406);

/** A connection that comes back by itself: one session after another, until it is closed. */
export class Sessions {
  readonly #options: SessionOptions;
  #present: Session | undefined;
  #keeping: Promise<void> | undefined;

  private constructor(options: SessionOptions) {
    this.#options = options;
  }

  /** Opens the first. @throws the client's error; it is tried again only once it has worked */
  static async open(options: SessionOptions): Promise<Sessions> {
    const sessions = new Sessions(options);
    sessions.#keeping = sessions.#keep(await Session.open(options));
    return sessions;
  }

  /** @throws ConnectionLostError while there is none */
  get present(): Session {
    if (this.#present?.lost) throw this.#present.lost;
    if (this.#present) return this.#present;
    throw new ConnectionLostError('no connection to the broker at the moment: it comes back by itself, try again');
  }

  /** Says goodbye to the broker. `stop` has to have aborted. */
  async close(): Promise<void> {
    await this.#present?.close();
    await this.#keeping;
  }

  async #keep(first: Session): Promise<void> {
    const { stop, backoffMs, onError } = this.#options;
    let session: Session | undefined = first;
    for (let attempt = 1; ; attempt++) {
      if (session !== undefined) {
        this.#present = session;
        const since = performance.now();
        // It may have been opened while it was to be closed.
        if (stop.aborted && session !== first) session.end();
        const lost = await session.over;
        this.#present = undefined;
        if (performance.now() - since > STEADY_MS) attempt = 1;
        if (!stop.aborted) inform(onError, lost);
      }
      if (stop.aborted) return;
      await pause(waitOf(backoffMs, attempt), stop);
      session = await Session.open(this.#options).catch((error: unknown) => {
        if (!stop.aborted) inform(onError, error);
        return undefined;
      });
    }
  }
}
