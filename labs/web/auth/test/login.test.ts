import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { describeWith, outcome } from '@shared/testkit';
import * as oidc from 'openid-client';
import { expect, test } from 'vitest';
import { InvalidArgumentError, LoginRefusedError, PkceLogin } from '#lab';
import { discover } from './client.ts';
import { Guest } from './guest.ts';
import { newKey } from './issuer.ts';
import { AUDIENCE, CLIENT, startProvider } from './provider.ts';
import { openStore } from './store.ts';

const REDIRECT = 'https://hotel.example/callback';
const { secret } = await newKey('one');
const desk = () => startProvider({ redirectUri: REDIRECT, keys: [secret] });
const jar = (line: string) => line.split(';', 1)[0] ?? '';

/** Why a login is refused, or who is logged in. */
async function fate(login: Promise<{ readonly sub: string }>): Promise<unknown> {
  const { value, error } = await outcome(login, 5000);
  return error instanceof LoginRefusedError ? error.reason : (value?.sub ?? error);
}

const servers = { postgres: () => startPostgres(), desk };
await describeWith('login', servers, ({ postgres, desk: provider }) => {
  const open = async () => {
    const store = await openStore(postgres.url);
    const configuration = await discover(provider);
    const options = { pool: store.pool, provider: configuration, redirectUri: REDIRECT, scope: 'openid door:open' };
    const login = new PkceLogin({ ...options, resource: AUDIENCE });
    /** A guest who has been to the desk, and stands at the callback. */
    const visit = async (name: string, returnTo = '/', guest = new Guest()) => {
      const begun = await login.begin(undefined, returnTo);
      const { search } = await guest.login(begun.url, REDIRECT, name);
      return { cookie: jar(begun.setCookie), search };
    };
    return { ...store, login, configuration, visit };
  };

  // ── core ──

  test('a callback logs in the browser that began it, and once', async () => {
    const { login, visit } = await open();
    const attacker = await visit('the attacker');
    const victim = await visit('mo');
    expect(
      await fate(login.finish(victim.cookie, attacker.search)),
      'a victim who is sent the attacker’s callback',
    ).toBe('unknown');
    expect(await fate(login.finish(undefined, attacker.search)), 'a browser that has begun nothing').toBe('unknown');
    expect(
      await fate(login.finish(victim.cookie, victim.search)),
      'who began it (a code: what openid-client has against the address)',
    ).toBe('mo');
    expect(await fate(login.finish(victim.cookie, victim.search)), 'the same callback again').toBe('unknown');
    expect(await fate(login.finish(attacker.cookie, attacker.search)), 'another guest').toBe('the attacker');
  });

  // ── hardening ──

  test('a stolen code is worth nothing without its verifier', async () => {
    const { login, visit, configuration } = await open();
    const mine = await visit('mo');
    const thief = await visit('the thief');
    const code = new URLSearchParams(mine.search).get('code') ?? '';
    const injected = new URLSearchParams(thief.search);
    injected.set('code', code);
    expect(await fate(login.finish(thief.cookie, `${injected}`)), 'mo’s code in the thief’s callback').toBe(
      'invalid_grant',
    );
    const own = await visit('mo');
    const url = new URL(REDIRECT);
    url.search = own.search;
    const without = oidc.authorizationCodeGrant(configuration, url, {
      expectedState: url.searchParams.get('state') ?? '',
    });
    expect((await outcome(without)).error, 'without a verifier').toMatchObject({ error: 'invalid_grant' });
  });

  test('the provider does the same: a used refresh token that comes again ends what descends from its login', async () => {
    const { configuration } = await open();
    const verifier = oidc.randomPKCECodeVerifier();
    const begun = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: REDIRECT,
      scope: 'openid offline_access',
      prompt: 'consent',
      state: 's',
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      resource: AUDIENCE,
    });
    const checks = { pkceCodeVerifier: verifier, expectedState: 's' };
    const back = await new Guest().login(begun, REDIRECT);
    const tokens = await oidc.authorizationCodeGrant(configuration, back, checks);
    const refresh = (token = '') => outcome(oidc.refreshTokenGrant(configuration, token));
    const next = (await refresh(tokens.refresh_token)).value?.refresh_token;
    expect(next).not.toBe(tokens.refresh_token);
    expect((await refresh(tokens.refresh_token)).error, 'the thief').toMatchObject({ error: 'invalid_grant' });
    expect((await refresh(next)).error, 'the owner').toMatchObject({ error: 'invalid_grant' });
  });

  test('a callback of another state, issuer or nonce, an error, or one that comes too late logs nobody in', async () => {
    const { login, visit, pool, later } = await open();
    const changed = async (change: (query: URLSearchParams) => void) => {
      const { cookie, search } = await visit('mo');
      const query = new URLSearchParams(search);
      change(query);
      return fate(login.finish(cookie, `${query}`));
    };
    expect(await changed((query) => query.set('state', 'mine'))).toBe('unknown');
    expect(await changed((query) => query.delete('state'))).toBe('unknown');
    expect(await changed((query) => query.set('iss', 'https://desk.example')), 'iss').toBe('OAUTH_INVALID_RESPONSE');
    expect(await changed((query) => query.delete('iss')), 'no iss').toBe('OAUTH_INVALID_RESPONSE');
    expect(await changed((query) => query.set('code', 'x')), 'code').toBe('invalid_grant');
    expect(await changed((query) => query.set('error', 'access_denied'))).toBe('access_denied');
    expect(await changed(() => {})).toBe('mo');
    const { cookie, search } = await visit('mo');
    await pool.query("UPDATE auth_logins SET nonce = 'another'");
    expect(await fate(login.finish(cookie, search)), 'nonce').toBe('OAUTH_JWT_CLAIM_COMPARISON_FAILED');
    const late = await visit('mo');
    await later(600_001);
    expect(await fate(login.finish(late.cookie, late.search)), 'after ten minutes').toBe('unknown');
  });

  test('the desk sends nobody to an address that is not registered, letter by letter', async () => {
    const { login } = await open();
    const { url } = await login.begin(undefined);
    for (const other of [
      'https://evil.example/callback',
      `${REDIRECT}/..`,
      `${REDIRECT}?a=1`,
      `${REDIRECT}x`,
      'https://hotel.example',
    ]) {
      url.searchParams.set('redirect_uri', other);
      const response = await new Guest().fetch(url);
      expect([response.status, response.headers.get('location')], other).toEqual([400, null]);
      expect(await response.text()).toContain('invalid_redirect_uri');
    }
  });

  test('a login that could never end is not made', async () => {
    const { pool, configuration } = await open();
    const good = { pool, provider: configuration, redirectUri: REDIRECT };
    const bad = [{ ttlMs: Number.NaN }, { ttlMs: -1 }, { scope: 'profile' }];
    const addresses = ['callback', 'https://hotel.example', `${REDIRECT}?a=1`, 'https://HOTEL.example/', 'ftp://a/'];
    for (const more of [...bad, ...addresses.map((redirectUri) => ({ redirectUri }))]) {
      expect(() => new PkceLogin({ ...good, ...more }), inspect(more)).toThrow(InvalidArgumentError);
    }
    const usual: PkceLogin = Reflect.construct(PkceLogin, [{ ...good, ttlMs: undefined, scope: undefined }]);
    const begun = await usual.begin(undefined);
    expect([begun.url.searchParams.get('scope'), begun.setCookie]).toEqual([
      'openid',
      expect.stringContaining('=600;'),
    ]);
  });

  test('two tabs of a browser may log in at once, and each goes to the path of ours that it came from', async () => {
    const { login } = await open();
    const one = await login.begin(undefined, '//evil.example');
    const two = await login.begin(jar(one.setCookie), '/two?floor=2#bed');
    expect(jar(two.setCookie)).toBe(jar(one.setCookie));
    expect(one.url.searchParams.get('resource')).toBe(AUDIENCE);
    const guest = new Guest();
    const [last, first] = [await guest.login(two.url, REDIRECT), await guest.login(one.url, REDIRECT)];
    const cookie = jar(one.setCookie);
    expect((await login.finish(cookie, last.search)).returnTo).toBe('/two?floor=2#bed');
    expect((await login.finish(cookie, first.search)).returnTo, 'from another host').toBe('/');
  });

  test('a desk that is gone refuses the login, and nothing that it sent is in the error', async () => {
    const { login, visit, pool, configuration } = await open();
    const { issuer, authorization_endpoint = '' } = configuration.serverMetadata();
    const metadata = { issuer, authorization_endpoint, token_endpoint: 'http://127.0.0.1:2/token' };
    const nowhere = new oidc.Configuration(metadata, CLIENT.id, CLIENT.secret);
    oidc.allowInsecureRequests(nowhere);
    const { cookie, search } = await visit('mo');
    const usual = new PkceLogin({ pool, provider: nowhere, redirectUri: REDIRECT });
    const { url } = await usual.begin(undefined);
    expect(url.searchParams.has('resource'), 'a resource that nobody has named').toBe(false);
    const { error } = await outcome(usual.finish(cookie, search));
    expect(error).toBeInstanceOf(LoginRefusedError);
    expect(error).toMatchObject({ reason: 'ECONNREFUSED', statusCode: 503 });
    const busy = { code: 'OAUTH_RESPONSE_IS_NOT_CONFORM', cause: new Response('', { status: 502 }) };
    expect(new LoginRefusedError(busy)).toMatchObject({ reason: busy.code, statusCode: 503 });
    expect(new LoginRefusedError('unknown')).toMatchObject({ reason: 'unknown', statusCode: 400 });
    expect(inspect(error, { depth: null })).not.toContain(new URLSearchParams(search).get('code'));
    expect(await fate(login.finish(cookie, search)), 'the callback of a login that has failed').toBe('unknown');
    for (const odd of [null, undefined, 7, {}]) expect(new LoginRefusedError(odd).reason).toBe('failed');
  });
});
