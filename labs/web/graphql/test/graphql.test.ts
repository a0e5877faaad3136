import { once } from 'node:events';
import { createServer } from 'node:http';
import { startPostgres } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { GraphQLError } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  aliasLimit,
  costLimit,
  depthLimit,
  hashOf,
  InvalidArgumentError,
  maskErrors,
  PublicError,
  persisted,
  useDeadline,
  useLimits,
  usePersisted,
} from '#lab';
import { type KioskOptions, openKiosk, poolOf, stock } from './kiosk.ts';

const limits = () =>
  useLimits({ rules: ({ variables }) => [depthLimit(8), aliasLimit(15), costLimit(2000, { variables })] });

await describeWith('the kiosk', { postgres: () => startPostgres() }, ({ postgres }) => {
  const name = `kiosk_${process.pid}`;
  const pool = poolOf(postgres.url, name);
  const stocked = stock(pool, name, { articles: 100, authors: 30, comments: 3 });
  const open = async (options?: KioskOptions) => {
    await stocked;
    return openKiosk(pool, options);
  };
  /** Whoever reads authors waits until it is called. */
  const lockAuthors = async () => {
    const client = await pool.connect();
    await client.query(`BEGIN; LOCK TABLE ${name}.authors`);
    let locked = true;
    const unlock = async () => {
      if (!locked) return;
      locked = false;
      await client.query('ROLLBACK');
      client.release();
    };
    onTestFinished(unlock);
    return unlock;
  };

  // ── core ──

  test('a request reads what its own user may read, and after a mutation what was written', async () => {
    const { ask, sql } = await open();
    const read = async (query: string, reader = 'ann') => {
      const { data, errors } = await ask(query, { reader });
      return errors.length > 0 ? errors.map(({ message }) => message) : data;
    };
    const notes = '{ articles(first: 2) { note } }';
    const of = (reader: string) => ({ articles: [{ note: `${reader} on 1` }, { note: `${reader} on 2` }] });
    const [ann, ben] = await Promise.all(['ann', 'ben'].map((reader) => read(notes, reader)));
    expect(ann, 'what ann reads').toEqual(of('ann'));
    expect(ben, 'what ben reads').toEqual(of('ben'));
    sql.length = 0;
    expect(await read(notes, 'ben'), 'what ben reads later').toEqual(of('ben'));
    expect(sql.length, 'statements of one request: the articles, the notes on them').toBe(2);
    const rename = (name: string) => `rename(author: "30", name: "${name}") { name }`;
    const renamed = await read(`mutation { ${rename('Zoe')} }`);
    expect(renamed, 'what is read behind the mutation').toEqual({ rename: { name: 'Zoe' } });
    const both = await read(`mutation { a: ${rename('Eva')} b: ${rename('Kim')} }`);
    expect(both, 'what is read behind each of two').toEqual({ a: { name: 'Eva' }, b: { name: 'Kim' } });
  });

  test('what fails inside is an id to the client, and an entry of that id in the log; what is meant for him is told', async () => {
    const { ask, incidents } = await open();
    const { data, errors, text } = await ask('{ takings articles(first: 1) { title } }');
    expect(data, 'what did not fail').toEqual({ takings: null, articles: [{ title: 'Article 1' }] });
    for (const secret of ['sales_2025', 'relation', 'till', 'kiosk.ts', 'SELECT']) {
      expect(text, `the response, which should not have ${secret}`).not.toContain(secret);
    }
    expect(errors, 'what the client reads').toMatchObject([
      { path: ['takings'], extensions: { code: 'INTERNAL', id: incidents[0]?.id } },
    ]);
    expect(incidents, 'the log').toMatchObject([{ error: { code: '42P01' }, path: ['takings'] }]);
    const refused = await ask('mutation { rename(author: "1", name: "") { name } }');
    expect(refused.errors, 'a PublicError').toMatchObject([
      { message: 'An author needs a name.', extensions: { code: 'NAME_EMPTY' } },
    ]);
    expect(incidents.length, 'entries of the log: a PublicError is none').toBe(1);
  });

  // ── hardening ──

  test('100 articles and their authors are two statements; without loaders they are 101', async () => {
    const query = '{ articles(first: 100) { title author { name } } }';
    const each = await open({ resolvers: 'each' });
    const batched = await open();
    const answers = await Promise.all([each, batched].map(({ ask }) => ask(query)));
    expect([each.sql.length, batched.sql.length]).toEqual([101, 2]);
    expect(answers[1]?.data).toEqual(answers[0]?.data);
    expect(answers[1]?.data.articles).toHaveLength(100);
  });

  test('a hostile query is refused with 400 and a code before a statement is sent', async () => {
    const { ask, sql } = await open({ plugins: [limits()] });
    const nest = (depth: number): string =>
      depth ? `{ articles(first: 1) { author ${nest(depth - 1)} } }` : '{ name }';
    const aliases = Array.from({ length: 150 }, (_, n) => `a${n}: takings`).join(' ');
    const variable = 'query ($n: Int) { articles(first: $n) { title } }';
    expect((await ask(variable, { variables: { n: 5 } })).data.articles, 'a friendly one').toHaveLength(5);
    sql.length = 0;
    const hostile: readonly (readonly [string, string, object?])[] = [
      ['COST_LIMIT', variable, { n: 1e9 }],
      ['COST_LIMIT', variable, { n: -1 }],
      ['COST_LIMIT', '{ articles(first: 1000000000) { title } }'],
      ['DEPTH_LIMIT', `{ articles { author ${nest(8)} } }`],
      ['ALIAS_LIMIT', `{ ${aliases} }`],
      ['TOKEN_LIMIT', `{ ${'takings '.repeat(999)} }`],
      ['TOKEN_LIMIT', '{ articles '.repeat(30_000)],
    ];
    for (const [code, query, variables] of hostile) {
      const answer = await ask(query, { variables });
      const seen = [answer.status, answer.code, answer.data ? 'data' : 'no data'];
      expect(seen, `${query.slice(0, 60)} ${JSON.stringify(variables)}`).toEqual([400, code, 'no data']);
    }
    const three = await open({ plugins: [useLimits({ tokens: 3, rules: () => [] })] });
    expect([(await three.ask('{ articles }')).code, (await three.ask('{ a: takings }')).code]).toEqual([
      'GRAPHQL_VALIDATION_FAILED',
      'TOKEN_LIMIT',
    ]);
    expect([sql, three.sql], 'statements').toEqual([[], []]);
    expect((await ask(variable, { variables: { n: 6 } })).data.articles).toHaveLength(6);
  });

  test('a misspelt name is not set right', async () => {
    const { ask } = await open({ plugins: [limits()] });
    const byOrder = 'query ($order: Order) { articles(order: $order) { title } }';
    expect((await ask(byOrder, { variables: { order: 'NEWEST' } })).data.articles[0]).toEqual({ title: 'Article 100' });
    const misspelt = ['{ takingz }', '{ articles(firsd: 1) { title } }', '{ articles { autor { name } } }', byOrder];
    for (const query of misspelt) {
      const { text, errors } = await ask(query, { variables: { order: 'NEWES' } });
      expect(errors.length, query).toBeGreaterThan(0);
      expect(text).not.toMatch(/did you mean/i);
    }
    expect(await ask(byOrder, { variables: { order: 'NEWES' } })).toMatchObject({ status: 400, code: 'BAD_VARIABLE' });
    const sold = await ask('subscription ($order: Order) { sold(order: $order) }', { variables: { order: 'NEWES' } });
    expect(sold).toMatchObject({ code: 'BAD_VARIABLE', text: expect.not.stringMatching(/did you mean/i) });
    expect((await ask('{ § }')).code, 'what cannot be parsed').toBe('GRAPHQL_PARSE_FAILED');
  });

  test('a server with a list runs what is on it, by hash or text, and refuses the rest before a statement is sent', async () => {
    const known = '{ articles(first: 1) { title } }';
    const { ask, sql } = await open({ plugins: [usePersisted(persisted([known])), limits()] });
    const named = (sha256Hash: unknown) => ({ extensions: { persistedQuery: { version: 1, sha256Hash } } });
    const other = '{ articles { title } }';
    for (const refused of [
      () => ask(other),
      () => ask(`${known} `),
      () => ask(undefined),
      () => ask(undefined, { query: 7 }),
      () => ask(other, { extensions: { persistedQuery: null } }),
    ]) {
      expect(await refused()).toMatchObject({ status: 400, code: 'PERSISTED_ONLY' });
    }
    // As APQ registers it.
    expect(await ask(other, named(hashOf(other)))).toMatchObject({ status: 400, code: 'PERSISTED_QUERY_NOT_FOUND' });
    for (const hash of [hashOf(other), 'toString', '', 7, null, { a: 1 }]) {
      expect(await ask(undefined, named(hash))).toMatchObject({ status: 400, code: 'PERSISTED_QUERY_NOT_FOUND' });
    }
    expect(sql, 'statements').toEqual([]);
    const article = { data: { articles: [{ title: 'Article 1' }] } };
    expect(await ask(known)).toMatchObject(article);
    expect(await ask(undefined, named(hashOf(known)))).toMatchObject(article);
    expect(await ask(other, named(hashOf(known).toUpperCase())), 'the text that came is not run').toMatchObject(
      article,
    );
    expect(() => persisted(known)).toThrow(InvalidArgumentError);
  });

  test('what graphql finds wrong in a value is told to its sender, and never what the server has read', async () => {
    const { ask } = await open();
    const { errors } = await ask('query ($n: Int) { articles(first: $n) { title } }', { variables: { n: 'x' } });
    expect(errors[0]?.message).toContain('$n');
    const mask = maskErrors({ onIncident: () => {} });
    const serialized = new GraphQLError('Int cannot represent 4111111111111111', { path: ['card'] });
    const wrapped = new GraphQLError('x', { originalError: new PublicError('Gone.', { code: 'GONE' }), path: ['a'] });
    const refused = new PublicError('Gone.', { code: 'GONE', cause: serialized });
    expect([refused.cause, JSON.stringify(refused)]).toEqual([serialized, expect.not.stringContaining('4111')]);
    expect(mask(serialized).message).not.toContain('4111');
    expect(mask(wrapped)).toBe(wrapped);
    for (const thrown of [undefined, null, 'a secret', 0, Object.create(null)]) {
      expect(mask(thrown)).toMatchObject({ extensions: { code: 'INTERNAL', http: { status: 500 } } });
      expect(mask(thrown).message).not.toContain('secret');
    }
  });

  test('a log that fails changes nothing in the answer', async () => {
    const warned: unknown[] = [];
    vi.spyOn(process, 'emitWarning').mockImplementation((warning) => void warned.push(warning));
    onTestFinished(() => void vi.restoreAllMocks());
    const fail = () => {
      throw new Error('the disk is full');
    };
    const failOddly = async () => {
      throw Object.create(null);
    };
    for (const onIncident of [fail, async () => fail(), failOddly]) {
      expect(maskErrors({ onIncident })(new Error('x'))).toMatchObject({ extensions: { code: 'INTERNAL' } });
    }
    await until(() => warned.length === 3);
  });

  test('after the deadline the client has his answer, and no further resolver begins', async () => {
    const [reading, writing] = [
      await open({ plugins: [useDeadline(54_321)] }),
      await open({ plugins: [useDeadline(54_321)] }),
    ];
    const unlock = await lockAuthors();
    const set = vi.spyOn(globalThis, 'setTimeout');
    onTestFinished(() => void vi.restoreAllMocks());
    const answers = [
      reading.ask('{ articles(first: 3) { author { articles { comments { text } } } } }'),
      writing.ask('mutation { rename(author: "1", name: "Author 1") { name } }'),
    ];
    await until(() => reading.sql.length === 2 && writing.sql.length === 1, { what: 'the authors asked for' });
    for (const [fire, ms] of set.mock.calls) if (ms === 54_321) fire();
    for (const answer of answers)
      expect(await answer).toMatchObject({ status: 504, code: 'DEADLINE', data: undefined });
    await unlock();
    await until(() => pool.idleCount === pool.totalCount, { what: 'every connection given back' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(reading.sql, 'articles, and authors, which waited').toHaveLength(2);
    for (const n of [0, -1, Number.NaN, 1.5]) {
      expect(() => useDeadline(n)).toThrow(InvalidArgumentError);
      expect(() => useLimits({ tokens: n, rules: () => [] })).toThrow(InvalidArgumentError);
    }
    expect(() => useDeadline(2 ** 31), 'which a timer takes for 1').toThrow(InvalidArgumentError);
    expect([useDeadline(1), useDeadline(2 ** 31 - 1), useLimits({ tokens: 1, rules: () => [] })]).toHaveLength(3);
  });

  test('a client that has gone is worked for no longer', async () => {
    const clients: AbortSignal[] = [];
    const spy: Plugin = { onExecute: ({ args }) => void clients.push(args.contextValue.request.signal) };
    const { yoga, ask, sql } = await open({ plugins: [useDeadline(60_000), spy] });
    const server = createServer(yoga).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || !address) throw new Error('listening');
    const unlock = await lockAuthors();
    const leaving = new AbortController();
    const query = '{ articles(first: 3) { author { articles { comments { text } } } } }';
    const request = fetch(`http://127.0.0.1:${address.port}/graphql?query=${encodeURIComponent(query)}`, {
      signal: leaving.signal,
    });
    const answer = outcome(request);
    await until(() => sql.length === 2, { what: 'the authors asked for' });
    leaving.abort();
    await until(() => clients[0]?.aborted === true, { what: 'the server to notice' });
    await unlock();
    await until(() => pool.idleCount === pool.totalCount, { what: 'every connection given back' });
    expect((await ask('{ articles(first: 1) { title } }')).data.articles).toHaveLength(1);
    expect(sql, 'articles, the authors that waited, and those of the request behind it').toHaveLength(3);
    expect((await answer).error).toMatchObject({ name: 'AbortError' });
  });

  test('what a request leaves behind when it is done: no timer, no listener, nothing aborted', async () => {
    const set = vi.spyOn(globalThis, 'setTimeout');
    const clear = vi.spyOn(globalThis, 'clearTimeout');
    onTestFinished(() => void vi.restoreAllMocks());
    const { ask } = await open({ plugins: [useDeadline(54_321), limits()] });
    for (const query of [
      '{ articles(first: 1) { title } }',
      '{ nothing }',
      '{ takings }',
      '{ articles(first: -1) { title } }',
    ]) {
      await ask(query);
    }
    const ours = set.mock.calls.flatMap(([, ms], call) => (ms === 54_321 ? [set.mock.results[call]?.value] : []));
    const cleared = new Set(clear.mock.calls.map(([timer]) => timer));
    expect(ours).toHaveLength(4);
    expect(ours.filter((timer) => !cleared.has(timer))).toEqual([]);
  });
});
