import { inspect } from 'node:util';
import { startBrowser, startPostgres } from '@shared/services';
import { describeWith, outcome } from '@shared/testkit';
import * as oidc from 'openid-client';
import { Pool } from 'pg';
import { beforeEach, expect, test } from 'vitest';
import { RefreshRefusedError, SCHEMA } from '#lab';
import { discover } from './client.ts';
import { Guest } from './guest.ts';
import { openHotel } from './hotel.ts';
import { newKey } from './issuer.ts';
import { AUDIENCE, startProvider } from './provider.ts';

const { secret } = await newKey('one');
const logged: string[] = [];

/** Where the hotel and its desk will be: they open with the first law. */
async function startGround() {
  const stack = new AsyncDisposableStack();
  const pg = stack.use(await startPostgres());
  const build = async () => {
    const pool = stack.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
    pool.on('error', () => {});
    await pool.query(SCHEMA);
    const desk = async (redirectUri: string) => stack.use(await startProvider({ redirectUri, keys: [secret] }));
    return stack.use(await openHotel({ pool, desk, log: (line) => logged.push(line) }));
  };
  let hotel: ReturnType<typeof build> | undefined;
  const open = () => {
    hotel ??= build();
    return hotel;
  };
  return { open, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

await describeWith('the hotel', { ground: startGround, browser: () => startBrowser() }, ({ ground, browser }) => {
  beforeEach(() => {
    logged.length = 0;
  });

  test('in a browser: a guest logs in at the desk, two tabs renew at once, and nothing of it is in the log', async () => {
    const { url, refresh } = await ground.open();
    const page = await browser.page({ width: 390 });
    const secrets = new Set<string>();
    page.on('request', (request) => {
      for (const [name, value] of new URL(request.url()).searchParams) {
        if (['code', 'state', 'nonce', 'code_challenge'].includes(name)) secrets.add(value);
      }
    });
    expect((await page.goto(`${url}/login?to=/room`))?.status(), 'the desk’s page').toBe(200);
    await page.getByPlaceholder('Enter any login').fill('mo');
    await page.getByPlaceholder('and password').fill('a secret of mo');
    await page.getByRole('button', { name: 'Sign-in' }).click();
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('Welcome, mo.').waitFor();
    expect(new URL(page.url()).pathname).toBe('/room');
    expect(await page.evaluate('document.cookie'), 'what a script sees of the cookies').toBe('');
    const other = await page.context().newPage();
    await other.goto(`${url}/room`);
    const keep = async () => {
      for (const { name, value } of await page.context().cookies(url))
        if (name.startsWith('__Host')) secrets.add(value);
    };
    for (let n = 0; n < 2; n++) {
      await keep();
      const renewals = await Promise.all([page, other, page].map((it) => it.evaluate('window.renew()')));
      expect(renewals, 'what the tabs were answered').toEqual([200, 200, 200]);
    }
    await keep();
    const [used] = [...secrets].filter((it) => it.length === 43);
    expect((await outcome(refresh.rotate(used ?? ''))).error).toBeInstanceOf(RefreshRefusedError);
    await page.evaluate(`fetch('/logout', { method: 'POST' })`);
    expect(await page.evaluate(`fetch('/me').then((it) => it.status)`), 'after the logout').toBe(401);
    const text = logged.join('');
    expect(text).toContain('/callback');
    expect(secrets.size, 'secrets to look for').toBeGreaterThan(8);
    expect(
      [...secrets].filter((it) => text.includes(it)),
      'secrets in the log',
    ).toEqual([]);
  });

  test('what is refused is logged with its reason and without its token, at the door and at the desk', async () => {
    const { url, app, login, refresh, guard, provider } = await ground.open();
    const secrets: string[] = [];
    const send = async (method: 'GET' | 'POST', path: string, headers: { readonly [name: string]: string }) => {
      const { statusCode, headers: answer, body } = await app.inject({ method, url: path, headers: { ...headers } });
      return { statusCode, challenge: answer['www-authenticate'], body };
    };
    const configuration = await discover(provider);
    const good = await oidc.clientCredentialsGrant(configuration, { resource: AUDIENCE });
    const entitled = await oidc.clientCredentialsGrant(configuration, { resource: AUDIENCE, scope: 'door:open' });
    secrets.push(good.access_token, entitled.access_token);
    expect((await send('GET', '/door', { authorization: `Bearer ${entitled.access_token}` })).body).toBe(
      '{"open":"hotel"}',
    );
    expect(await send('GET', '/door', { authorization: `Bearer ${good.access_token}` })).toMatchObject({
      statusCode: 403,
      challenge: 'Bearer error="insufficient_scope", scope="door:open"',
    });
    const forged = `${entitled.access_token.slice(0, -8)}AAAAAAAA`;
    secrets.push(forged);
    expect(await send('GET', '/door', { authorization: `Bearer ${forged}` })).toMatchObject({
      statusCode: 401,
      challenge: 'Bearer error="invalid_token", error_description="signature"',
    });
    expect(await send('GET', '/door', {})).toMatchObject({ statusCode: 401, challenge: 'Bearer' });

    const token = await refresh.issue('mo');
    const { token: next } = await refresh.rotate(token);
    secrets.push(token, next);
    expect((await send('POST', '/refresh', { cookie: `__Host-refresh=${token}` })).statusCode).toBe(400);
    const begun = await login.begin(undefined);
    const { search } = await new Guest().login(begun.url, `${url}/callback`);
    const [line = ''] = begun.setCookie.split(';', 1);
    const wrong = new URLSearchParams(search);
    wrong.set('iss', 'https://desk.example');
    expect((await send('GET', `/callback?${wrong}`, { cookie: line })).statusCode).toBe(400);
    const query = new URLSearchParams(search);
    secrets.push(query.get('code') ?? '?', query.get('state') ?? '?', line.split('=')[1] ?? '?');

    const errors = await Promise.all([
      outcome(guard(`Bearer ${forged}`)),
      outcome(refresh.rotate(token)),
      outcome(login.finish(line, search)),
    ]);
    const text =
      logged.join('') + errors.map(({ error }) => inspect(error, { depth: null, showHidden: true })).join('');
    for (const reason of ['SCOPE_MISSING', 'signature', 'TOKEN_MISSING', 'reused', 'OAUTH_INVALID_RESPONSE']) {
      expect(text, 'the log').toContain(reason);
    }
    const parts = secrets.flatMap((it) => [it, ...it.split('.')]).filter((it) => it.length > 20);
    expect(
      parts.filter((it) => text.includes(it)),
      'secrets in the log',
    ).toEqual([]);
  });
});
