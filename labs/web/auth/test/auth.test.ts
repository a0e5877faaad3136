import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { outcome } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  accessTokenGuard,
  type GuardOptions,
  InvalidArgumentError,
  KeysUnavailableError,
  localPath,
  MalformedRequestError,
  requireScope,
  ScopeMissingError,
  TokenMissingError,
  TokenRefusedError,
} from '#lab';
import { forged, misused } from './forgeries.ts';
import { card, type Key, newKey, openKeys, type Signing, sign } from './issuer.ts';

const house = { issuer: 'https://desk.hotel.example', audience: 'https://doors.hotel.example' };
const [first, second, third] = [await newKey('first'), await newKey('second'), await newKey('third')];

async function open(options: Partial<GuardOptions> & { readonly keys?: readonly Key[] } = {}) {
  const { keys = [first, second], ...rest } = options;
  const published = await openKeys(keys.map(({ jwk }) => jwk));
  onTestFinished(() => published[Symbol.asyncDispose]());
  const guard = accessTokenGuard({ ...house, algs: ['ES256'], jwksUri: published.jwksUri, ...rest });
  /** What becomes of a card: whom it lets in, or why it doesn't. */
  const show = async (token: string) => {
    const { value, error } = await outcome(guard(`Bearer ${token}`), 8000);
    if (error instanceof TokenRefusedError) return error.reason;
    return value?.sub ?? error;
  };
  return { guard, show, published };
}

const signed = (key: Key, more = {}, header: Signing['header'] = {}) => sign(card(house, more), { key, header });

/** Moves the clock that durations are measured by. */
function clock() {
  const real = performance.now.bind(performance);
  let ahead = 0;
  const spy = vi.spyOn(performance, 'now').mockImplementation(() => real() + ahead);
  onTestFinished(() => spy.mockRestore());
  return (ms: number) => {
    ahead += ms;
  };
}

// ── core ──

test('a forged token opens nothing, whatever it says of itself; a real one opens', async () => {
  const { show } = await open();
  expect(await show(await signed(first)), 'whom the real token lets in').toBe('mo');
  for (const { name, token } of await forged(house, first, second)) {
    expect(['algorithm', 'signature'], `${name}: why it is refused (the name: whom it lets in)`).toContain(
      await show(token),
    );
  }
});

test('a token that the issuer has signed for something else opens nothing', async () => {
  const { show } = await open();
  expect(await show(await signed(first)), 'whom the real token lets in').toBe('mo');
  const why: unknown[] = [];
  for (const { name, token } of await misused(house, first)) why.push(`${name}: ${await show(token)}`);
  expect(why, 'why each is refused (the name: whom it lets in)').toEqual([
    'for another house (aud): audience',
    'of another desk (iss): issuer',
    'run out (exp): expired',
    'too early (nbf): too early',
    'an ID token (typ): type',
    'a rule that nobody knows (crit): unsupported',
  ]);
  expect(await show(await signed(first, { exp: undefined })), 'a token that never ends').toBe('claims');
});

test('a new key opens at once, and a flood of unknown ones costs one download for each cooldown', async () => {
  const later = clock();
  const { show, published } = await open({ cooldownMs: 30_000 });
  expect([await show(await signed(first)), published.downloads()], 'the first token, and downloads').toEqual(['mo', 1]);
  const flood = async () => {
    const seen = new Set<unknown>();
    for (let wave = 0; wave < 5; wave++) {
      const tokens = Array.from({ length: 20 }, (_, n) => signed(first, {}, { kid: `forged ${wave} ${n}` }));
      for (const why of await Promise.all((await Promise.all(tokens)).map(show))) seen.add(why);
    }
    return seen;
  };
  later(31_000);
  expect([...(await flood())], 'why each of the flood is refused').toEqual(['key']);
  expect(published.downloads(), 'downloads after the flood, one of them from before').toBe(2);
  published.publish(first, second, third);
  later(31_000);
  const [fresh, old] = [await show(await signed(third)), await show(await signed(first))];
  expect([fresh, old], 'after a rotation: the new key, and the old one').toEqual(['mo', 'mo']);
  await flood();
  expect(published.downloads(), 'downloads after the rotation and another flood').toBe(3);
});

test('keys that cannot be had are a 503 and no 401; whoever comes with a known key goes on', async () => {
  const later = clock();
  const { show, published } = await open({ cooldownMs: 30_000 });
  published.answers('broken');
  const down = await show(await signed(first));
  expect(down, 'while no key is known').toBeInstanceOf(KeysUnavailableError);
  expect(down, 'its status').toMatchObject({ statusCode: 503 });
  published.answers('keys');
  expect(await show(await signed(first)), 'within the cooldown').toBeInstanceOf(KeysUnavailableError);
  expect(published.downloads(), 'downloads within the cooldown').toBe(1);
  later(31_000);
  expect(await show(await signed(first)), 'when the keys are back').toBe('mo');
  published.answers('broken');
  later(31_000);
  expect(await show(await signed(third)), 'a key that may be new').toBeInstanceOf(KeysUnavailableError);
  expect(await show(await signed(first)), 'a known key').toBe('mo');
});

// ── hardening ──

test('who lacks a scope is told which; a name alike is another scope', async () => {
  const { guard } = await open();
  const access = await guard(`Bearer ${await signed(first, { scope: 'door:open sauna' })}`);
  requireScope(access, 'sauna', 'door:open');
  for (const needed of ['door', 'door:open-all', 'DOOR:OPEN', 'toString']) {
    const { error } = await outcome((async () => requireScope(access, 'sauna', needed))());
    expect(error, needed).toBeInstanceOf(ScopeMissingError);
    const header = `Bearer error="insufficient_scope", scope="sauna ${needed}"`;
    expect(error).toMatchObject({ statusCode: 403, headers: { 'www-authenticate': header } });
  }
  for (const scope of [undefined, '', ['door:open'], { has: true }]) {
    const none = await guard(`Bearer ${await signed(first, { scope })}`);
    expect(() => requireScope(none, 'door:open'), `scope ${scope}`).toThrow(ScopeMissingError);
  }
  for (const bad of [[], [''], ['a b'], ['a"'], ['é']])
    expect(() => requireScope(access, ...bad)).toThrow(InvalidArgumentError);
});

test('what is no bearer token has its own answer, as RFC 6750 has it', async () => {
  const { guard } = await open();
  const token = await signed(first);
  for (const none of [undefined, '', 'Basic bW86eA==', `Bearerx ${token}`, token]) {
    const { error } = await outcome(guard(none));
    expect(error, `${none}`).toBeInstanceOf(TokenMissingError);
    expect(error).toMatchObject({ statusCode: 401, headers: { 'www-authenticate': 'Bearer' } });
  }
  for (const bad of ['Bearer', 'Bearer ', `Bearer ${token} ${token}`, `Bearer ${token}, Basic x`, 'Bearer "a"']) {
    const { error } = await outcome(guard(bad));
    expect(error, bad).toBeInstanceOf(MalformedRequestError);
    expect(error).toMatchObject({ statusCode: 400, headers: { 'www-authenticate': 'Bearer error="invalid_request"' } });
  }
  const { error } = await outcome(guard('Bearer a.b.c'));
  expect(error).toMatchObject({
    reason: 'malformed',
    statusCode: 401,
    headers: { 'www-authenticate': 'Bearer error="invalid_token", error_description="malformed"' },
  });
  expect((await guard(`bearer   ${token}`)).sub, 'schemes know no case').toBe('mo');
});

test('clocks may differ by the tolerance, and not by more', async () => {
  const { show } = await open({ clockToleranceS: 10 });
  const now = Math.floor(Date.now() / 1000);
  expect(await show(await signed(first, { exp: now - 7 }))).toBe('mo');
  expect(await show(await signed(first, { exp: now - 12 }))).toBe('expired');
  const usual = await open();
  expect(await usual.show(await signed(first, { exp: now - 5 })), 'five seconds, by default').toBe('expired');
  expect(await usual.show(await signed(first, { exp: now - 2 })), 'two seconds').toBe('mo');
  expect(await show(await signed(first, { nbf: now + 7 }))).toBe('mo');
  expect(await show(await signed(first, { nbf: now + 15 }))).toBe('too early');
});

test('a token without an owner, a time or a kid, or with strange ones, is refused', async () => {
  const { show, published } = await open();
  for (const sub of [undefined, '', 7]) {
    expect(await show(await signed(first, { sub })), `sub ${sub}`).toBe('claims');
  }
  expect(await show(await signed(first, { iat: undefined }))).toBe('claims');
  expect(await show(await signed(first, { exp: '9999999999' })), 'exp as text').toBe('claims');
  expect(
    await show(await signed(first, { aud: [house.audience, 'https://bar.example'] })),
    'one of its audiences',
  ).toBe('mo');
  expect(await show(await signed(first, { aud: [] }))).toBe('audience');
  const lax = await open({ typ: false });
  expect(await lax.show(await signed(first, {}, { typ: undefined })), 'where no type is asked for').toBe('mo');
  const before = published.downloads();
  for (const kid of [undefined, 7, '__proto__', 'toString']) {
    expect(['key', 'malformed'], `kid ${kid}`).toContain(await show(await signed(first, {}, { kid })));
  }
  expect(published.downloads() - before, 'within the cooldown').toBe(0);
});

test('a withdrawn key is forgotten with the age of the others, and all of them when nothing could be had for too long', async () => {
  const later = clock();
  const { show, published } = await open({ cooldownMs: 1000, maxAgeMs: 60_000, staleMs: 600_000 });
  expect(await show(await signed(second))).toBe('mo');
  published.publish(first);
  later(59_000);
  expect(await show(await signed(second)), 'before their age').toBe('mo');
  later(2000);
  expect(await show(await signed(second)), 'withdrawn').toBe('key');
  published.answers('no JSON');
  later(650_000);
  expect(await show(await signed(first)), 'stale').toBe('mo');
  later(20_000);
  expect(await show(await signed(first)), 'too old').toBeInstanceOf(KeysUnavailableError);
});

test('an issuer that hangs holds nobody longer than the limit; one that publishes keys of no use is no fault of a token', async () => {
  const { show, published } = await open({ timeoutMs: 50 });
  published.answers('silence');
  expect(await show(await signed(first))).toBeInstanceOf(KeysUnavailableError);
  const later = clock();
  const usual = await open({ timeoutMs: 20_000 });
  expect(await usual.show(await signed(first))).toBe('mo');
  for (const how of ['broken', 'silence'] as const) {
    usual.published.answers(how);
    later(660_000);
    expect(await usual.show(await signed(first)), `a known key, when the issuer’s answer is ${how}`).toBe('mo');
  }
  const twins = await open({ keys: [first, { ...second, jwk: { ...second.jwk, kid: 'first' } }] });
  expect(await twins.show(await signed(first)), 'two of a name').toBeInstanceOf(KeysUnavailableError);
  for (const jwk of [{ ...first.jwk, x: 'AA' }, first.secret]) {
    const broken = await open({ keys: [{ ...first, jwk }] });
    expect(await broken.show(await signed(first)), 'broken, or private').toBeInstanceOf(KeysUnavailableError);
  }
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const short = await open({
    algs: ['RS256'],
    keys: [{ ...first, jwk: { ...publicKey.export({ format: 'jwk' }), kid: 'rsa' } }],
  });
  const head = Buffer.from('{"alg":"RS256","kid":"rsa","typ":"at+jwt"}').toString('base64url');
  const token = (await signed(first)).replace(/^[^.]+/, head);
  expect(await short.show(token), 'an RSA key of 1024 bits').toBeInstanceOf(KeysUnavailableError);
});

test('what an issuer answers, and what is secret in its address, is in no error', async () => {
  const { show, published } = await open();
  published.answers('no JSON');
  expect(`${await show(await signed(first))}`).toContain('/jwks could not be had (SyntaxError)');
  const nowhere = await open({ jwksUri: 'http://127.0.0.1:2/jwks?key=secret' });
  expect(`${await nowhere.show(await signed(first))}`).toContain(
    'http://127.0.0.1:2/jwks could not be had (ECONNREFUSED)',
  );
  const error = await outcome((async () => open({ jwksUri: 'https://hotel:secret@desk.example/jwks' }))());
  expect(error.error).toBeInstanceOf(InvalidArgumentError);
  expect(`${error.error}`).not.toContain('secret');
});

test('after a login the browser goes to a path of ours, never to another host', () => {
  expect(localPath('/room?floor=2#bed')).toBe('/room?floor=2#bed');
  const hosts = ['//evil.example', '/\\evil.example', '\\\\evil.example', '/\t/evil.example', '/.//evil.example'];
  const addresses = ['https://evil.example', 'https:evil.example', 'blob:http://here.invalid/x', 'javascript:alert(1)'];
  for (const path of [...hosts, ...addresses, '/a/..//evil.example', 'http://', '\0//e', '/%2e//evil.example']) {
    const went = localPath(path);
    expect(new URL(went, 'https://hotel.example').host, `${JSON.stringify(path)} leads to ${went}`).toBe(
      'hotel.example',
    );
  }
});

test('a guard that would let in whom it should not is not made', () => {
  const good = { ...house, algs: ['ES256'], jwksUri: 'https://desk.hotel.example/jwks' };
  accessTokenGuard(good);
  for (const bad of [
    { algs: [] },
    { algs: ['none'] },
    { algs: ['ES256', 'HS256'] },
    { issuer: '' },
    { audience: '' },
    { typ: '' },
    ...[Number.NaN, -1, 1e308].map((clockToleranceS) => ({ clockToleranceS })),
    ...['', 'file:///jwks', 'https://desk.hotel.example/#x'].map((jwksUri) => ({ jwksUri })),
    ...['cooldownMs', 'maxAgeMs', 'staleMs', 'timeoutMs'].map((name) => ({ [name]: Number.NaN })),
  ]) {
    expect(() => accessTokenGuard({ ...good, ...bad }), inspect(bad)).toThrow(InvalidArgumentError);
  }
});
