import * as oidc from 'openid-client';
import type { Pool } from 'pg';
import { checkTimes, checkUrl } from './checks.ts';
import { readCookie, setCookie } from './cookies.ts';
import { InvalidArgumentError, LoginRefusedError } from './errors.ts';
import { hash, newSecret, query } from './store.ts';

export interface LoginOptions {
  readonly pool: Pool;
  /** Of openid-client's `discovery`: the provider, and who we are to it. */
  readonly provider: oidc.Configuration;
  /** Where the provider sends the browser back to; registered there, letter by letter. */
  readonly redirectUri: string;
  /** Default `openid`. */
  readonly scope?: string;
  /** The API that the access token is for (RFC 8707). Default: what the provider takes for it. */
  readonly resource?: string;
  /** Milliseconds that a user has for it. Default 10 minutes. */
  readonly ttlMs?: number;
}

/** Where to send the browser. */
export interface Begun {
  readonly url: URL;
  readonly setCookie: string;
}

export interface LoggedIn {
  readonly sub: string;
  readonly accessToken: string;
  /** A path of ours. */
  readonly returnTo: string;
}

/** What is kept of a login while the user is at the provider. */
export interface Pending {
  readonly verifier: string;
  readonly nonce: string;
  readonly returnTo: string;
}

/** Login by code and PKCE (RFC 7636, RFC 9700, OpenID Connect), with the secrets at the server. */
export class PkceLogin {
  protected readonly cookie = '__Host-login';
  protected readonly options: Required<Omit<LoginOptions, 'resource'>> & Pick<LoginOptions, 'resource'>;

  /** @throws {InvalidArgumentError} for options by which nobody could log in */
  constructor({ scope = 'openid', ttlMs = 600_000, ...options }: LoginOptions) {
    checkTimes({ ttlMs });
    const { origin, pathname } = checkUrl('redirectUri', options.redirectUri);
    // openid-client names it once more, as a URL has it, when it redeems the code; the provider compares letters.
    if (origin + pathname !== options.redirectUri) {
      throw new InvalidArgumentError(
        `redirectUri ${options.redirectUri}: give ${origin}${pathname}, and nothing more.`,
      );
    }
    if (!scope.split(' ').includes('openid')) throw new InvalidArgumentError(`scope ${scope}: openid has to be in it.`);
    this.options = { ...options, scope, ttlMs };
  }

  /**
   * @param cookie The Cookie header: two tabs of a browser may log in at once.
   * @param returnTo Where the user wanted to go; anything but a path of ours becomes `/`.
   * @throws {StoreUnavailableError}
   */
  async begin(cookie: string | undefined, returnTo = '/'): Promise<Begun> {
    const browser = readCookie(cookie, this.cookie) ?? newSecret();
    const { provider, redirectUri, scope, resource, ttlMs } = this.options;
    const [state, nonce, verifier] = [oidc.randomState(), oidc.randomNonce(), oidc.randomPKCECodeVerifier()];
    await this.remember(state, browser, { verifier, nonce, returnTo: localPath(returnTo) });
    const url = oidc.buildAuthorizationUrl(provider, {
      redirect_uri: redirectUri,
      scope,
      state,
      nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(resource !== undefined && { resource }),
    });
    return { url, setCookie: setCookie(this.cookie, browser, ttlMs) };
  }

  /**
   * Ends a login that the same browser has begun: the attacker's own callback, sent to a victim, logs nobody in (login CSRF).
   * @param search What stands behind the `?` of the callback. The host isn't taken from the request.
   * @throws {LoginRefusedError} @throws {StoreUnavailableError}
   */
  async finish(cookie: string | undefined, search: string): Promise<LoggedIn> {
    const url = new URL(this.options.redirectUri);
    url.search = search;
    const state = url.searchParams.get('state') ?? '';
    const pending = await this.take(state, readCookie(cookie, this.cookie) ?? '');
    if (pending === undefined) throw new LoginRefusedError('unknown');
    const tokens = await this.redeem(url, state, pending);
    const sub = tokens.claims()?.sub;
    if (sub === undefined) throw new LoginRefusedError('no id token');
    return { sub, accessToken: tokens.access_token, returnTo: pending.returnTo };
  }

  /** The code for tokens. openid-client looks at `iss`, `state` and `nonce`. */
  protected async redeem(url: URL, state: string, { verifier, nonce }: Pending) {
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    const { provider, resource } = this.options;
    try {
      return await oidc.authorizationCodeGrant(provider, url, checks, resource === undefined ? {} : { resource });
    } catch (error) {
      throw new LoginRefusedError(error);
    }
  }

  protected async remember(state: string, browser: string, { verifier, nonce, returnTo }: Pending): Promise<void> {
    await query(
      this.options.pool,
      `INSERT INTO auth_logins VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 ms')`,
      [hash(state), hash(browser), verifier, nonce, returnTo, this.options.ttlMs],
    );
  }

  /** Takes it away, so that it is had once: undefined when it is not there, or was begun by another browser. */
  protected async take(state: string, browser: string): Promise<Pending | undefined> {
    const [row] = await query<Pending>(
      this.options.pool,
      `DELETE FROM auth_logins WHERE state = $1 AND browser = $2 AND expires_at > now()
       RETURNING verifier, nonce, return_to AS "returnTo"`,
      [hash(state), hash(browser)],
    );
    return row;
  }
}

/** `path` as a browser would read it, `/` when that leads to another host: `//evil`, `/\evil`, `/.//evil`, `blob:…`. */
export function localPath(path: string): string {
  const here = 'http://here.invalid';
  if (!URL.canParse(path, here)) return '/';
  const { origin, pathname, search, hash: fragment } = new URL(path, here);
  return origin === here && /^\/(?!\/)/.test(pathname) ? `${pathname}${search}${fragment}` : '/';
}
