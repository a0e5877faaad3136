import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { ConnectionLostError } from './errors.ts';

/** Milliseconds that a handshake or an answer may take. */
const ANSWER_MS = 10_000;
/** A connection without a sign of life for twice as long is a broken one. RabbitMQ alone would wait for 60. */
const HEARTBEAT_SECONDS = 10;

/**
 * One connection, from its handshake to its end. What the broker takes away of it (a channel, a consumer) ends it as a
 * whole, so that there is one way back from every loss: the next session.
 *
 * Why by hand: `amqp-connection-manager` keeps in memory what was not confirmed, and sends it when the connection is
 * back, behind what the relay has sent by then; the outbox is that memory already, and it survives us. The `recovery` of
 * amqplib itself restores the connection, but neither a channel nor a consumer that the broker has closed.
 */
export class Session {
  readonly connection: ChannelModel;
  readonly publisher: ConfirmChannel;
  /** Ids of events that the broker could not route. */
  readonly unroutable = new Set<string>();
  /** Resolves when it is gone. */
  readonly over: Promise<ConnectionLostError>;
  readonly #resolve: (lost: ConnectionLostError) => void;
  readonly #cut: AbortController;
  #lost: ConnectionLostError | undefined;

  private constructor(connection: ChannelModel, publisher: ConfirmChannel, cut: AbortController) {
    this.connection = connection;
    this.publisher = publisher;
    this.#cut = cut;
    const { promise, resolve } = Promise.withResolvers<ConnectionLostError>();
    this.over = promise;
    this.#resolve = resolve;
    connection.on('error', (error) => this.end(error));
    connection.on('close', (error) => this.end(error));
    publisher.on('error', (error) => this.end(error));
    publisher.on('close', () => this.end());
    publisher.on('return', (message) => this.unroutable.add(message.properties.messageId));
  }

  /**
   * @param stop ends it while it is being opened, at once
   * @param setUp declares what lives on it @throws the client's error, or what `setUp` throws
   */
  static async open(url: string, stop: AbortSignal, setUp: (session: Session) => Promise<void>): Promise<Session> {
    const cut = new AbortController();
    const giveUp = () => cut.abort();
    stop.addEventListener('abort', giveUp);
    try {
      stop.throwIfAborted();
      const address = new URL(url);
      if (!address.searchParams.has('heartbeat')) address.searchParams.set('heartbeat', String(HEARTBEAT_SECONDS));
      // `signal` is an option of the socket: the one way to be rid of a peer that no longer answers.
      const options = { timeout: ANSWER_MS, signal: cut.signal };
      const connection = await connect(address.href, options);
      connection.on('error', () => {});
      const session = new Session(connection, await connection.createConfirmChannel(), cut);
      await setUp(session);
      return session;
    } catch (error) {
      cut.abort();
      throw error;
    } finally {
      stop.removeEventListener('abort', giveUp);
    }
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
    this.#cut.abort();
  }

  /** The broker's answer. Where the connection ends without one, or nothing comes for 10 s: @throws ConnectionLostError */
  async answer<T>(request: Promise<T>): Promise<T> {
    const silence = setTimeout(() => this.end(new Error(`no answer within ${ANSWER_MS} ms`)), ANSWER_MS);
    const gone = this.over.then((lost) => Promise.reject(lost));
    try {
      return await Promise.race([request, gone]);
    } finally {
      clearTimeout(silence);
    }
  }

  /** Says goodbye to the broker, and is gone, whether it answers or not. */
  async close(): Promise<void> {
    await this.answer(this.connection.close()).catch(() => {});
    this.end();
  }
}
