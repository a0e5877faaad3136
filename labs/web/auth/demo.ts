import { mock } from 'node:test';
import { startBrowser, startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { createLocalJWKSet, jwtVerify } from 'jose';
import * as oidc from 'openid-client';
import { Pool } from 'pg';
import { PkceLogin as AnyBrowser } from './pitfalls/any-browser.ts';
import { RefreshTokens as GoodForEver } from './pitfalls/good-for-ever.ts';
import { accessTokenGuard, PkceLogin, RefreshTokens, SCHEMA, Sessions, TokenRefusedError } from './src/index.ts';
import { discover } from './test/client.ts';
import { forged, misused } from './test/forgeries.ts';
import { Guest } from './test/guest.ts';
import { openHotel } from './test/hotel.ts';
import { card, newKey, sign } from './test/issuer.ts';
import { naiveDoor } from './test/naive-door.ts';
import { AUDIENCE, startProvider } from './test/provider.ts';

const options = {
  title: 'Auth: JWT and OAuth 2.0 认证',
  subtitle: 'A hotel’s key cards: the desk signs them, every door reads them by itself, and one of them gets lost',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const [pg, browser] = await Promise.all([story.use(startPostgres()), story.use(startBrowser())]);
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  pool.on('error', () => {});
  await pool.query(SCHEMA);
  const [key, second] = [await newKey('2026-spring'), await newKey('2026-summer')];
  const logged: string[] = [];
  const openDesk = async (redirectUri: string) =>
    bin.use(await startProvider({ redirectUri, keys: [key.secret, second.secret] }));
  const open = async (more: { readonly oneAtATime?: boolean; readonly graceMs?: number } = {}) =>
    bin.use(await openHotel({ pool, desk: openDesk, answerMs: 30, log: (line) => logged.push(line), ...more }));
  const desk = await openDesk('http://127.0.0.1:9/callback');
  const { issuer, jwksUri } = desk;
  const house = { issuer, audience: AUDIENCE };
  const configuration = await discover(desk);
  const newCard = async () =>
    (await oidc.clientCredentialsGrant(configuration, { resource: AUDIENCE, scope: 'door:open' })).access_token;
  const opens = async (asking: Promise<unknown>) =>
    asking.then(
      () => true,
      () => false,
    );

  await story.scene('Ten cards that should open nothing', async () => {
    story.say(
      'A door looks for a good signature, made as the card’s own header says. A guest knows what every guest knows: the desk’s public keys, and an old card of his own.',
    );
    const naive = naiveDoor([key, second]);
    const guard = accessTokenGuard({ ...house, jwksUri, algs: ['ES256'] });
    const cards = [...(await forged(house, key, second)), ...(await misused(house, key))];
    const rows: [string, string, string][] = [];
    const taken = { naive: 0, guard: 0 };
    for (const { name, token } of [...cards, { name: 'a real one', token: await newCard() }]) {
      const [byNaive, why] = [
        await opens((async () => naive(token))()),
        await guard(`Bearer ${token}`).then(
          () => 'opens',
          (error: unknown) => (error instanceof TokenRefusedError ? error.reason : `${error}`),
        ),
      ];
      if (byNaive) taken.naive++;
      if (why === 'opens') taken.guard++;
      rows.push([name, byNaive ? 'opens' : 'refused', why === 'opens' ? why : `refused: ${why}`]);
    }
    story.table({ columns: ['the card', 'signature alone', 'accessTokenGuard'], rows });
    story.verdict('Who believes the header is told what to check', `${taken.naive - 1} of 10 open`, taken.naive > 6);
    story.verdict('Who knows what he expects takes the real one alone', `${taken.guard - 1} of 10`, taken.guard === 1);
  });

  await story.scene('New keys at the desk', async () => {
    story.say(
      'The desk changes its key, while 20 guests with cards of the old one come and 20 with cards of the new. One door has read the keys when it was built. The others download them when a card names one that they don’t know.',
    );
    const cards = async (by: typeof key) =>
      Promise.all(Array.from({ length: 20 }, (_, n) => sign(card(house, { jti: `${n}` }), { key: by })));
    const [old, fresh] = [await cards(key), await cards(second)];
    const refused = async (door: (token: string) => Promise<unknown>, tokens: readonly string[]) =>
      (await Promise.all(tokens.map((it) => opens(door(it))))).filter((it) => !it).length;
    const bearer = () => {
      const guard = accessTokenGuard({ ...house, jwksUri, algs: ['ES256'], cooldownMs: 0 });
      return (token: string) => guard(`Bearer ${token}`);
    };
    await desk.rotate([key.secret]);
    const read = createLocalJWKSet({ keys: [key.jwk] });
    const once = (token: string) => jwtVerify(token, read, { algorithms: ['ES256'] });
    const [swapped, announced] = [bearer(), bearer()];
    const before = [await refused(once, old), await refused(swapped, old), await refused(announced, old)];
    await desk.rotate([key.secret, second.secret]); // Announced: it is published, and signs nothing.
    const early = await refused(announced, old);
    await desk.rotate([second.secret]); // At a stroke.
    const late = {
      once: await refused(once, fresh),
      swapped: (await refused(swapped, fresh)) + (await refused(swapped, old)),
    };
    await desk.rotate([second.secret, key.secret]); // Signs; the old one stays until its last card has run out.
    const overlap = early + (await refused(announced, fresh)) + (await refused(announced, old));
    await desk.rotate([second.secret]);
    const withdrawn = overlap + (await refused(announced, fresh));
    await desk.rotate([key.secret, second.secret]);
    story.table({
      columns: ['the desk', 'the door', 'turned away of 40'],
      rows: [
        ['swaps its key', 'has read them once', late.once],
        ['swaps its key', 'downloads new ones', late.swapped],
        ['announces, signs, withdraws', 'downloads new ones', withdrawn],
      ],
    });
    story.verdict('A door that reads the keys once shuts out every new card', `${late.once} of 20`, late.once === 20);
    story.verdict('A key that is swapped takes its cards along', `${late.swapped} of 40`, late.swapped === 20);
    const none = withdrawn === 0 && before.every((it) => it === 0);
    story.verdict('Announced before it signs, withdrawn after its last card: no outage', `${withdrawn} of 40`, none);
  });

  await story.scene('Whose login is it?', async () => {
    story.say(
      'Code and PKCE at a real OpenID provider, in a process of its own. An attacker logs in as himself, stops at the callback, and sends that link to ten guests: whoever follows it is logged in as him, and tells him all.',
    );
    const common = {
      pool,
      provider: configuration,
      redirectUri: 'http://127.0.0.1:9/callback',
      scope: 'openid door:open',
    };
    const victims = async (Login: typeof PkceLogin) => {
      const login = new Login({ ...common, resource: AUDIENCE });
      let fooled = 0;
      const guest = new Guest();
      for (let n = 0; n < 10; n++) {
        const { url } = await login.begin(undefined);
        const { search } = await guest.login(url, common.redirectUri, 'the attacker');
        const mine = await login.begin(undefined);
        if (await opens(login.finish(mine.setCookie.split(';', 1)[0], search))) fooled++;
      }
      return fooled;
    };
    const [unbound, bound] = [await victims(AnyBrowser), await victims(PkceLogin)];
    story.verdict(
      'A state that any browser may bring logs the victim in as the attacker',
      `${unbound} of 10`,
      unbound === 10,
    );
    story.verdict('A state that belongs to a browser does not', `${bound} of 10`, bound === 0);
    let stolen = 0;
    const guest = new Guest();
    for (let n = 0; n < 10; n++) {
      const challenge = await oidc.calculatePKCECodeChallenge(oidc.randomPKCECodeVerifier());
      const url = oidc.buildAuthorizationUrl(configuration, {
        redirect_uri: common.redirectUri,
        scope: 'openid',
        state: 's',
        code_challenge: challenge,
        code_challenge_method: 'S256',
      });
      const back = await guest.login(url, common.redirectUri);
      const grant = oidc.authorizationCodeGrant(configuration, back, {
        pkceCodeVerifier: oidc.randomPKCECodeVerifier(),
        expectedState: 's',
      });
      if (await opens(grant)) stolen++;
    }
    story.verdict(
      'A code that was read on its way is worth nothing without its verifier',
      `${stolen} of 10`,
      stolen === 0,
    );
  });

  await story.scene('Two tabs', async () => {
    story.say(
      'The refresh token is a cookie, good once. In a real browser two tabs of one guest renew their cards in the same moment, ten times. A second use looks like a theft.',
    );
    const rounds = async (more: { readonly oneAtATime?: boolean; readonly graceMs?: number }) => {
      const { url } = await open(more);
      const page = await browser.page();
      const other = await page.context().newPage();
      // The desk asks once; later it knows its guest by a cookie of its own.
      await page.goto(`${url}/login?to=/room`);
      await page.getByPlaceholder('Enter any login').fill('mo');
      await page.getByPlaceholder('and password').fill('any');
      await page.getByRole('button', { name: 'Sign-in' }).click();
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByText('Welcome, mo.').waitFor();
      await other.goto(`${url}/room`);
      let out = 0;
      for (let n = 0; n < 10; n++) {
        const at = Date.now() + 40;
        const renew = `new Promise((go) => setTimeout(go, ${at} - Date.now())).then(() => window.renew())`;
        await Promise.all([page.evaluate(renew), other.evaluate(renew)]);
        if ((await page.evaluate('window.renew()')) === 200) continue;
        out++;
        await page.goto(`${url}/login?to=/room`);
      }
      await page.context().close();
      return out;
    };
    story.code('src/refresh.ts', { from: 'protected successor', to: '}' });
    const naive = await rounds({ oneAtATime: false });
    const locked = await rounds({});
    const grace = await rounds({ oneAtATime: false, graceMs: 10_000 });
    story.table({
      columns: ['two tabs renew at once', 'logged out, of 10'],
      rows: [
        ['each when it likes', naive],
        ['one at a time: singleFlight, navigator.locks', locked],
        ['each when it likes, 10 s of grace with one successor', grace],
      ],
    });
    story.verdict('Two tabs log their own user out', `${naive} of 10`, naive > 0);
    story.verdict('One at a time they don’t', `${locked} of 10`, locked === 0);
    story.verdict('Nor where a lost answer may be asked for again', `${grace} of 10`, grace === 0);
  });

  await story.scene('A stolen card', async () => {
    story.say('A thief has copied a guest’s refresh token. Both use what they have, every day for a month.');
    const month = async (Tokens: typeof RefreshTokens) => {
      const tokens = new Tokens({ pool });
      let mine = await tokens.issue('mo');
      let his = mine;
      const days = { owner: 0, thief: 0 };
      const use = async (token: string) => tokens.rotate(token).catch(() => undefined);
      for (let day = 0; day < 30; day++) {
        const [owner, thief] = [await use(mine), await use(his)];
        if (owner) [mine, days.owner] = [owner.token, days.owner + 1];
        if (thief) [his, days.thief] = [thief.token, days.thief + 1];
      }
      return days;
    };
    const [stays, rotated] = [await month(GoodForEver), await month(RefreshTokens)];
    story.table({
      columns: ['the refresh token', 'days of the owner', 'days of the thief'],
      rows: [
        ['stays the same', stays.owner, stays.thief],
        ['is good once', rotated.owner, rotated.thief],
      ],
    });
    story.verdict(
      'A token that stays the same is the thief’s as long as the owner’s',
      `${stays.thief} days`,
      stays.thief === 30,
    );
    const ended = rotated.thief === 0 && rotated.owner === 1;
    story.verdict(
      'The second use ends the family: the owner logs in again, the thief is out',
      `${rotated.thief} days`,
      ended,
    );
  });

  await story.scene('After the logout', async () => {
    story.say(
      'A guest’s card is blocked at the desk. The doors ask nobody: they read what is written on it, and it is good for 300 s. The clock is turned forward, second by second.',
    );
    const guard = accessTokenGuard({ ...house, jwksUri, algs: ['ES256'], clockToleranceS: 0 });
    const token = await newCard();
    const sessions = new Sessions({ pool });
    const cookie = (await sessions.start('mo', undefined)).split(';', 1)[0];
    const inside = (await opens(guard(`Bearer ${token}`))) && (await sessions.find(cookie)) === 'mo';
    await sessions.end(cookie);
    const open = { jwt: 0, session: 0 };
    mock.timers.enable({ apis: ['Date'], now: Date.now() });
    for (let second = 1; second <= 400; second++) {
      mock.timers.tick(1000);
      if (await opens(guard(`Bearer ${token}`))) open.jwt = second;
      if ((await sessions.find(cookie)) !== undefined) open.session = second;
    }
    mock.timers.reset();
    story.table({
      columns: ['what the guest has', 'asks at each door', 'still opens after the logout for'],
      rows: [
        ['a JWT', 'nobody', `${open.jwt} s`],
        ['a session', 'the store', `${open.session} s`],
      ],
    });
    story.verdict('Both let him in before it', inside ? 'yes' : 'no', inside);
    story.verdict('A JWT outlives its logout until it runs out', `${open.jwt} s`, open.jwt > 200 && open.jwt <= 300);
    story.verdict('A session ends with the next request', `${open.session} s`, open.session === 0);
    story.say(
      'One app, one store: a session is the better card. Tokens are for doors that cannot ask the desk each time.',
    );
  });
});
