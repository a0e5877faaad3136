import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { outcome } from '@shared/testkit';
import Fastify from 'fastify';
import { describe, expect, test } from 'vitest';
import {
  type BreakingChange,
  ContractError,
  contractPage,
  contractRoutes,
  diffContracts,
  type FuzzAnswer,
  fuzz,
  judge,
  notWithin,
  operationsOf,
  type Schema,
} from '#lab';
import { bookshopContract } from './bookshop.ts';
import { changed, type Edit } from './edit.ts';

const contract = await bookshopContract();
const edited = (change: (edit: Edit) => void): object => changed(contract, change);
const [BOOKS, BOOK, ORDERS, ORDER] = ['/books', '/books/{isbn}', '/orders', '/orders/{id}'];

describe('the contract', () => {
  // ── core ──

  test('what breaks a client is named, with its place: who sends must still be understood, who listens still understand', () => {
    const breaks = (where: string, what: string, change: (edit: Edit) => void) => {
      expect(diffContracts(contract, edited(change)), `${where} ${what}`).toEqual([{ where, what }]);
    };
    breaks('GET /books/{isbn}', 'is gone', ({ drop }) => drop('paths', BOOK));
    breaks('PUT /orders/{id}', 'is gone', ({ drop }) => drop('paths', ORDER, 'put'));
    breaks('GET /books/{isbn} 404', 'is gone', ({ drop }) => drop('paths', BOOK, 'get', 'responses', '404'));
    breaks('POST /orders 201 /header/location', 'is gone', ({ drop }) =>
      drop('paths', ORDERS, 'post', 'responses', '201', 'headers', 'Location'),
    );
    const order = ['components', 'schemas', 'Order'];
    const draft = ['components', 'schemas', 'DraftInput'];
    const sorted = (list: readonly BreakingChange[]) => list.map(({ where, what }) => `${where} ${what}`).sort();
    const inEach = (pointer: string, what: string, change: (edit: Edit) => void) => {
      const answers = ['GET /orders/{id} 200 /body', 'PUT /orders/{id} 200 /body', 'POST /orders 201 /body'];
      const expected = answers.map((where) => ({ where: `${where}${pointer}`, what }));
      expect(sorted(diffContracts(contract, edited(change))), `${pointer} ${what}`).toEqual(sorted(expected));
    };
    inEach('/totalCents', 'is gone', ({ drop, pull }) => {
      drop(...order, 'properties', 'totalCents');
      pull('totalCents', ...order, 'required');
    });
    inEach('/note', 'may be missing now', ({ pull }) => pull('note', ...order, 'required'));
    inEach('/totalCents', 'may now be string', ({ set }) =>
      set({ type: 'string' }, ...order, 'properties', 'totalCents'),
    );
    inEach('/status', 'may now be "lost"', ({ push }) => push('lost', ...order, 'properties', 'status', 'enum'));
    breaks('POST /orders request /body/gift', 'is now required', ({ set, push }) => {
      set({ type: 'boolean' }, ...draft, 'properties', 'gift');
      push('gift', ...draft, 'required');
    });
    breaks('POST /orders request /body/deliverTo', 'now has a maxLength of 100', ({ set }) =>
      set(100, ...draft, 'properties', 'deliverTo', 'maxLength'),
    );
    const q = ['paths', BOOKS, 'get', 'parameters', '0'];
    breaks('GET /books request /query/q', 'is now required', ({ set }) => set(true, ...q, 'required'));
    breaks('GET /books request /query/q', 'no longer takes string', ({ set }) =>
      set({ type: 'integer' }, ...q, 'schema'),
    );
    breaks('GET /books request /token', 'is now required', ({ set }) =>
      set([{ bearer: [] }], 'paths', BOOKS, 'get', 'security'),
    );
    const wide = edited(({ set }) => set({ type: 'string', enum: ['a', 'b'] }, ...q, 'schema'));
    const narrow = changed(wide, ({ pull }) => pull('b', ...q, 'schema', 'enum'));
    expect(diffContracts(wide, narrow), 'a value less that may be asked for').toEqual([
      { where: 'GET /books request /query/q', what: 'no longer takes "b"' },
    ]);
    expect(diffContracts(contract, contract), 'the same').toEqual([]);
    const additions = edited(({ get, set, push, pull }) => {
      set(get('paths', BOOKS), 'paths', '/shops');
      set(get('paths', ORDERS, 'post'), 'paths', BOOKS, 'post');
      set(get('paths', BOOKS, 'get', 'responses', '400'), 'paths', BOOKS, 'get', 'responses', '503');
      push({ in: 'query', name: 'author', schema: { type: 'string' } }, 'paths', BOOKS, 'get', 'parameters');
      set({ type: 'boolean' }, ...order, 'properties', 'gift');
      push('gift', ...order, 'required');
      pull('sent', ...order, 'properties', 'status', 'enum');
      set({ type: 'boolean' }, ...draft, 'properties', 'gift');
      set(300, ...draft, 'properties', 'deliverTo', 'maxLength');
      pull('deliverTo', ...draft, 'required');
    });
    expect(diffContracts(contract, additions), 'additions').toEqual([]);
  });

  test('an answer is judged by the contract: its status, its type, its body, and what it took', async () => {
    const book = { isbn: '9780000000002', title: 'T', author: 'A', priceCents: 1, added: '2026-01-01T00:00:00Z' };
    const json = { 'content-type': 'application/json; charset=utf-8' };
    const page = { books: [book], cursor: null };
    const refused = { type: 'about:blank', title: 'Bad Request', status: 400, detail: 'no' };
    const refusal = {
      status: 400,
      headers: { 'content-type': 'application/problem+json' },
      body: JSON.stringify(refused),
    };
    const answers: readonly [string | RegExp | undefined, Partial<FuzzAnswer>][] = [
      [undefined, {}],
      [undefined, refusal],
      [/^500: it failed/, { status: 500, headers: refusal.headers, body: refusal.body }],
      [/^404.*undocumented/, { ...refusal, status: 404 }],
      [/^400.*application\/json/, { ...refusal, headers: json }],
      [/^200.*text\/html/, { headers: { 'content-type': 'text/html' }, body: '<p>' }],
      [/^200.*of no type/, { headers: {} }],
      [/^200.*cursor/, { body: JSON.stringify({ books: [] }) }],
      [
        /^200.*priceCents must be integer/,
        { body: JSON.stringify({ ...page, books: [{ ...book, priceCents: '1' }] }) },
      ],
      [/^200/, { body: '{"books":' }],
      [/^200/, { body: '' }],
    ];
    const withLimit = edited(({ get, set }) => set({ [BOOKS]: get('paths', BOOKS) }, 'paths'));
    // A 500 is none the better for being documented.
    const only = changed(withLimit, ({ get, set }) => {
      set([], 'paths', BOOKS, 'get', 'parameters');
      set(get('paths', BOOKS, 'get', 'responses', '400'), 'paths', BOOKS, 'get', 'responses', '500');
    });
    for (const [expected, answer] of answers) {
      const send = async () => ({ status: 200, headers: json, body: JSON.stringify(page), ...answer });
      const { findings } = await fuzz({ contract: only, send, judge, runs: 1 });
      const [found] = findings.map(({ what }) => what);
      const label = `the verdict on a good page of books, but with ${JSON.stringify(answer)}`;
      if (expected === undefined) expect(found, label).toBeUndefined();
      else expect(found, label).toMatch(expected);
    }
    const yes = async () => ({ status: 200, headers: json, body: JSON.stringify(page) });
    const { findings } = await fuzz({ contract: withLimit, send: yes, judge, runs: 50 });
    expect(
      findings.map(({ what }) => what),
      'of a server that takes everything',
    ).toEqual(['200: takes what the contract forbids']);
  });

  // ── hardening ──

  test('the committed openapi.json is what the routes say: after a change, run test/write-contract.ts', async () => {
    const file = join(import.meta.dirname, '../openapi.json');
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(JSON.parse(JSON.stringify(contract)));
  });

  test('the linter finds nothing in it, and finds what is wrong in a worse one', async () => {
    // Half a second of a processor, which no other law has to spend.
    const { createConfig, lintFromString } = await import('@redocly/openapi-core');
    const config = await createConfig({ extends: ['recommended-strict'] });
    const lint = async (given: object) =>
      (await lintFromString({ source: JSON.stringify(given), absoluteRef: 'openapi.json', config })).map(
        ({ ruleId }) => ruleId,
      );
    expect(await lint(contract)).toEqual([]);
    const worse = edited(({ drop, set }) => {
      drop('paths', BOOKS, 'get', 'summary');
      set('listBooks', 'paths', ORDERS, 'post', 'operationId');
      set([], 'paths', BOOK, 'get', 'parameters');
      set({}, 'components', 'schemas', 'Unused');
    });
    expect((await lint(worse)).sort()).toEqual([
      'no-unused-components',
      'operation-operationId-unique',
      'operation-summary',
      'path-parameters-defined',
    ]);
  });

  test('every refusal in it is a problem, and those that a shop can give are all there', () => {
    const statuses = operationsOf(contract).flatMap(({ method, path, responses }) =>
      [...responses].map(([status, { content }]) => ({
        place: `${method} ${path} ${status}`,
        status,
        types: [...content.keys()],
      })),
    );
    const refusals = statuses.filter(({ status }) => status.startsWith('4'));
    for (const { place, types } of refusals) expect(types, place).toEqual(['application/problem+json']);
    const all = [...new Set(refusals.map(({ status }) => status))].sort();
    expect(all).toEqual(['400', '401', '404', '409', '412', '413', '414', '415', '422', '428']);
  });

  test('fuzzing repeats itself by its seed, stops by its signal, and says what it cannot make', async () => {
    const record = async (seed: number) => {
      const sent: unknown[] = [];
      const send = async (request: unknown) => {
        sent.push(request);
        return { status: 201, headers: { etag: '"9"' }, body: JSON.stringify({ isbn: '9790000000001', id: 1 }) };
      };
      await fuzz({ contract, send, seed, runs: 5, credentials: { authorization: 'Bearer x' } });
      return sent;
    };
    const [one, again, two] = [await record(1), await record(1), await record(2)];
    expect(one).toEqual(again);
    expect(one).not.toEqual(two);
    expect(JSON.stringify(one), 'what answers had given').toMatch(/9790000000001.*"if-match":"\\"9\\""/);
    const few = edited(({ get, set }) => {
      set({ [BOOKS]: get('paths', BOOKS) }, 'paths');
      const schema = { type: 'integer', minimum: 5, maximum: 7 };
      set([{ in: 'query', name: 'n', required: true, schema }], 'paths', BOOKS, 'get', 'parameters');
    });
    const asked: number[] = [];
    const ok = async ({ url }: { readonly url: string }) => {
      asked.push(Number(/n=(\d+)$/.exec(url)?.[1]));
      return { status: 200, headers: {}, body: '' };
    };
    await fuzz({ contract: few, send: ok, runs: 60 });
    const small = asked.filter((n) => n > 1 && n < 1000);
    expect([...new Set(small)].sort(), 'the numbers from 5 to 7 that were asked for').toEqual([5, 6, 7]);
    const enough = new Error('enough');
    const controller = new AbortController();
    const send = async () => {
      controller.abort(enough);
      throw new Error('ECONNRESET');
    };
    expect((await outcome(fuzz({ contract, send, signal: controller.signal }))).error).toBe(enough);
    const { findings } = await fuzz({ contract, send, runs: 1 });
    expect(findings[0]?.what).toContain('no answer: Error: ECONNRESET');
    const isbn = ['components', 'schemas', 'DraftInput', 'properties', 'lines', 'items', 'properties', 'isbn'];
    const without = edited(({ drop }) => drop(...isbn, 'examples'));
    const { error } = await outcome(fuzz({ contract: without, send, runs: 50 }));
    expect(error).toBeInstanceOf(ContractError);
    expect(String(error)).toContain('isbn has the pattern');
    expect((await outcome(fuzz({ contract: {}, send }))).error).toBeInstanceOf(ContractError);
  });

  test('what stands elsewhere in a contract, or is said for a whole path, is a part of its operations', () => {
    const object = (required: string[]) => ({ type: 'object', properties: { a: {}, b: {} }, required });
    const json = (required: string[]) => ({
      content: { 'Application/JSON; charset=utf-8': { schema: object(required) } },
    });
    const make = (required: string[], get: object = {}, path: object = {}) => ({
      paths: {
        '/{a}': { ...path, get: { requestBody: { $ref: '#/x/1' }, responses: { 200: { $ref: '#/x/0' } }, ...get } },
      },
      x: [json(['a', 'b'].filter((name) => !required.includes(name))), json(required)],
    });
    const diff = (now: object, old: object = make(['a'])) =>
      diffContracts(old, now).map(({ where, what }) => `${where} ${what}`);
    expect(diff(make(['a', 'b']))).toEqual([
      'GET /{a} request /body/b is now required',
      'GET /{a} 200 /body/b may be missing now',
    ]);
    const needed = (place: string, required = true) => ({ parameters: [{ in: place, name: 'n', required }] });
    expect(diff(make(['a'], {}, needed('query')))).toEqual(['GET /{a} request /query/n is now required']);
    expect(diff(make(['a'], needed('query', false), needed('query'))), 'its own word').toEqual([]);
    expect(diff(make(['a'], needed('cookie')))).toEqual(['GET /{a} request /cookie/n is now required']);
    expect(diff(make(['a'], { security: [{}, { bearer: [] }] })), 'a token, or none').toEqual([]);
    const elsewhere = { parameters: [{ $ref: '#/paths/~1%7Ba%7D/get/parameters/0' }] };
    expect(operationsOf({ paths: { '/{a}': { get: needed('header') }, '/b': { put: elsewhere } } })[1]).toMatchObject(
      needed('header'),
    );
  });

  test('whatever a contract asks for, fuzzing ends: with requests, or with what is wrong with it', async () => {
    const sent: (string | undefined)[] = [];
    const send = async ({ body }: { readonly body?: string }) => {
      sent.push(body);
      return { status: 200, headers: { 'content-type': 'Application/JSON' }, body: '{}' };
    };
    const take = (schema: object, runs = 20) => {
      const content = { 'application/json': { schema } };
      const T = { type: 'object', required: ['n'], properties: { n: { $ref: '#/components/schemas/T' } } };
      const twice = { anyOf: [{ $ref: '#/components/schemas/M' }, { type: 'null' }] };
      const M = { type: 'object', required: ['a', 'b', 'c'], properties: { a: twice, b: twice, c: twice } };
      const post = {
        requestBody: { required: true, content },
        responses: { 200: { content: { 'application/json': {} } } },
      };
      return fuzz({ contract: { paths: { '/': { post } }, components: { schemas: { T, M } } }, send, runs, judge });
    };
    for (const schema of [
      { $ref: '#/components/schemas/T' },
      { type: 'string', pattern: '(' },
      { type: 'tea' },
      { type: 'array', items: {}, minItems: 1e9 },
      { type: 'string', minLength: 1e9 },
    ]) {
      expect((await outcome(take(schema))).error, JSON.stringify(schema)).toBeInstanceOf(ContractError);
    }
    expect((await outcome(fuzz({ contract: { paths: {} }, send }))).error, 'nothing to call').toBeInstanceOf(
      ContractError,
    );
    for (const runs of [Number.NaN, 0, 1.5]) expect((await outcome(take({}, runs))).error).toBeInstanceOf(RangeError);
    await take({ $ref: '#/components/schemas/M' });
    await take({ type: 'string', maxLength: 1e9 });
    const { findings } = await take({
      allOf: [{ type: 'object', required: ['tea'], properties: { tea: { const: 'Oolong' } } }],
    });
    expect(sent).toContain('{"tea":"Oolong"}');
    expect(findings.map(({ what }) => what)).toEqual(['200: takes what the contract forbids']);
  });

  test('schemas are compared through references, alternatives and circles, whatever their fields are called', () => {
    const within = (sub: Schema, whole: Schema, answer = false) =>
      notWithin([sub, sub], [whole, whole], answer).map(({ where, what }) => `${where} ${what}`.trim());
    const tree = { $defs: { T: { type: 'object', properties: { next: { $ref: '#/$defs/T' } } } }, $ref: '#/$defs/T' };
    expect(within(tree, JSON.parse(JSON.stringify(tree)))).toEqual([]);
    const either = { anyOf: [{ type: 'string' }, { type: 'null' }] };
    expect(within({ type: 'string' }, either)).toEqual([]);
    expect(within(either, { type: 'string' }, true)).toEqual(['may now be null']);
    expect(within({ type: 'integer' }, { type: 'number' })).toEqual([]);
    expect(within({ type: ['string', 'null'] }, { type: 'string' })).toEqual(['no longer takes null']);
    expect(within({}, { type: 'string' })).toEqual(['no longer takes anything']);
    expect(within({ type: 'string' }, {})).toEqual([]);
    expect(within({ const: 'a' }, { enum: ['a', 'b'] })).toEqual([]);
    expect(within({ type: 'string' }, { type: 'string', enum: ['a'] })).toEqual(['no longer takes any value']);
    expect(within({ type: 'string', minLength: 2 }, { type: 'string', minLength: 1, maxLength: 9 }, true)).toEqual([
      'has no maxLength of 9 any more',
    ]);
    expect(within({ type: 'string' }, { type: 'string', pattern: '^a' })).toEqual(['now asks for the pattern ^a']);
    const items = (type: string) => ({ type: 'array', items: { type } });
    expect(within(items('string'), items('number'))).toEqual(['/0 no longer takes string']);
    const odd = { type: 'object', properties: { toString: { type: 'string' }, constructor: {} }, required: [] };
    expect(within({ type: 'object' }, odd, true)).toEqual(['/toString is gone', '/constructor is gone']);
    expect(within(odd, { type: 'object', properties: {}, additionalProperties: false })).toEqual([
      '/toString is no longer taken',
      '/constructor is no longer taken',
      'no longer takes other fields',
    ]);
    const [string, nothing] = [{ type: 'string' }, { type: 'null' }];
    expect(within({ type: ['string', 'null'] }, { anyOf: [string, nothing] })).toEqual([]);
    expect(within({ enum: ['a', 'b'] }, { oneOf: [{ ...string, const: 'a' }, { const: 'b' }] })).toEqual([]);
    expect(within({ ...string, nullable: true }, string, true)).toEqual(['may now be null']);
    const part = { type: 'object', properties: { a: string } };
    expect(within(part, { allOf: [part, { required: ['b'] }] })).toEqual(['/b is now required']);
    const map = (values: unknown) => ({ type: 'object', additionalProperties: values });
    expect(within(map(string), map(nothing), true)).toEqual(['/* may now be string']);
    expect(within(part, map(nothing))).toEqual(['/a no longer takes string', '/* no longer takes anything']);
    expect(within({ type: 'integer' }, { type: 'integer', exclusiveMinimum: 0 })).toHaveLength(1);
    expect(within(string, { ...string, not: { const: 'a' } })).toEqual(['now asks for the not {"const":"a"}']);
    expect(() => within({ $ref: '#/a', a: { $ref: '#/b' }, b: { $ref: '#/a' } }, {})).toThrow(ContractError);
    const names = Array.from({ length: 30 }, (_, n) => `T${n}`);
    const each = names.map((name) => [name, { $ref: `#/$defs/${name}` }]);
    const schema = { type: 'object', properties: Object.fromEntries(each) };
    const net = { $ref: '#/$defs/T0', $defs: Object.fromEntries(names.map((name) => [name, { ...schema }])) };
    expect(within(net, JSON.parse(JSON.stringify(net))), 'thirty that speak of each other').toEqual([]);
    expect(() => within({ $ref: '#/nowhere' }, {})).toThrow(ContractError);
  });

  test('the contract is served to programs and to people: on a page that asks no other server, and runs nothing that it is told', async () => {
    const hostile = '<img src=x onerror="document.title=1"><script>document.title=1</script></style>"\'>';
    const odd = edited(({ get, set }) => {
      set(`Shop ${hostile}`, 'info', 'title');
      for (const place of ['summary', 'description']) set(hostile, 'paths', BOOKS, 'get', place);
      set(hostile, 'paths', BOOKS, 'get', 'parameters', '0', 'description');
      set(hostile, 'paths', BOOKS, 'get', 'responses', '400', 'description');
      const schema = {
        type: hostile,
        format: hostile,
        minimum: 1,
        description: hostile,
        properties: { [hostile]: { enum: [hostile] } },
      };
      set(schema, 'components', 'schemas', hostile);
      set(get('paths', BOOKS), 'paths', `/${hostile}`);
    });
    const app = Fastify();
    await app.register(contractRoutes, { contract: () => odd });
    expect((await app.inject('/openapi.json')).json()).toEqual(odd);
    const { headers, body } = await app.inject('/docs');
    const tags = new Set(Array.from(body.matchAll(/<([a-z!][a-z0-9]*)/gi), ([, name]) => name));
    for (const tag of ['img', 'script', 'link', 'iframe']) expect(tags, 'tags of the page').not.toContain(tag);
    expect(body.match(/<\/style>/g)).toHaveLength(1);
    expect(body).toContain(`<title>Shop &lt;img src=x onerror=&quot;`);
    expect(body, 'what leads elsewhere').not.toMatch(/(?:src|href)="(?!#|openapi\.json")/);
    const style = createHash('sha256')
      .update(/<style>(.*)<\/style>/s.exec(body)?.[1] ?? '')
      .digest('base64');
    const policy = `default-src 'none'; style-src 'sha256-${style}'; frame-ancestors 'none'`;
    expect(headers['content-security-policy']).toBe(policy);
    expect(body).toContain('idempotency-key');
    const one = edited(({ set }) => set(['open'], 'components', 'schemas', 'Order', 'properties', 'status', 'enum'));
    expect(contractPage(one)).toContain('<code>&quot;open&quot;</code>');
    expect(contractPage(contract)).toContain('<h3>Parameters</h3><table>');
    expect(contractPage(contract)).not.toContain('undefined');
  });
});
