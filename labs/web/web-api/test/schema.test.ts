import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { DeclarationError, HttpError, integer, override, provide, ResponseInvalidError, route, stream } from '#lab';
import { open } from './counter.ts';

const Prescription = z.strictObject({
  medicine: z.string().min(1),
  mg: z.number().positive(),
  items: z.array(z.object({ boxes: z.int().positive() })).default([]),
});

/** Answers with whatever it was given. */
const echo = (query: z.ZodType, body: z.ZodType = z.undefined()) => {
  const seen: unknown[] = [];
  const handler = async (given: { readonly params: unknown; readonly query: unknown; readonly body: unknown }) => {
    seen.push(given.query ?? given.body);
    return { query: given.query, body: given.body };
  };
  const params = z.object({ id: z.string() });
  const both = { url: '/p/:id', params, query, response: z.any(), handler } as const;
  const routes = [route({ method: 'GET', ...both }), route({ method: 'POST', ...both, body })];
  return { seen, ...open({ routes }) };
};

describe('schemas', () => {
  // ── core ──

  test('what does not fit is refused with every fault of all places, and the handler sees none of it', async () => {
    const seen: unknown[] = [];
    const take = route({
      method: 'POST',
      url: '/counters/:counter',
      params: z.object({ counter: z.enum(['north', 'south']) }),
      query: z.object({ urgent: z.enum(['yes', 'no']) }),
      body: Prescription,
      response: z.object({ boxes: z.number() }),
      handler: async ({ body }) => {
        seen.push(body);
        return { boxes: body.items.length };
      },
    });
    const { post } = open({ routes: [take] });
    const bad = { medicine: '', mg: '500', items: [{ boxes: 1 }, { boxes: -1 }], isAdmin: true };
    const answer = await post('/counters/east?urgent=maybe', bad);
    expect([answer.status, seen], 'the status, and what the handler saw').toEqual([422, []]);
    const { issues } = z
      .object({ issues: z.array(z.object({ in: z.string(), path: z.array(z.any()) })) })
      .parse(answer.json());
    const paths = issues.map((each) => [each.in, ...each.path].join('.'));
    expect(paths.toSorted(), 'the places that the answer names').toEqual([
      'body',
      'body.items.1.boxes',
      'body.medicine',
      'body.mg',
      'params.counter',
      'query.urgent',
    ]);
    const good = await post('/counters/north?urgent=no', { medicine: 'aspirin', mg: 500 });
    expect(good.status, 'the status of one that fits').toBe(200);
    expect(seen, 'what the handler saw: with the default that the schema gives').toEqual([
      { medicine: 'aspirin', mg: 500, items: [] },
    ]);
  });

  test('a number in a query is one if it prints as it came', async () => {
    const { get, seen } = echo(z.object({ page: integer({ min: 0, max: 2 ** 53 }) }));
    const taken: string[] = [];
    const others = [
      '',
      '%20',
      '+7',
      '7+',
      '0x10',
      '1e3',
      '007',
      '-0',
      '7.0',
      '1_000',
      '-1',
      'NaN',
      'Infinity',
      '9007199254740993',
      '٧',
    ];
    for (const text of others) if ((await get(`/p/1?page=${text}`)).status !== 422) taken.push(text);
    expect(taken, 'texts that were taken for a number').toEqual([]);
    for (const text of ['0', '7', '9007199254740991']) await get(`/p/1?page=${text}`);
    expect(seen, 'of 0, 7 and 9007199254740991').toEqual([{ page: 0 }, { page: 7 }, { page: 9007199254740991 }]);
  });

  test('what the response schema does not name stays in the house, and what does not fit is a 500 that tells nothing', async () => {
    const Patient = z.object({ name: z.string(), doctor: z.object({ name: z.string() }), boxes: z.number() });
    const row = { name: 'Li', diagnosis: 'secret', doctor: { name: 'Wang', phone: 'secret' }, boxes: 2 };
    const one = (url: string, patient: typeof row) =>
      route({ method: 'GET', url, response: Patient, handler: async () => patient });
    const broken = JSON.parse(JSON.stringify({ ...row, boxes: 'secret' }));
    const { get, failed } = open({ routes: [one('/li', row), one('/broken', broken)] });
    expect((await get('/li')).json(), 'what left the house').toEqual({
      name: 'Li',
      doctor: { name: 'Wang' },
      boxes: 2,
    });
    const answer = await get('/broken');
    expect([answer.status, answer.text], 'the status, and an answer without the value or its name').toEqual([
      500,
      expect.not.stringMatching(/secret|boxes/),
    ]);
    expect(failed, 'what onError was told').toEqual([expect.any(ResponseInvalidError)]);
    expect(String(failed[0]), 'what the log has: the place, not the value').toMatch(/boxes(?!.*secret)/);
  });

  // ── hardening ──

  test('text that no store can keep is refused wherever it comes in', async () => {
    const { post, seen } = echo(z.object({ q: z.string() }), z.any());
    const bodies = [
      '{"a":"\\ud83d"}',
      '{"a":["\\u0000"]}',
      '{"\\udc00":1}',
      '{"a":{"b":[{"c\\u0000":true}]}}',
      '"\\ud83d"',
      '["\\u0000"]',
    ];
    for (const body of bodies) expect((await post('/p/1?q=x', body)).status, body).toBe(422);
    expect((await post('/p/1?q=x', '{"a":[0,"\\u0000"]}')).json()).toMatchObject({
      message: 'The request has 1 fault.',
      issues: [{ path: ['a', 1] }],
    });
    expect((await post('/p/1?q=%00', '{}')).json()).toMatchObject({ issues: [{ in: 'query', path: ['q'] }] });
    expect((await post('/p/%00?q=x', '{}')).json()).toMatchObject({ issues: [{ in: 'params', path: ['id'] }] });
    expect(seen).toEqual([]);
    expect((await post('/p/1?q=%F0%9F%92%8A', '{"a":"\\ud83d\\udc8a 药"}')).json()).toEqual({
      query: { q: '💊' },
      body: { a: '💊 药' },
    });
  });

  test('what cannot be read has an answer of its own, and reaches no handler', async () => {
    const { post, seen } = echo(z.any(), z.any());
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    const cases: [status: number, payload: string | Buffer, type?: string][] = [
      [400, '{"a":'],
      [400, ''],
      [400, '{"a":1,"__proto__":{"isAdmin":true}}'],
      [400, '{"constructor":{"prototype":{"isAdmin":true}}}'],
      [400, deep],
      [400, Buffer.from([0x22, 0xff, 0x22])],
      [415, '{}', 'application/json; charset=latin1'],
      [415, 'a=1', 'application/x-www-form-urlencoded'],
      [415, 'hello', 'text/plain'],
      [413, JSON.stringify('x'.repeat(2 ** 20))],
    ];
    for (const [status, payload, type] of cases) {
      const answer = await post('/p/1', payload, type);
      expect(answer.json(), String(payload).slice(0, 50)).toEqual({
        code: 'MALFORMED_REQUEST',
        message: expect.any(String),
      });
      expect(answer.status, String(payload).slice(0, 50)).toBe(status);
    }
    expect((await post('/p/1', JSON.stringify('x'.repeat(2 ** 20)))).text).toContain('too large');
    expect((await post('/p/1', 'hello', 'text/plain')).text).toContain('application/json');
    expect((await post('/p/%ff', '{}')).status).toBe(400);
    expect(await post(`/p/${'x'.repeat(500)}`, '{}')).toMatchObject({
      status: 414,
      text: expect.stringContaining('path'),
    });
    expect((await post('/p/1?q=%ff', '{}')).status).toBe(400);
    expect(seen).toEqual([]);
    expect((await post('/p/1', '\ufeff{"a":"药"}', 'application/json; charset="UTF-8"')).status).toBe(200);
    expect((await post('/nowhere', {})).json()).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('a name that comes twice is two texts, and no name is a prototype', async () => {
    const { get } = echo(z.object({ q: z.string() }));
    expect((await get('/p/1?q=1&q=2')).status).toBe(422);
    // Were each a copy of all before it, this would take many seconds.
    expect((await get(`/p/1?${'q&'.repeat(60_000)}`)).status).toBe(422);
    const { get: all } = echo(z.any());
    const { query } = z
      .object({ query: z.any() })
      .parse((await all('/p/1?q=1&q=&q=3&a+b=c%3D=&&x&__proto__=1&toString=2')).json());
    expect((await all('/p/1')).json()).toEqual({ query: {} });
    expect(Object.entries(query)).toEqual([
      ['q', ['1', '', '3']],
      ['a b', 'c=='],
      ['x', ''],
      ['__proto__', '1'],
      ['toString', '2'],
    ]);
  });

  test('of twenty thousand faults an answer tells some, and stays small', async () => {
    const { post } = echo(z.any(), z.union([z.array(z.string()), z.strictObject({})]));
    const answer = await post('/p/1', `[${'1,'.repeat(20_000)}1]`);
    const { post: other } = echo(z.any(), z.strictObject({}));
    const long = await other('/p/1', { ['x'.repeat(500_000)]: 1 });
    expect([answer.status, long.status]).toEqual([422, 422]);
    expect([answer.text.length < 20_000, long.text.length < 1000]).toEqual([true, true]);
    const { post: list } = echo(z.any(), z.array(z.string()));
    expect((await list('/p/1', `[${'1,'.repeat(20_000)}1]`)).text.length).toBeLessThan(20_000);
    // A pill of two halves, at the very place where a long key is cut.
    expect((await other('/p/1', { [`${'x'.repeat(99)}💊`]: '\u0000' })).text).not.toMatch(/\\ud83d/);
  });

  test('an error of the handler’s own is its answer; an upstream’s, with a status of its own, is our 500', async () => {
    const upstream = Object.assign(new Error('secret: token expired'), {
      statusCode: 401,
      status: 401,
      code: 'FST_ERR_BAD_URL',
    });
    const fails = (url: string, error: unknown) =>
      route({ method: 'GET', url, response: z.string(), handler: () => Promise.reject(error) });
    const own = new HttpError(409, 'OUT_OF_STOCK', 'No aspirin is left.');
    const { get, failed } = open({ routes: [fails('/own', own), fails('/up', upstream), fails('/none', undefined)] });
    const answer = await get('/own');
    expect([answer.status, answer.json()]).toEqual([409, { code: 'OUT_OF_STOCK', message: 'No aspirin is left.' }]);
    for (const url of ['/up', '/none']) {
      expect(await get(url)).toMatchObject({ status: 500, text: expect.not.stringContaining('secret') });
    }
    expect(failed[0]).toBe(upstream);
  });

  test('what JSON cannot write fails before anything is kept', async () => {
    const log: string[] = [];
    const kept = provide('kept', async function* () {
      yield 1;
      log.push('kept');
    });
    const huge = route({
      method: 'GET',
      url: '/',
      response: z.bigint(),
      deps: { kept },
      handler: async () => 2n ** 64n,
    });
    expect([(await open({ routes: [huge] }).get('/')).status, log]).toEqual([500, []]);
  });

  test('an answer of nothing is empty; a place without a schema reaches no handler', async () => {
    const seen: unknown[] = [];
    const remove = route({
      method: 'POST',
      url: '/x/:id',
      status: 204,
      response: z.undefined(),
      handler: async ({ params, query, body }) => void seen.push(params, query, body),
    });
    const { status, text } = await open({ routes: [remove] }).post('/x/1?a=1', { b: 1 });
    expect([status, text, seen]).toEqual([204, '', [undefined, undefined, undefined]]);
  });

  test('types follow from the schemas, and what can be seen to be wrong is refused when it is declared', () => {
    const wrong = { method: 'GET', url: '/', response: z.string(), handler: async () => 'x' } as const;
    for (const deadlineMs of [0, 1.5, Number.NaN, 2 ** 31]) {
      expect(() => route({ ...wrong, deadlineMs })).toThrow(DeclarationError);
    }
    expect(route({ ...wrong, deadlineMs: 1, status: 299 })).toMatchObject({ deadlineMs: 1, status: 299 });
    for (const status of [199, 300, Number.NaN]) {
      expect(() => route({ ...wrong, status })).toThrow(DeclarationError);
    }
    expect(() => stream({ ...wrong, status: 204, async *handler() {} })).toThrow(DeclarationError);
    // Its transaction is rolled back: a 2xx would be a lie.
    for (const status of [200, 399, 600, Number.NaN]) {
      expect(() => new HttpError(status, 'NONE', 'none')).toThrow(DeclarationError);
    }
    expect(() => open({ routes: [], drain: { limitMs: Number.NaN } })).toThrow('drain.limitMs is NaN');
    const count = provide('count', async function* () {
      yield 1;
    });
    const twice = [override(count, count.make), override(count, count.make)];
    expect(() => open({ routes: [], overrides: twice })).toThrow('count has two overrides');
    // Checked by the compiler, never called.
    const types = () => {
      const params = z.object({ id: integer() });
      route({
        method: 'GET',
        url: '/:id',
        params,
        response: z.object({ total: z.number() }),
        deps: { count },
        // @ts-expect-error: `id` is a number, and has no trim()
        handler: async (given) => ({ total: given.params.id.trim() + given.deps.count.toFixed() }),
      });
      // @ts-expect-error: the response has a total
      route({ ...wrong, response: z.object({ total: z.number() }), handler: async () => ({ sum: 1 }) });
      // @ts-expect-error: not a string
      override(count, async function* () {
        yield '1';
      });
      // @ts-expect-error: a stream's handler returns an iterable
      stream({ ...wrong, handler: async () => 'x' });
    };
    expect(types).toBeTypeOf('function');
  });
});
