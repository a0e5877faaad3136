import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import {
  ClientGoneError,
  DeadlineExceededError,
  DeclarationError,
  type Dependency,
  DependencyCycleError,
  HttpError,
  override,
  provide,
  ScopeOverError,
  route as typedRoute,
} from '#lab';
import { door, open, store } from './counter.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

/** A route under `/` that needs what is named, and answers with it. */
const needing = (deps: Record<string, Dependency<unknown>>, fail?: unknown) =>
  typedRoute({
    method: 'GET',
    url: '/',
    response: z.any(),
    deps,
    handler: async (given) => {
      if (fail !== undefined) throw fail;
      return given.deps;
    },
  });

/** A dependency that writes down what becomes of it. */
const logged = <T>(log: string[], name: string, value: () => T, needs: readonly Dependency<unknown>[] = []) =>
  provide(name, async function* ({ inject }) {
    for (const each of needs) await inject(each);
    log.push(`${name} made`);
    try {
      yield value();
      log.push(`${name} kept`);
    } catch (error) {
      log.push(`${name} undone: ${error instanceof Error ? error.message : error}`);
      throw error;
    } finally {
      log.push(`${name} closed`);
    }
  });

await describeWith('dependencies', { postgres: () => startPostgres() }, ({ postgres }) => {
  const { url } = postgres;
  const Order = z.object({ medicine: z.string(), replaces: z.string().optional() });

  /** Takes an order in a transaction; `meanwhile` is what the handler does before it is done. */
  const taking = async (meanwhile: (signal: AbortSignal) => unknown = () => {}, deadlineMs = 5000) => {
    const it = await store(url);
    const take = typedRoute({
      method: 'POST',
      url: '/',
      body: Order,
      response: Order,
      deps: { db: it.transaction },
      deadlineMs,
      handler: async ({ body, deps, signal }) => {
        await it.add(deps.db, body.medicine, body.replaces);
        await meanwhile(signal);
        return body;
      },
    });
    return { ...it, ...open({ routes: [take] }) };
  };

  // ── core ──

  test('a dependency is made once for a request, however many ask for it at once, and anew for the next', async () => {
    let made = 0;
    const connection = provide('connection', async function* () {
      const mine = ++made;
      await delay(1);
      yield mine;
    });
    const user = (name: string) =>
      provide(name, async function* ({ inject }) {
        yield await inject(connection);
      });
    const { get } = open({ routes: [needing({ orders: user('orders'), stock: user('stock'), connection })] });
    const answers = [await get('/'), await get('/')].map((each) => each.json());
    expect(answers, 'the number of the connection that each of three was given, in two requests').toEqual([
      { orders: 1, stock: 1, connection: 1 },
      { orders: 2, stock: 2, connection: 2 },
    ]);
  });

  test('what was made is taken back in reverse, and each is told of the failure', async () => {
    const log: string[] = [];
    const pool = logged(log, 'connection', () => 1);
    const transaction = logged(log, 'transaction', () => 2, [pool]);
    /** Whether before the answer or behind it is another law. */
    const done = () => until(() => log.length >= 6, { timeoutMs: 300 }).catch(() => {});
    await open({ routes: [needing({ transaction })] }).get('/');
    await done();
    expect(log.splice(0), 'of a request that succeeds').toEqual([
      'connection made',
      'transaction made',
      'transaction kept',
      'transaction closed',
      'connection kept',
      'connection closed',
    ]);
    const gone = new HttpError(409, 'OUT_OF_STOCK', 'none left');
    expect((await open({ routes: [needing({ transaction }, gone)] }).get('/')).status).toBe(409);
    await done();
    expect(log, 'of a request that fails').toEqual([
      'connection made',
      'transaction made',
      'transaction undone: none left',
      'transaction closed',
      'connection undone: none left',
      'connection closed',
    ]);
  });

  test('whoever is answered can rely on it: the commit comes first, and one that fails is a 500', async () => {
    const { post, stored, log, failed } = await taking();
    for (let n = 1; n <= 5; n++) {
      const { status } = await post('/', { medicine: `m${n}` });
      expect([status, (await stored()).length], 'the status, and how many can be seen at that moment').toEqual([
        200,
        n,
      ]);
    }
    // A foreign key that Postgres looks at in COMMIT alone.
    const { status } = await post('/', { medicine: 'x', replaces: 'nothing' });
    expect([status, log.at(-1), failed.length], 'the status when COMMIT is refused').toEqual([500, 'ROLLBACK', 1]);
  });

  test('who is cut off is answered at once, and nothing of it is kept, though the handler goes on to its end', async () => {
    const log: string[] = [];
    const { opened, open: release } = door();
    const {
      post,
      stored,
      log: fate,
      lent,
      failed,
    } = await taking(async (signal) => {
      signal.addEventListener('abort', () => log.push(`cut off: ${signal.reason.code}`));
      await opened;
      log.push('the handler has ended');
    }, 300);
    onTestFinished(release);
    const { value: answer } = await outcome(post('/', { medicine: 'aspirin' }));
    expect(answer?.status ?? 'never', 'the status').toBe(504);
    log.push(`answered, ${lent()} connection in its hands`);
    release();
    await until(() => fate.length > 0 && lent() === 0, { timeoutMs: 1000, what: 'the connection to be given back' });
    expect(log, 'in this order').toEqual([
      'cut off: DEADLINE_EXCEEDED',
      'answered, 1 connection in its hands',
      'the handler has ended',
    ]);
    expect([fate, await stored()], 'what became of the transaction, and what is stored').toEqual([['ROLLBACK'], []]);
    expect(failed, 'what onError was told').toEqual([expect.any(DeadlineExceededError)]);
  });

  // ── hardening ──

  test('clients that go away at any moment leave no connection and no transaction behind', async () => {
    const { next } = random(SEED);
    const cut: unknown[] = [];
    const {
      stored,
      lent,
      log,
      failed,
      url: listen,
      api,
    } = await taking(async (signal) => {
      signal.addEventListener('abort', () => cut.push(signal.reason));
      await delay(4 * next());
    });
    const base = await listen();
    const answered: string[] = [];
    const visit = async (n: number) => {
      const medicine = `m${n}`;
      const signal = AbortSignal.timeout(Math.ceil(10 * next()));
      const headers = { 'content-type': 'application/json' };
      const sent = fetch(base, { method: 'POST', headers, body: JSON.stringify({ medicine }), signal });
      if ((await outcome(sent)).value?.ok) answered.push(medicine);
    };
    for (let n = 0; n < 80; n += 8) await Promise.all(Array.from({ length: 8 }, (_, k) => visit(n + k)));
    await api.close();
    const kept = await stored();
    expect(lent(), 'connections that nobody has given back').toBe(0);
    expect(
      answered.filter((each) => !kept.includes(each)),
      'answered, but not kept',
    ).toEqual([]);
    expect(log.filter((each) => each === 'COMMIT').length, 'commits, and what is kept').toBe(kept.length);
    expect([cut.filter((each) => !(each instanceof ClientGoneError)), failed]).toEqual([[], []]);
  });

  test('a client that goes is noticed while the handler is at work', async () => {
    let reason: unknown;
    const {
      stored,
      lent,
      log,
      failed,
      url: listen,
    } = await taking(async (signal) => {
      leaving.abort();
      await delay(5000, undefined, { signal }).catch(() => {});
      reason = signal.reason;
    });
    const leaving = new AbortController();
    const base = await listen();
    const headers = { 'content-type': 'application/json' };
    await outcome(fetch(base, { method: 'POST', headers, body: '{"medicine":"aspirin"}', signal: leaving.signal }));
    await until(() => log.length > 0 && lent() === 0, { timeoutMs: 1000, what: 'the transaction to end' });
    expect(reason).toBeInstanceOf(ClientGoneError);
    expect([log, await stored(), failed]).toEqual([['ROLLBACK'], [], []]);
  });

  test('a connection that is killed inside a transaction fails its request, and no other', async () => {
    const { pool, post, stored, lent, failed } = await taking(async () => {
      if (kills-- > 0) {
        await pool.query(
          'SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
        );
      }
    });
    let kills = 1;
    expect((await post('/', { medicine: 'lost' })).status).toBe(500);
    expect((await post('/', { medicine: 'aspirin' })).status).toBe(200);
    expect([await stored(), lent(), failed.length]).toEqual([['aspirin'], 0, 1]);
  });

  test('an error is told, though a deadline takes its answer while it is undone', async () => {
    const { opened, open: release } = door();
    const slow = provide('slow', async function* () {
      try {
        yield 1;
      } finally {
        await opened;
      }
    });
    const broken = new Error('no answer');
    const handler = () => Promise.reject(broken);
    const fails = typedRoute({ method: 'GET', url: '/', response: z.any(), deps: { slow }, deadlineMs: 20, handler });
    const { get, failed } = open({ routes: [fails] });
    expect((await get('/')).status).toBe(504);
    release();
    expect(failed).toEqual([broken, expect.any(DeadlineExceededError)]);
  });

  test('what fails on the way up is taken back, what was still being made too', async () => {
    const log: string[] = [];
    const { opened, open: release } = door();
    const quick = logged(log, 'quick', () => 1);
    const slow = provide('slow', async function* ({ inject }) {
      await opened;
      log.push('slow made');
      yield await outcome(inject(logged(log, 'late', () => 1)));
      log.push('slow kept');
    });
    const broken = provide('broken', async function* () {
      setTimeout(release, 5);
      if (log) throw new HttpError(503, 'NO_DATABASE', 'no database');
      yield 1;
    });
    const { get } = open({ routes: [needing({ quick, slow, broken })] });
    expect((await get('/')).status).toBe(503);
    expect(log).toEqual(['quick made', 'slow made', 'quick undone: no database', 'quick closed']);
  });

  test('a cycle is named, also among those that are asked at once', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const late: Dependency<unknown>[] = [];
    const asking = (name: string, index: number): Dependency<unknown> =>
      provide(name, async function* ({ inject }) {
        await promise;
        const other = late[index];
        yield other && (await inject(other));
      });
    late.push(asking('stock', 1), asking('price', 2), asking('discount', 0));
    resolve();
    const [stock = asking('', 0), price = stock] = late;
    for (const deps of [{ stock }, { stock, price }]) {
      const { get, failed } = open({ routes: [needing(deps)] });
      expect((await outcome(get('/'))).value?.status).toBe(500);
      expect(failed).toEqual([expect.any(DependencyCycleError)]);
      expect(String(failed[0])).toMatch(/(stock|price|discount)( → \w+){2} → \1/);
    }
    const shared = logged([], 'shared', () => 1);
    const left = logged([], 'left', () => 1, [shared]);
    const top = logged([], 'top', () => 1, [left, shared]);
    expect((await open({ routes: [needing({ top, left, shared })] }).get('/')).status, 'a diamond').toBe(200);
  });

  test('an override stands in for whoever depends on it, and what it replaces is not made', async () => {
    const log: string[] = [];
    const clock = logged(log, 'clock', () => 'now');
    const user = provide('label', async function* ({ inject }) {
      yield `printed ${await inject(clock)}`;
    });
    const overrides = [
      override(clock, async function* () {
        yield 'at noon';
      }),
    ];
    expect((await open({ routes: [needing({ user, clock })], overrides }).get('/')).json()).toEqual({
      user: 'printed at noon',
      clock: 'at noon',
    });
    expect([log, (await open({ routes: [needing({ user })] }).get('/')).json()]).toMatchObject([
      {},
      { user: 'printed now' },
    ]);
    expect(log).toEqual(['clock made', 'clock kept', 'clock closed']);
  });

  test('what fails while it is taken back: the first failure is the answer, and the others are told', async () => {
    const log: string[] = [];
    const outer = logged(log, 'outer', () => 1);
    const failing = (name: string) =>
      provide(name, async function* ({ inject }) {
        await inject(outer);
        try {
          yield 1;
        } finally {
          log.push(`${name} fails`);
          // biome-ignore lint/correctness/noUnsafeFinally: a rollback that fails does just that
          throw new Error(`no answer to ${name}`);
        }
      });
    const commit = open({ routes: [needing({ commit: failing('COMMIT') })] });
    expect((await commit.get('/')).status).toBe(500);
    expect(commit.failed.map(String)).toEqual(['Error: no answer to COMMIT']);
    expect(log.splice(0)).toEqual(['outer made', 'COMMIT fails', 'outer undone: no answer to COMMIT', 'outer closed']);
    const rollback = open({ routes: [needing({ it: failing('ROLLBACK') }, new HttpError(404, 'NONE', 'none'))] });
    expect((await rollback.get('/')).status).toBe(404);
    expect(rollback.failed.map(String)).toEqual(['Error: no answer to ROLLBACK']);
    expect(log).toEqual(['outer made', 'ROLLBACK fails', 'outer undone: none', 'outer closed']);
  });

  test('a dependency that swallows the failure has not saved the request', async () => {
    const swallowing = provide('swallowing', async function* () {
      try {
        yield 1;
      } catch {}
    });
    const { get } = open({ routes: [needing({ swallowing }, new HttpError(409, 'OUT_OF_STOCK', 'none left'))] });
    expect((await get('/')).status).toBe(409);
  });

  test('one that yields never, or twice, is named; what is asked for after the end is refused', async () => {
    let ended = false;
    const never = provide('never', async function* () {
      if (ended) yield 1;
    });
    const twice = provide('twice', async function* () {
      try {
        yield 1;
        yield 2;
      } finally {
        ended = true;
      }
    });
    const other = provide('other', async function* () {
      yield 1;
    });
    let late: unknown;
    const tardy = provide('tardy', async function* ({ inject }) {
      yield 1;
      late = (await outcome(inject(other))).error;
    });
    const answers = [];
    for (const deps of [{ never }, { twice }, { tardy }]) {
      const { get, failed } = open({ routes: [needing(deps)] });
      answers.push([(await get('/')).status, ...failed]);
    }
    const refused = expect.any(DeclarationError);
    expect(answers).toEqual([[500, refused], [500, refused], [200]]);
    expect([ended, late], 'whether it was ended, and what is said to who asks after the end').toEqual([
      true,
      expect.any(ScopeOverError),
    ]);
  });
});
