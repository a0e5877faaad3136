/**
 * All errors of this package; tell them apart by class or by `code`. No message and no cause of theirs has a token in it.
 * `statusCode` and `headers` are those of a response: Fastify sends them as they are.
 */
export abstract class AuthError extends Error {
  abstract readonly code: string;
  readonly statusCode: number = 400;
  readonly headers: Readonly<Record<string, string>> = {};

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument or a setting that nothing could be done with, or nothing safe. */
export class InvalidArgumentError extends AuthError {
  readonly code = 'INVALID_ARGUMENT';
  override readonly statusCode = 500;
}

/** The request brings no token. By RFC 6750, section 3.1, the answer says which scheme is wanted, and of no error. */
export class TokenMissingError extends AuthError {
  readonly code = 'TOKEN_MISSING';
  override readonly statusCode = 401;
  override readonly headers = { 'www-authenticate': 'Bearer' };

  constructor() {
    super('No token: send "Authorization: Bearer …".');
  }
}

/** An Authorization header of the scheme Bearer that is none. */
export class MalformedRequestError extends AuthError {
  readonly code = 'MALFORMED_REQUEST';
  override readonly headers = { 'www-authenticate': 'Bearer error="invalid_request"' };

  constructor() {
    super('The Authorization header is not "Bearer" and one token.');
  }
}

/** Why a token was refused. */
export type Refusal =
  | 'malformed'
  | 'algorithm'
  | 'unsupported'
  | 'key'
  | 'signature'
  | 'type'
  | 'issuer'
  | 'audience'
  | 'expired'
  | 'too early'
  | 'claims';

/** A token that opens nothing: get another one. */
export class TokenRefusedError extends AuthError {
  readonly code = 'TOKEN_REFUSED';
  override readonly statusCode = 401;
  override readonly headers;
  readonly reason: Refusal;

  constructor(reason: Refusal) {
    super(`The token is refused: ${reason}.`);
    this.reason = reason;
    this.headers = { 'www-authenticate': `Bearer error="invalid_token", error_description="${reason}"` };
  }
}

/** The token is good, but not for this. */
export class ScopeMissingError extends AuthError {
  readonly code = 'SCOPE_MISSING';
  override readonly statusCode = 403;
  override readonly headers;

  constructor(needed: readonly string[]) {
    const scope = needed.join(' ');
    super(`The token lacks a scope: ${scope} is needed.`);
    this.headers = { 'www-authenticate': `Bearer error="insufficient_scope", scope="${scope}"` };
  }
}

/** Nobody can tell whether the token is good: the issuer's keys could not be had. That is no fault of whoever asks. */
export class KeysUnavailableError extends AuthError {
  readonly code = 'KEYS_UNAVAILABLE';
  override readonly statusCode = 503;
  override readonly headers = { 'retry-after': '5' };

  constructor(url: URL, why: string) {
    super(`The keys of ${url.origin}${url.pathname} could not be had (${why}): try again, and look at the issuer.`);
  }
}

/** Postgres did not answer, or not as it should. A rotation may have taken place: see `graceMs`. */
export class StoreUnavailableError extends AuthError {
  readonly code = 'STORE_UNAVAILABLE';
  override readonly statusCode = 503;
  override readonly headers = { 'retry-after': '1' };

  constructor(options?: ErrorOptions) {
    super('The store of tokens and sessions did not answer: try again.', options);
  }
}

/** A refresh token that is good for nothing (RFC 6749's `invalid_grant`). Let the user log in again. */
export class RefreshRefusedError extends AuthError {
  readonly code = 'REFRESH_REFUSED';
  readonly reason: 'unknown' | 'expired' | 'revoked' | 'reused';

  constructor(reason: RefreshRefusedError['reason']) {
    super(`invalid_grant: the refresh token is ${reason}.`);
    this.reason = reason;
  }
}

/**
 * A callback that ends in no login. `reason` is `unknown` for one that this browser did not begin, or has ended.
 * The status is 503 when the provider is out of order.
 */
export class LoginRefusedError extends AuthError {
  readonly code = 'LOGIN_REFUSED';
  override readonly statusCode: 400 | 503;
  readonly reason: string;

  /** `failure` may hold what the provider sent, tokens too: its code is all that is kept. */
  constructor(failure: unknown) {
    const { code, error, cause } = fields(failure);
    const said = [failure, error, code].find((it) => typeof it === 'string');
    const { code: beneath, status } = fields(cause);
    const reason = said ?? (typeof beneath === 'string' ? beneath : undefined);
    super(`The login is refused: ${reason ?? 'the provider did not answer as it should'}. Begin it again.`);
    this.reason = `${reason ?? 'failed'}`;
    const down = said === undefined || code === 'OAUTH_TIMEOUT' || Number(status) >= 500;
    this.statusCode = down ? 503 : 400;
  }
}

interface Fields {
  readonly code?: unknown;
  readonly error?: unknown;
  readonly cause?: unknown;
  readonly status?: unknown;
}

function fields(failure: unknown): Fields {
  return typeof failure === 'object' && failure !== null ? failure : {};
}
