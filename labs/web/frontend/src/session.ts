import { SignedOutError } from './errors.ts';
import { reported } from './store.ts';

export interface SessionOptions {
  /** The access token. Default: none yet; who is refused without one asks for one. */
  readonly token?: string | undefined;
  /**
   * Asks for a new access token. It rejects with a SignedOutError where the server refuses: that, and nothing else, ends the
   * session. A server that can't be reached has refused nobody.
   */
  readonly renew: () => Promise<string>;
  /** Called once, when the session has ended. */
  readonly onEnd?: () => void;
}

/** What a request needs of a session. */
export interface Tokens {
  readonly token: string | undefined;
  readonly renewed: (refused: string | undefined) => Promise<string>;
  readonly end: () => void;
}

/**
 * An access token that is renewed by one request, however many find it expired. A refresh token is good for once: a second
 * request with it looks like a thief's, and the server ends the session (RFC 9700, section 4.14.2).
 */
export class Session implements Tokens {
  protected readonly options: SessionOptions;
  protected current: string | undefined;
  protected ended = false;
  #flight: Promise<string> | undefined;

  constructor(options: SessionOptions) {
    this.options = options;
    this.current = options.token;
  }

  /** The token to send, if there is one. */
  get token(): string | undefined {
    return this.current;
  }

  /**
   * @param refused the token that was refused; undefined where none was sent. Where another has taken its place by now, that is
   * the answer: the 401 of a slow request may come after the renewal that it calls for.
   * @throws SignedOutError, or what `renew` rejects with
   */
  renewed(refused: string | undefined): Promise<string> {
    if (this.ended) return Promise.reject(new SignedOutError());
    if (this.current !== undefined && this.current !== refused) return Promise.resolve(this.current);
    this.#flight ??= this.renew().finally(() => {
      this.#flight = undefined;
    });
    return this.#flight;
  }

  /** Forgets the token, for good: who signs in again has a new session. What `onEnd` throws is nobody's here: it is reported. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.current = undefined;
    reported(() => this.options.onEnd?.());
  }

  /** Asks, keeps the answer, and ends the session where it is refused. */
  protected async renew(): Promise<string> {
    try {
      const token = await this.options.renew();
      // Who signs out meanwhile stays signed out.
      if (this.ended) throw new SignedOutError();
      this.current = token;
      return token;
    } catch (error) {
      if (error instanceof SignedOutError) this.end();
      throw error;
    }
  }
}
