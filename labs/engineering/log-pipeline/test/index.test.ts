import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from '@opensearch-project/opensearch';
import { startOpenSearch } from '@shared/services';
import { describeWith, History, outcome, random, until } from '@shared/testkit';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  type BulkOptions,
  BulkSink,
  type FieldType,
  IndexRefusedError,
  InvalidOptionError,
  type LogEvent,
  LogFileError,
  LogStore,
  QueryError,
  Shipper,
  StoreError,
} from '#lab';
import { append, folder, front, linesOf } from './support.ts';

// An index is made in 0.1 s, and takes a multiple of it beside other work.
vi.setConfig({ testTimeout: 40_000 });
const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const DAY_MS = 86_400_000;
const NEVER = new AbortController().signal;
const FIELDS: Record<string, FieldType> = {
  status: 'integer',
  ms: 'double',
  user: 'keyword',
  paid: 'boolean',
  note: 'text',
};

await describeWith('the index', { search: () => startOpenSearch() }, ({ search }) => {
  const client = new Client({ node: search.url });
  let made = 0;

  /** Indices of the test's own, and what leads to them. */
  const index = async (options: Partial<BulkOptions> & { node?: string } = {}) => {
    const { node, ...more } = options;
    const at = folder();
    const prefix = `${search.namespace}t${++made}`;
    const store = new LogStore(client, { prefix, fields: FIELDS });
    await store.prepare();
    onTestFinished(async () => {
      at[Symbol.dispose]();
      await client.indices.delete({ index: `${prefix}-2*`, ignore_unavailable: true });
      await client.indices.deleteIndexTemplate({ name: prefix });
    });
    const deadLetterPath = at.file('dead.ndjson');
    const sink = new BulkSink(node ? new Client({ node }) : client, {
      prefix,
      deadLetterPath,
      pauseMs: 5,
      mostPauseMs: 20,
      ...more,
    });
    const all = async (query = '') => {
      await client.indices.refresh({ index: `${prefix}-2*` });
      const now = Date.now();
      return store.search(query, { from: new Date(now - 30 * DAY_MS), to: new Date(now + DAY_MS), size: 1_000 });
    };
    return {
      at,
      prefix,
      store,
      sink,
      all,
      deadLetterPath,
      messages: async (query?: string) => (await all(query)).hits.map(({ message }) => message).sort(),
    };
  };
  let ids = 0;
  const event = (message: string, fields: Record<string, unknown> = {}, more: object = {}): LogEvent => ({
    id: `id-${++ids}`,
    document: {
      '@timestamp': new Date().toISOString(),
      message,
      host: 'shop',
      source: 'till.log',
      offset: ids,
      fields,
      ...more,
    },
  });

  test('a poison line is put aside with its reason, and its batch is indexed', async () => {
    const { sink, messages, deadLetterPath } = await index();
    const deep = JSON.parse(`${'['.repeat(50)}${']'.repeat(50)}`);
    const poison = [
      event('text', { status: 'OK' }),
      event('object', { status: { code: 1 } }),
      event('deep', { deep }),
      event('nameless', { '': 1 }),
    ];
    const batch = [event('one'), ...poison, event('two'), event('free', { other: { a: [1, 'b'] } })];
    const { value: report } = await outcome(sink.send(batch, NEVER), 15_000);
    expect(report).toEqual({ indexed: 3, repeated: 0, dead: 4, requests: 1 });
    expect(await messages()).toEqual(['free', 'one', 'two']);
    const letters = linesOf(deadLetterPath).map((line) => JSON.parse(line));
    expect(letters).toMatchObject(poison.map(({ id, document }) => ({ id, document, status: 400 })));
    expect(letters[0].reason).toContain('fields.status');
  });

  test('an event that comes twice is in the index once, and who sends it is told yes', async () => {
    const { sink, messages, at } = await index();
    const events = [event('one'), event('two')];
    await sink.send(events, NEVER);
    const { value } = await outcome(sink.send([...events, event('three')], NEVER), 10_000);
    expect(value).toEqual({ indexed: 1, repeated: 2, dead: 0, requests: 1 });
    expect(await messages()).toEqual(['one', 'three', 'two']);
    expect(() => linesOf(at.file('dead.ndjson'))).toThrow('ENOENT');
  });

  test('a busy index is asked again, and only for what it refused', async () => {
    let busy = 2;
    await using door = await front(search.url, (path) =>
      path.startsWith('/_bulk') && busy-- > 0 ? { status: 429 } : undefined,
    );
    const { sink, prefix, messages } = await index({ node: door.url });
    await sink.send([event('yesterday 0', {}, { '@timestamp': new Date(Date.now() - DAY_MS).toISOString() })], NEVER);
    expect(
      door.asked.map(({ status }) => status),
      'answers of the front',
    ).toEqual([429, 429, 200]);
    const days = await client.indices.get({ index: `${prefix}-2*` });
    const [yesterday = ''] = Object.keys(days.body);
    const block = (write: boolean) =>
      client.indices.putSettings({ index: yesterday, body: { index: { blocks: { write } } } });
    await block(true);
    const sending = sink.send(
      [event('today'), event('yesterday 1', {}, { '@timestamp': new Date(Date.now() - DAY_MS).toISOString() })],
      NEVER,
    );
    let over = false;
    const end = () => {
      over = true;
    };
    sending.then(end, end);
    await until(() => over || door.asked.length > 5, { what: 'the blocked day to be asked for again' });
    await block(false);
    const { value } = await outcome(sending, 10_000);
    expect(value, 'sent again although it was there: repeated').toMatchObject({ indexed: 2, repeated: 0, dead: 0 });
    expect(await messages()).toEqual(['today', 'yesterday 0', 'yesterday 1']);
  });

  test('what a query says is looked for, never carried out', async () => {
    const { sink, store, prefix } = await index();
    await sink.send(
      [
        event(
          'payment timed out',
          { status: 500, ms: 812.5, user: 'ada', paid: false },
          { level: 'error', service: 'till' },
        ),
        event('支付超时，请重试', { status: 504, ms: 90, user: 'li' }, { level: 'error', service: 'till' }),
        event(
          'paid',
          { status: 200, ms: 12, user: '*', paid: true, note: 'with a receipt' },
          { level: 'info', service: 'till' },
        ),
        event('salaries of all', {}, { level: 'info', service: 'office' }),
      ],
      NEVER,
    );
    await client.indices.refresh({ index: `${prefix}-2*` });
    const time = { from: new Date(Date.now() - DAY_MS), to: new Date(Date.now() + DAY_MS) };
    const found = async (query: string) => (await store.search(query, time)).total;
    const asked: [string, number][] = [
      ['', 4],
      ['level:error', 2],
      ['level:error,info service:till', 3],
      ['"timed out"', 1],
      ['"out timed"', 0],
      ['支付超时', 1],
      ['超时 -status:500', 1],
      ['ms>12 ms<=90', 1],
      ['ms>=812.5', 1],
      ['paid:true', 1],
      ['-paid:true', 3],
      ['note:receipt,bill', 1],
      ['of', 1],
      // From here on nothing but words.
      ['service:*', 0],
      ['user:*', 1],
      ['service:till OR service:office', 0],
      ['"paid OR salaries"', 0],
      ['*:*', 0],
      ['service:"till OR office"', 0],
      ['service:"till\\"} ,\\"office"', 0],
      ['service:/.*/', 0],
      ['service:[a', 0],
      ['message:sal*', 0],
    ];
    const history = new History<string>();
    const wrong: string[] = [];
    const said = await Promise.all(asked.map(async ([query]) => outcome(found(query), 10_000)));
    for (const [n, [query, expected]] of asked.entries()) {
      const { value, error } = said[n] ?? {};
      const count = error instanceof QueryError ? 0 : value;
      history.record(`${query || '(everything)'}: ${error ?? count}`);
      if (count !== expected || (error && !(error instanceof QueryError)))
        wrong.push(`${query}: ${count} instead of ${expected}`);
    }
    expect(wrong, history.toString()).toEqual([]);
  });

  test('the histogram has each event in one column, and a column for each stretch of the time', async () => {
    const { sink, store, prefix } = await index();
    const pick = random(SEED);
    const from = new Date(Date.now() - 3_600_000);
    const to = new Date();
    const times = Array.from({ length: 300 }, () => pick.int(from.getTime(), to.getTime() - 1));
    await sink.send(
      times.map((time, n) =>
        event('m', {}, { '@timestamp': new Date(time).toISOString(), level: n % 3 ? 'info' : 'error' }),
      ),
      NEVER,
    );
    await client.indices.refresh({ index: `${prefix}-2*` });
    for (const columns of [1, 7, 60]) {
      const { total, hits, histogram, columnMs } = await store.search('', { from, to, size: 2, columns });
      expect([total, hits.length, histogram.length], `${columns} columns`).toEqual([300, 2, columns]);
      const counted = histogram.map(
        (bucket) =>
          times.filter((time) => time >= Date.parse(bucket.from) && time < Date.parse(bucket.from) + columnMs).length,
      );
      expect(histogram.map((bucket) => bucket.total)).toEqual(counted);
      expect(Date.parse(histogram[0]?.from ?? '')).toBe(from.getTime());
      const errors = histogram.reduce((sum, { levels }) => sum + (levels['error'] ?? 0), 0);
      expect(errors).toBe(100);
      expect(Date.parse(hits[0]?.['@timestamp'] ?? '')).toBe(Math.max(...times));
    }
  });

  test('retention drops the days that are over, whole, and nothing else', async () => {
    const { prefix, store } = await index();
    const now = new Date('2026-11-29T12:00:00Z');
    const ours = ['2026.11.29', '2026.11.28', '2026.11.27', '2026.11.26', '2025.12.31', '2026.11'].map(
      (day) => `${prefix}-${day}`,
    );
    const others = [`${prefix}-audit-2020.01.01`, `${prefix}x-2020.01.01`, `${prefix}-2020.01.01-kept`];
    onTestFinished(async () => {
      for (const name of others) await client.indices.delete({ index: name, ignore_unavailable: true });
    });
    for (const name of [...ours, ...others])
      await client.indices.create({ index: name, body: { settings: { number_of_replicas: 0 } } });
    for (const days of [0, -1, 1.5, Number.NaN, '2']) {
      // @ts-expect-error: untyped code can hand in anything
      await expect(store.retain(days, now), String(days)).rejects.toThrow(InvalidOptionError);
    }
    expect(await store.retain(2, now)).toEqual([`${prefix}-2025.12.31`, `${prefix}-2026.11.26`]);
    const left = Object.keys((await client.indices.get({ index: `${prefix}*` })).body).sort();
    expect(left).toEqual([...ours.filter((name) => !/2025.12.31|2026.11.26/.test(name)), ...others].sort());
    expect(await store.retain(2, now)).toEqual([]);
  });

  test('a thousand invented names of fields make no entry in the mapping, and are kept', async () => {
    const { sink, prefix, all } = await index();
    const invented = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`name${n}`, n]));
    await sink.send(
      [
        event('wide', invented),
        event('again', { name1: 'now a text', name2: { now: 'an object' } }),
        event('long', { user: 'x'.repeat(40_000) }),
      ],
      NEVER,
    );
    const { body } = await client.indices.getMapping({ index: `${prefix}-2*` });
    expect(JSON.stringify(body).match(/name\d/g)).toBeNull();
    expect((await all('wide')).hits[0]?.fields).toEqual(invented);
    expect((await all()).total).toBe(3);
  });

  test('a batch that is too large is halved, down to the line that is to blame', async () => {
    await using door = await front(search.url, (path, bytes) =>
      path.startsWith('/_bulk') && bytes > 20_000 ? { status: 413 } : undefined,
    );
    const { sink, messages, deadLetterPath } = await index({ node: door.url });
    const small = Array.from({ length: 8 }, (_, n) => event(`${n}${'x'.repeat(3_000)}`));
    const { value } = await outcome(
      sink.send([...small.slice(0, 5), event('y'.repeat(30_000)), ...small.slice(5)], NEVER),
      15_000,
    );
    expect(value).toMatchObject({ indexed: 8, dead: 1 });
    expect(await messages()).toEqual(small.map(({ document }) => document.message));
    expect(linesOf(deadLetterPath).map((line) => JSON.parse(line).status)).toEqual([413]);
  });

  test('an index that lets nobody in stops the shipper, and not one line is put aside', async () => {
    let locked = true;
    let fault: { status: number; body?: string } = { status: 401 };
    await using door = await front(search.url, () => (locked ? fault : undefined));
    const { sink, at, messages, deadLetterPath } = await index({ node: door.url });
    const shipper = new Shipper({ path: at.file('a.log'), offsetPath: at.file('a.offset'), sink });
    append(at.file('a.log'), 'one', 'two');
    const { error } = await outcome(shipper.drain());
    expect(error).toBeInstanceOf(IndexRefusedError);
    expect(error).toMatchObject({ status: 401 });
    // Another server has the address.
    for (fault of [{ status: 400, body: '"The plain HTTP request was sent to HTTPS port"' }, { status: 302 }]) {
      expect((await outcome(shipper.drain(), 15_000)).error, `${fault.status}`).toBeInstanceOf(IndexRefusedError);
    }
    const endless = event('endless', { cents: 1n });
    expect((await outcome(sink.send([endless], NEVER), 15_000)).error, 'no JSON').toBeInstanceOf(InvalidOptionError);
    expect(() => linesOf(deadLetterPath)).toThrow('ENOENT');
    locked = false;
    await shipper.drain();
    expect(await messages()).toEqual(['one', 'two']);
  });

  test('an answer that is lost, an error of the server, a half answer: each event is there once', async () => {
    let asked = 0;
    const faults = [
      { status: 0 },
      { status: 500 },
      { status: 503, body: 'no json' },
      { status: 200, body: '{"items":[]}' },
    ];
    await using door = await front(search.url, (path) => (path.startsWith('/_bulk') ? faults[asked++] : undefined));
    const { sink, messages } = await index({ node: door.url });
    const { value } = await outcome(sink.send([event('one')], NEVER), 15_000);
    expect(value).toEqual({ indexed: 1, repeated: 0, dead: 0, requests: 5 });
    expect(await messages()).toEqual(['one']);
  });

  test('an index that is closed, or was never made, is waited for: that is no fault of a line', async () => {
    await using door = await front(search.url, () => undefined);
    const { sink, prefix, messages, deadLetterPath } = await index({ node: door.url });
    const name = `${prefix}-${new Date().toISOString().slice(0, 10).replaceAll('-', '.')}`;
    await client.indices.create({ index: name });
    await client.indices.close({ index: name });
    const sending = sink.send([event('patient')], NEVER);
    sending.catch(() => {});
    await until(() => door.asked.length > 2, { what: 'the closed index to be asked again' });
    await client.indices.open({ index: name });
    expect((await outcome(sending, 10_000)).value).toMatchObject({ indexed: 1, dead: 0 });
    expect(await messages()).toEqual(['patient']);
    expect(() => linesOf(deadLetterPath)).toThrow('ENOENT');
  });

  test('while the index is away an abort ends the wait, and nothing is noted', async () => {
    await using door = await front(search.url, () => ({ status: 0 }));
    const { sink, at } = await index({ node: door.url, mostPauseMs: 60_000, pauseMs: 30_000 });
    append(at.file('a.log'), 'one');
    const stop = new AbortController();
    const running = new Shipper({ path: at.file('a.log'), offsetPath: at.file('a.offset'), sink }).run(stop.signal);
    running.catch(() => {});
    await until(() => door.asked.length > 0, { what: 'the first request' });
    stop.abort();
    expect(await outcome(running)).toEqual({ value: undefined, error: undefined });
    expect(() => linesOf(at.file('a.offset'))).toThrow('ENOENT');
    await expect(sink.send([event('x')], AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
  });

  test('a dead letter that cannot be kept stops the shipper before its line is lost', async () => {
    const { at, prefix, sink } = await index();
    const blind = new BulkSink(client, { prefix, deadLetterPath: at.path });
    append(at.file('a.log'), '{"message":"poison","status":"OK"}');
    const paths = { path: at.file('a.log'), offsetPath: at.file('a.offset') };
    expect((await outcome(new Shipper({ ...paths, sink: blind }).drain())).error).toBeInstanceOf(LogFileError);
    await new Shipper({ ...paths, sink }).drain();
    expect(linesOf(at.file('dead.ndjson'))).toHaveLength(1);
  });

  test('a shipper that is killed by -9, again and again, has each line in the index once', {
    timeout: 30_000,
  }, async () => {
    const { at, prefix, all } = await index();
    const pick = random(SEED);
    const lines = Array.from({ length: 1_500 }, (_, n) => JSON.stringify({ message: `line ${n}` }));
    append(at.file('till.log'), ...lines.slice(0, 750));
    const count = async () => (await client.count({ index: `${prefix}-2*`, ignore_unavailable: true })).body.count;
    const history = new History<string>();
    for (let life = 1; ; life++) {
      const child = fork(join(import.meta.dirname, 'shipper-process.ts'), [search.url, prefix, at.path]);
      onTestFinished(() => void child.kill('SIGKILL'));
      await once(child, 'message');
      if (life === 2) append(at.file('till.log'), ...lines.slice(750));
      if (life < 2) await delay(pick.int(0, 60));
      else
        await until(
          async () =>
            client.indices
              .refresh({ index: `${prefix}-2*` })
              .then(count)
              .then((n) => n >= 1_500),
          { what: 'all lines in the index', timeoutMs: 30_000, intervalMs: 50 },
        );
      child.kill('SIGKILL');
      await once(child, 'exit');
      await client.indices.refresh({ index: `${prefix}-2*`, ignore_unavailable: true });
      history.record(`life ${life} ended with ${await count()} documents`);
      if (life === 2) break;
    }
    const { total } = await all();
    expect(total, history.toString()).toBe(1_500);
  });

  test('a store that does not answer, and what no store can be made of, are errors of ours', async () => {
    const gone = new LogStore(new Client({ node: 'http://127.0.0.1:9', maxRetries: 0 }), { prefix: 'a' });
    const time = { from: new Date(0), to: new Date() };
    for (const asked of [gone.prepare(), gone.retain(1), gone.search('', time)]) {
      expect((await outcome<unknown>(asked, 5_000)).error).toBeInstanceOf(StoreError);
    }
    for (const prefix of ['', 'A', 'a*', 'a,b', '-a', 'a--b', '_all', 'a-', 'a/b', 'x'.repeat(101), 7]) {
      // @ts-expect-error: untyped code can hand in anything
      expect(() => new LogStore(client, { prefix }), String(prefix)).toThrow(InvalidOptionError);
      // @ts-expect-error: untyped code can hand in anything
      expect(() => new BulkSink(client, { prefix, deadLetterPath: 'd' }), String(prefix)).toThrow(InvalidOptionError);
    }
    for (const name of ['', 'a.b', 'message', 'a b', '@x']) {
      expect(() => new LogStore(client, { prefix: 'a', fields: { [name]: 'keyword' } }), name).toThrow(
        InvalidOptionError,
      );
    }
    for (const each of [{ pauseMs: 0 }, { mostPauseMs: 1 }, { timeoutMs: 0 }, { deadLetterPath: '' }]) {
      expect(() => new BulkSink(client, { prefix: 'a', deadLetterPath: 'd', ...each })).toThrow(InvalidOptionError);
    }
    const { store } = await index();
    const same = { from: new Date(5), to: new Date(5) };
    for (const each of [
      same,
      { ...time, to: new Date(Number.NaN) },
      { from: undefined, to: 7 },
      { ...time, size: 1_001 },
      { ...time, columns: 0 },
    ]) {
      // @ts-expect-error: untyped code can hand in anything
      expect((await outcome(store.search('', each))).error).toBeInstanceOf(InvalidOptionError);
    }
    expect(await store.search('', time)).toMatchObject({ total: 0, hits: [] });
    expect((await outcome(store.search('nosuch:1', time))).error).toBeInstanceOf(QueryError);
  });
});
