import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { inspect } from 'node:util';
import type { WebSocket } from 'ws';
import { toJson } from './channel-layer.ts';
import { InvalidArgumentError } from './errors.ts';
import type { JsonValue } from './message.ts';

/**
 * What one connection means to the application: the consumer of Django Channels
 * (https://channels.readthedocs.io/en/stable/topics/consumers.html). Its methods are called one after the other, each when the
 * one before it is done. What they throw closes this connection with 1011, and no other one.
 */
export interface Consumer {
  connect?(): void | Promise<void>;
  receive(content: JsonValue): void | Promise<void>;
  /** Called once, whatever happened before: what `connect` has begun ends here. `code` is that of RFC 6455, section 7.4. */
  disconnect?(code: number): void | Promise<void>;
}

/** What a consumer has in hand of its socket. */
export class Connection<User> {
  readonly id: string = randomUUID();
  readonly user: User;
  readonly socket: WebSocket;
  /** Something has come from it since the last heartbeat. */
  answered = true;
  readonly #write: (frame: Buffer) => void;
  readonly #hangUp: (code: number, reason: string) => void;

  constructor(
    user: User,
    socket: WebSocket,
    write: (frame: Buffer) => void,
    hangUp: (code: number, reason: string) => void,
  ) {
    this.user = user;
    this.socket = socket;
    this.#write = write;
    this.#hangUp = hangUp;
  }

  get open(): boolean {
    return this.socket.readyState === this.socket.OPEN;
  }

  /** To a connection that is closing nothing is sent. @throws InvalidArgumentError */
  send(content: JsonValue): void {
    this.#write(Buffer.from(toJson(content)));
  }

  /** One JSON text, encoded already: the same for many. */
  sendFrame(frame: Buffer): void {
    this.#write(frame);
  }

  /** Resolves when all that was sent until now has left for the network, or will never. */
  drained(): Promise<void> {
    return new Promise((resolve) => this.socket.ping(undefined, undefined, () => resolve()));
  }

  /**
   * @param code 1000, or one from 4000 to 4999 of one's own @param reason at most 123 bytes of UTF-8
   * @throws InvalidArgumentError
   */
  close(code = 1000, reason = ''): void {
    const known = code === 1000 || (Number.isInteger(code) && code >= 4000 && code <= 4999);
    if (!known || Buffer.byteLength(reason) > 123) {
      throw new InvalidArgumentError(
        `The end is ${inspect(code)}, ${inspect(reason)}: give 1000 or 4000 to 4999, and at most 123 bytes.`,
      );
    }
    this.#hangUp(code, reason);
  }
}

/**
 * The token that a page sends as `new WebSocket(url, ['chat', 'bearer.' + token])`: the one header that a page may set. In the
 * query it would stand in logs and histories; in a first message it would come when the socket is there already.
 */
export function bearerToken({ headers }: IncomingMessage): string | undefined {
  const offered = headers['sec-websocket-protocol']?.split(',') ?? [];
  const bearer = offered.map((each) => each.trim()).find((each) => each.startsWith(BEARER));
  return bearer?.slice(BEARER.length);
}

export const BEARER = 'bearer.';
