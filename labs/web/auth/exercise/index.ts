import type { CryptoKey, JWSHeaderParameters } from 'jose';
import type { PoolClient } from 'pg';
import { checkGuard } from '../src/guard.ts';
import {
  type Begun,
  KeySet as GivenKeySet,
  PkceLogin as GivenLogin,
  RefreshTokens as GivenRefreshTokens,
  Sessions as GivenSessions,
  type Guard,
  type GuardOptions,
  type Locks,
  type LoggedIn,
  type Refreshed,
  type RefreshRefusedError,
  TokenRefusedError,
} from '../src/index.ts';

// Yours: the guard, when keys are downloaded, refresh tokens, one flight, the login, a session's id. Given, in src/: the errors
// (an editor shows what their constructors take) and what the comments below name. The re-exports bring no name into this file:
// import what you need, also from '../src/guard.ts', '../src/store.ts' and their likes. jose and openid-client do the rest.
// `h` in `pnpm lab learn auth` gives a hint.
export {
  type Access,
  AuthError,
  type Begun,
  type Guard,
  type GuardOptions,
  InvalidArgumentError,
  type KeySetOptions,
  KeysUnavailableError,
  type Locks,
  type LoggedIn,
  type LoginOptions,
  LoginRefusedError,
  localPath,
  MalformedRequestError,
  type Refreshed,
  type RefreshOptions,
  RefreshRefusedError,
  type Refusal,
  readCookie,
  requireScope,
  SCHEMA,
  ScopeMissingError,
  type SessionsOptions,
  StoreUnavailableError,
  setCookie,
  sweep,
  TokenMissingError,
  TokenRefusedError,
} from '../src/index.ts';

/**
 * Lets in who brings an access token of the issuer, for this audience. Make one KeySet (yours, below) of the options; its `find`
 * is what jose's `jwtVerify` asks for a key. By default `typ` is `at+jwt` (false: not looked at) and `clockToleranceS` is 5. A
 * token needs `exp`, `iat` and `sub`.
 *
 * Given in ../src/guard.ts: `bearer(authorization)` is the token, or throws; `access(payload)` is what the guard returns;
 * `refusal(error)` is the error to throw for one of jose's, any other it gives back.
 */
export function accessTokenGuard(options: GuardOptions): Guard {
  checkGuard(options);
  return () => todo('accessTokenGuard');
}

/**
 * Given: `this.lookup(header)`, the key among the known ones, or undefined; `this.download()`, which never rejects: it replaces
 * the known keys, or leaves them and sets `this.failure`, a text (undefined after a success); `this.age()`, milliseconds since
 * the known keys were downloaded, Infinity when there are none; `this.options`: `cooldownMs`, `maxAgeMs`; `this.url`. For
 * yourself: `this.askedAt` (a time of performance.now(), at first -Infinity) and `this.flight` (a promise, or undefined).
 */
export class KeySet extends GivenKeySet {
  /**
   * The key that a header names. This one downloads once: the first two laws need no more. Then: known keys older than
   * `maxAgeMs` are downloaded again, and so are they for a key that isn't among them, by `refresh`. A key that isn't there: a
   * TokenRefusedError('key'), or a KeysUnavailableError(url, why) when the last download has failed.
   */
  override async find(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.age() === Number.POSITIVE_INFINITY) await this.download();
    const key = await this.lookup(header);
    if (key) return key;
    throw new TokenRefusedError('key');
  }

  /** Downloads, unless that was begun less than `cooldownMs` ago. Who comes during a download waits for it. */
  protected override refresh(): Promise<void> {
    return todo('refresh');
  }
}

/**
 * Refresh tokens that are good once. `issue`, `revoke` and the SQL are given:
 * - `this.row(tx, token)` reads a token: `family`, `sub`, `ended`, `expired`, `salt` (null while it is unused), `usedMs` (ago).
 *   With 'FOR UPDATE' as a third argument nobody else reads it so before the transaction `tx` has ended;
 * - `this.markUsed(tx, token, salt)`, `this.add(tx, token, family)` stores another, `this.end(tx, family)` ends a family;
 * - `allOrNothing(this.options.pool, (tx) => …)` of ../src/store.ts commits what the function did, or undoes it when it throws;
 * - `this.successor(token, salt)`: the next token, for a salt of 32 random bytes (`randomBytes` of node:crypto).
 */
export class RefreshTokens extends GivenRefreshTokens {
  /** `use` in a transaction. @throws {RefreshRefusedError} what `use` returns of that kind */
  override rotate(_token: string): Promise<Refreshed> {
    return todo('rotate');
  }

  /**
   * The successor of a token that is good, which is used by that; or why it isn't: `unknown`, `revoked` (its family was ended),
   * `reused` (it was used before, also when it has expired since), `expired`. Hardening law: within `this.options.graceMs` a used
   * one is answered by the same successor, as long as that is unused and not expired.
   */
  protected override use(_tx: PoolClient, _token: string): Promise<Refreshed | RefreshRefusedError> {
    return todo('use');
  }
}

/**
 * One refresh at a time: who asks while one is under way gets its result, and `locks` (as `navigator.locks`: `request(name, body)`
 * runs `body` when nobody else has the name, and resolves with its result) keeps tabs from refreshing at the same time.
 */
export function singleFlight<T>(_refresh: () => Promise<T>, _locks: Locks, _name = 'auth-refresh'): () => Promise<T> {
  return () => todo('singleFlight');
}

/**
 * Login by code and PKCE. Given: `this.options` (`provider`, `redirectUri`, `scope`, `resource`, `ttlMs`); openid-client makes
 * states, nonces, verifiers, challenges and the address (`buildAuthorizationUrl`);
 * - `this.remember(state, browser, { verifier, nonce, returnTo })`; `this.take(state, browser)` has it back once, or undefined;
 * - `this.redeem(url, state, pending)`: the code in the callback's address for tokens, or a LoginRefusedError;
 * - `newSecret()` of ../src/store.ts; `readCookie(header, this.cookie)`, `setCookie(this.cookie, value, ttlMs)`; `localPath`.
 */
export class PkceLogin extends GivenLogin {
  /** Where to send the browser, and its cookie. One that has such a cookie keeps its value: two tabs may log in at once. */
  override begin(_cookie: string | undefined, _returnTo = '/'): Promise<Begun> {
    return todo('begin');
  }

  /**
   * `search` is the query of the callback, with its `?`: the address is a URL of `redirectUri` with that as its `search`. Who
   * hasn't begun it gets a LoginRefusedError('unknown'). `sub` is the id token's, `tokens.claims()?.sub`, without which it is a
   * LoginRefusedError('no id token'); `accessToken` is `tokens.access_token`.
   */
  override finish(_cookie: string | undefined, _search: string): Promise<LoggedIn> {
    return todo('finish');
  }
}

/**
 * Sessions. Given: `find`, `endAll`, `this.add(id, sub)`, `this.remove(id)`; `newSecret()`; `readCookie(header, this.cookie)`;
 * `setCookie(this.cookie, id, this.options.absoluteMs)`, which is a Set-Cookie header; `checkUser(sub)` of ../src/checks.ts.
 */
export class Sessions extends GivenSessions {
  /** A session for who has just logged in; `cookie` is what the browser came with. @returns the Set-Cookie header */
  override start(_sub: string, _cookie: string | undefined): Promise<string> {
    return todo('start');
  }

  /** @returns the Set-Cookie header that takes the cookie away: an empty value, for 0 ms */
  override end(_cookie: string | undefined): Promise<string> {
    return todo('end');
  }
}

async function todo(name: string): Promise<never> {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
