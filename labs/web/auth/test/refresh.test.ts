import { inspect } from 'node:util';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { Pool } from 'pg';
import { expect, test } from 'vitest';
import {
  InvalidArgumentError,
  type RefreshOptions,
  RefreshRefusedError,
  RefreshTokens,
  SCHEMA,
  Sessions,
  StoreUnavailableError,
  setCookie,
  singleFlight,
  sweep,
} from '#lab';
import { rotated, startClerk } from './desk-clerk.ts';
import { openStore } from './store.ts';

const DAY = 86_400_000;

/** Why a token is refused, or whose it is. */
async function fate(rotating: Promise<{ readonly sub: string }>): Promise<unknown> {
  const { value, error } = await outcome(rotating, 5000);
  return error instanceof RefreshRefusedError ? error.reason : (value?.sub ?? error);
}

await describeWith('refresh tokens and sessions', { postgres: () => startPostgres() }, ({ postgres }) => {
  const open = async (options: Partial<RefreshOptions> = {}) => {
    const store = await openStore(postgres.url);
    return { ...store, tokens: new RefreshTokens({ pool: store.pool, ...options }) };
  };

  // ── core ──

  test('a refresh token is good once, and so is its successor; the store has none that would let anybody in', async () => {
    const { tokens, kept } = await open();
    const seen = [await tokens.issue('mo')];
    for (let n = 0; n < 5; n++) {
      const { token, sub } = await tokens.rotate(seen.at(-1) ?? '');
      expect(sub).toBe('mo');
      expect(seen, 'the successor is a new one').not.toContain(token);
      expect(token, 'it is 256 bits').toMatch(/^[\w-]{43}$/);
      seen.push(token);
    }
    const all = await kept();
    expect(
      seen.filter((it) => all.includes(it)),
      'tokens that lie in the store as they are',
    ).toEqual([]);
    expect(await fate(tokens.rotate(seen[2] ?? '')), 'a used one').toBe('reused');
  });

  test('a used token that comes again ends its family: nobody can tell the owner from the thief', async () => {
    const { tokens } = await open();
    const stolen = await tokens.issue('mo');
    const other = await tokens.issue('mo');
    const mine = await tokens.rotate(stolen);
    expect(await fate(tokens.rotate(stolen)), 'the thief').toBe('reused');
    expect(
      await fate(tokens.rotate(mine.token)),
      'what the owner gets, who has to log in again (mo: his token was good)',
    ).toBe('revoked');
    expect(await fate(tokens.rotate(stolen)), 'the thief once more').toBe('revoked');
    expect(await fate(tokens.rotate(other)), 'another login of the same user').toBe('mo');
    const early = await tokens.issue('mo');
    const thief = await tokens.rotate(early);
    expect(await fate(tokens.rotate(early)), 'the owner, when the thief was first').toBe('reused');
    expect(await fate(tokens.rotate(thief.token)), 'and the thief').toBe('revoked');
  });

  test('of two processes that use one token at once one gets a successor, and the other is a second use', async () => {
    const { tokens, pool, schema } = await open();
    expect(await fate(tokens.rotate(await tokens.issue('mo'))), 'one process').toBe('mo');
    await using clerk = await startClerk(postgres.url, schema);
    const token = await tokens.issue('mo');
    // Both have begun before either can end: what they need is held until both wait for it, or one has answered all the same.
    const holder = await pool.connect();
    let answers: string[] = [];
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT * FROM auth_refresh, auth_families FOR UPDATE');
      let answered = false;
      const both = Promise.all(
        [rotated(tokens, token), clerk.rotated(token)].map((it) => it.finally(() => (answered = true))),
      );
      const waiting = `SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND application_name = '${schema}'`;
      const count = async () => (await pool.query<{ n: number }>(waiting)).rows[0]?.n;
      await until(async () => answered || (await count()) === 2, { what: 'two that wait' });
      await holder.query('COMMIT');
      answers = await both;
    } finally {
      holder.release();
    }
    const refused = answers.filter((answer) => answer.startsWith('refused'));
    expect(refused, 'what those were told that were refused: one of two, as a second use').toEqual(['refused: reused']);
    const [successor = ''] = answers.filter((answer) => !answer.startsWith('refused'));
    expect(await fate(tokens.rotate(successor)), 'the successor, after a second use').toBe('revoked');
  });

  test('one refresh at a time: a tab’s calls share one, and another tab’s begins when it has ended', async () => {
    const { tokens } = await open();
    let cookie = await tokens.issue('mo');
    let calls = 0;
    // As a browser does it: the cookie of the moment goes out, and later the next one comes in.
    const post = async () => {
      calls++;
      const { token } = await tokens.rotate(cookie);
      cookie = token;
      return `card ${calls}`;
    };
    const tabs = [singleFlight(post, navigator.locks), singleFlight(post, navigator.locks)];
    const cards = await Promise.allSettled(tabs.flatMap((tab) => [tab(), tab(), tab()]));
    const had = cards.map((it) => (it.status === 'fulfilled' ? it.value : `${it.reason}`));
    expect(had.sort(), 'what three calls in each of two tabs have got').toEqual([
      ...['card 1', 'card 1', 'card 1'],
      ...['card 2', 'card 2', 'card 2'],
    ]);
    expect(await tabs[0]?.(), 'the next one, later').toBe('card 3');
    const failing = singleFlight(() => Promise.reject(new Error('offline')), navigator.locks);
    const { error } = await outcome(Promise.all([failing(), failing()]));
    expect(`${error}`, 'who waits for one that fails').toBe('Error: offline');
    expect(await tabs[1]?.(), 'a failure holds up nobody').toBe('card 4');
  });

  test('a login gives a new session id, and a logout ends the session with the next request', async () => {
    const { pool, kept } = await open();
    const sessions = new Sessions({ pool });
    const jar = (line: string) => line.split(';', 1)[0] ?? '';
    const planted = await sessions.start('the attacker', undefined);
    const line = await sessions.start('mo', jar(planted));
    expect(await sessions.find(jar(line)), 'after the login').toBe('mo');
    expect(jar(line), 'the id from before the login, and after').not.toBe(jar(planted));
    expect(await sessions.find(jar(planted)), 'whoever still has the id from before the login').toBeUndefined();
    expect(line.split('; ').slice(1)).toEqual(['Path=/', 'Max-Age=43200', 'HttpOnly', 'Secure', 'SameSite=Lax']);
    expect((await kept()).includes(jar(line).split('=')[1] ?? '?'), 'the id lies in the store as it is').toBe(false);
    const cleared = await sessions.end(jar(line));
    expect(await sessions.find(jar(line)), 'after the logout').toBeUndefined();
    expect(cleared).toMatch(/^__Host-session=; Path=\/; Max-Age=0;/);
  });

  // ── hardening ──

  test('a refresh that throws at once leaves the lock to others', async () => {
    const throws = singleFlight(
      (): Promise<never> => {
        throw new Error('no cookie');
      },
      navigator.locks,
      'throws',
    );
    for (const again of [false, true]) {
      expect(`${(await outcome(throws())).error}`, again ? 'once more' : 'at first').toBe('Error: no cookie');
    }
  });

  test('within the grace a used token is answered by the same successor, until that is used or the time is over', async () => {
    const { tokens, later, pool } = await open({ graceMs: 60_000 });
    const first = await tokens.issue('mo');
    const answers = await Promise.all(Array.from({ length: 10 }, () => tokens.rotate(first)));
    expect(new Set(answers.map(({ token }) => token)).size, 'successors of one token').toBe(1);
    const second = answers[0]?.token ?? '';
    await later(30_000);
    expect((await tokens.rotate(first)).token, 'asked again in time').toBe(second);
    const third = (await tokens.rotate(second)).token;
    expect((await tokens.rotate(second)).token).toBe(third);
    expect(await fate(tokens.rotate(first)), 'in time, but its successor has been used').toBe('reused');
    expect(await fate(tokens.rotate(third))).toBe('revoked');
    const late = await tokens.issue('mo');
    await tokens.rotate(late);
    await later(60_001);
    expect(await fate(tokens.rotate(late)), 'when the time is over').toBe('reused');
    const short = new RefreshTokens({ pool, graceMs: 60_000, absoluteMs: 120_000 });
    const last = await short.issue('mo');
    await later(90_000);
    await short.rotate(last);
    await later(30_001);
    expect(await fate(short.rotate(last)), 'in time, but the family’s is over').toBe('reused');
  });

  test('a token runs out unused, a family runs out however often it is used, and sweep() forgets both', async () => {
    const { tokens, later, pool, kept } = await open({ idleMs: 2 * DAY, absoluteMs: 5 * DAY });
    const idle = await tokens.issue('mo');
    await later(2 * DAY - 60_000);
    const next = await tokens.rotate(idle);
    await later(2 * DAY + 1);
    expect(await fate(tokens.rotate(next.token)), 'unused for too long').toBe('expired');
    let { token } = { token: await tokens.issue('mo') };
    for (let day = 0; day < 4; day++) {
      await later(DAY);
      ({ token } = await tokens.rotate(token));
    }
    await later(DAY + 1);
    expect(await fate(tokens.rotate(token)), 'used every day').toBe('expired');
    // As a rotation does it: a token first, and then its family.
    const holder = await pool.connect();
    await holder.query('BEGIN');
    await holder.query('SELECT * FROM auth_refresh WHERE used_at IS NULL FOR UPDATE');
    const swept = await outcome(sweep(pool));
    await holder.query('SELECT * FROM auth_families FOR UPDATE');
    await holder.query('COMMIT');
    holder.release();
    expect(swept.error, 'sweep() beside a rotation').toBeUndefined();
    const many =
      "SELECT sha256(n::text::bytea), id, now() FROM auth_families, generate_series(1, 5001) n WHERE sub = 'ada'";
    await pool.query("INSERT INTO auth_families VALUES (gen_random_uuid(), 'ada', now() - interval '1 s')");
    await pool.query(`INSERT INTO auth_refresh ${many}`);
    await sweep(pool);
    expect(await kept()).toBe('[[],[],[],[]]');
    expect(await fate(tokens.rotate(token))).toBe('unknown');
  });

  test('a logout ends one family, a lost card all of the user’s', async () => {
    const { tokens } = await open();
    const [one, two, three, hers] = [
      await tokens.issue('mo'),
      await tokens.issue('mo'),
      await tokens.issue('mo'),
      await tokens.issue('ada'),
    ];
    await tokens.revoke(one);
    await tokens.revoke('never seen');
    expect(await fate(tokens.rotate(one))).toBe('revoked');
    const next = await tokens.rotate(two);
    await tokens.revokeAll('mo');
    expect(await Promise.all([next.token, three, hers].map((it) => fate(tokens.rotate(it))))).toEqual([
      'revoked',
      'revoked',
      'ada',
    ]);
  });

  test('what is no refresh token is unknown, and what is no user is refused', async () => {
    const { tokens, pool } = await open();
    for (const bad of ['', 'x', '\0', '\ud83d', "' OR 1=1 --", 'a'.repeat(10_000)]) {
      expect(await fate(tokens.rotate(bad)), bad.slice(0, 20)).toBe('unknown');
    }
    for (const bad of [undefined, 7, {}, ['x']]) {
      expect(await fate(Reflect.apply(tokens.rotate, tokens, [bad])), 'of a body that nobody has looked at').toBe(
        'unknown',
      );
    }
    const sessions = new Sessions({ pool });
    const hers = await tokens.issue('mo\ufffd');
    for (const bad of ['', 'mo\0', 'mo\ud83d', 'm'.repeat(256)]) {
      const asked = [tokens.issue(bad), tokens.revokeAll(bad), sessions.start(bad, undefined), sessions.endAll(bad)];
      for (const it of asked)
        expect((await outcome<unknown>(it)).error, inspect(bad)).toBeInstanceOf(InvalidArgumentError);
    }
    expect(await fate(tokens.rotate(hers)), 'whose name the store would make of mo\\ud83d').toBe('mo\ufffd');
    for (const bad of [-1, Number.NaN, 1.5]) {
      expect(() => new RefreshTokens({ pool, graceMs: bad })).toThrow(InvalidArgumentError);
      expect(() => new Sessions({ pool, idleMs: bad })).toThrow(InvalidArgumentError);
    }
  });

  test('processes that start at once all find the tables', async () => {
    const { pool } = await open();
    for (let round = 0; round < 3; round++) {
      await pool.query('DROP TABLE auth_refresh, auth_families, auth_sessions, auth_logins');
      await Promise.all(Array.from({ length: 8 }, () => pool.query(SCHEMA)));
    }
  });

  test('a store that is gone is a 503, and a connection that dies in the middle uses nothing up', async () => {
    const { tokens, pool } = await open();
    const token = await tokens.issue('mo');
    let heard: number | undefined;
    pool.once('acquire', (tx) => queueMicrotask(() => (heard = tx.listenerCount('error'))));
    expect(await fate(tokens.rotate(await tokens.issue('mo')))).toBe('mo');
    expect(heard, 'who hears of the end of a connection that comes with its beginning').toBe(1);
    class Killed extends RefreshTokens {
      protected override async markUsed(...args: Parameters<RefreshTokens['markUsed']>) {
        await super.markUsed(...args);
        const { rows } = await args[0].query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
        await pool.query('SELECT pg_terminate_backend($1)', [rows[0]?.pid]);
      }
    }
    const { error } = await outcome(new Killed({ pool }).rotate(token));
    expect(error).toBeInstanceOf(StoreUnavailableError);
    expect(error).toMatchObject({ statusCode: 503 });
    expect(await fate(tokens.rotate(token)), 'the same token, afterwards').toBe('mo');
    const nowhere = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
    const lost = new RefreshTokens({ pool: nowhere });
    for (const asked of [lost.rotate(token), lost.revoke(token), lost.revokeAll('mo'), lost.issue('mo')]) {
      expect((await outcome<unknown>(asked)).error).toBeInstanceOf(StoreUnavailableError);
    }
    expect((await outcome(new Sessions({ pool: nowhere }).find(`__Host-session=${token}`))).error).toBeInstanceOf(
      StoreUnavailableError,
    );
    expect(pool.totalCount - pool.idleCount, 'connections that nobody has given back').toBe(0);
  });

  test('a store that hangs is a 503 too, and keeps no connection', async () => {
    const { tokens, pool, schema } = await open();
    const token = await tokens.issue('mo');
    const hasty = new Pool({ connectionString: postgres.url, options: `-c search_path=${schema}`, query_timeout: 100 });
    const holder = await pool.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT * FROM auth_refresh FOR UPDATE');
      const { error } = await outcome(new RefreshTokens({ pool: hasty }).rotate(token));
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(hasty.totalCount, 'connections that still wait').toBe(0);
      await holder.query('ROLLBACK');
    } finally {
      holder.release();
      await hasty.end();
    }
    expect(await fate(tokens.rotate(token)), 'the same token, afterwards').toBe('mo');
  });

  test('a session ends unused, or at its end however often it is used, or for all of a user’s browsers', async () => {
    const { pool, later } = await open();
    const sessions = new Sessions({ pool, idleMs: 60_000, absoluteMs: 300_000 });
    const begin = async (sub: string) => (await sessions.start(sub, undefined)).split(';', 1)[0] ?? '';
    const idle = await begin('mo');
    await later(60_001);
    expect(await sessions.find(idle), 'unused').toBeUndefined();
    const busy = await begin('mo');
    const seen: unknown[] = [];
    for (let minute = 0; minute < 7; minute++) {
      seen.push(await sessions.find(busy));
      await later(50_000);
    }
    expect(seen).toEqual(['mo', 'mo', 'mo', 'mo', 'mo', 'mo', undefined]);
    const usual = new Sessions({ pool });
    const lunch = (await usual.start('mo', undefined)).split(';', 1)[0];
    await later(29 * 60_000);
    expect(await usual.find(lunch), 'after 29 minutes').toBe('mo');
    await later(30 * 60_000 + 1000);
    expect(await usual.find(lunch), 'after 30 more').toBeUndefined();
    const [phone, desk, hers] = [await begin('mo'), await begin('mo'), await begin('ada')];
    await sessions.endAll('mo');
    expect(await Promise.all([phone, desk, hers].map((it) => sessions.find(it)))).toEqual([
      undefined,
      undefined,
      'ada',
    ]);
  });

  test('a cookie is set and read as it is; two of a name are none', async () => {
    const { pool } = await open();
    const sessions = new Sessions({ pool });
    const cookie = (await sessions.start('mo', undefined)).split(';', 1)[0] ?? '';
    for (const good of [cookie, `a=b; ${cookie}; c`, `  ${cookie}`]) expect(await sessions.find(good), good).toBe('mo');
    for (const bad of [
      '',
      undefined,
      `x${cookie}`,
      `${cookie}x`,
      `${cookie}=x`,
      `${cookie}; ${cookie}`,
      `__Host-session=${'a'.repeat(43)}`,
    ]) {
      expect(await sessions.find(bad), bad).toBeUndefined();
    }
    for (const [name, value, ms] of [
      ['session', 'x', 1],
      ['__Host-a', 'x; Domain=evil.example', 1],
      ['__Host-a', 'x', Number.NaN],
    ] as const) {
      expect(() => setCookie(name, value, ms), `${name}=${value}`).toThrow(InvalidArgumentError);
    }
  });
});
