import { execFileSync } from 'node:child_process';
import { copyFileSync, linkSync, readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { History, outcome, random, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  currentTrace,
  InvalidOptionError,
  type LogEvent,
  LogFileError,
  Logger,
  type LoggerOptions,
  OffsetFileError,
  parseQuery,
  QueryError,
  Shipper,
  type ShipperOptions,
  type Sink,
  toDsl,
  traceOf,
  withTrace,
} from '#lab';
import { append, folder, linesOf, run, Shelf } from './support.ts';

vi.setConfig({ testTimeout: 20_000 });
const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

const place = () => {
  const made = folder();
  onTestFinished(() => made[Symbol.dispose]());
  return made;
};
/** A logger, and what stands in its file. */
const till = (options: Partial<LoggerOptions> = {}) => {
  const path = options.path ?? place().file('till.log');
  const log = new Logger({ path, service: 'till', ...options });
  onTestFinished(() => log.close());
  return { log, path, lines: () => linesOf(path), records: () => linesOf(path).map((line) => JSON.parse(line)) };
};
const shipping = (options: Partial<ShipperOptions> = {}) => {
  const at = place();
  const shelf = new Shelf();
  const all = { path: at.file('till.log'), offsetPath: at.file('till.offset'), host: 'shop', sink: shelf, ...options };
  return {
    at,
    shelf,
    path: all.path,
    offsetPath: all.offsetPath,
    shipper: (more: Partial<ShipperOptions> = {}) => new Shipper({ ...all, ...more }),
  };
};
const crash = new Error('kill -9');

describe('the logger', () => {
  test('what was logged before a SIGTERM is in the file', async () => {
    const at = place();
    const history = new History<string>();
    for (const bufferBytes of ['16000', '0']) {
      const path = at.file(`${bufferBytes}.log`);
      const { signal } = await run('writer.ts', path, '2000', bufferBytes, 'SIGTERM');
      const saved = linesOf(path).length;
      history.record(`buffer ${bufferBytes}: ${saved} of 2000 lines, ended by ${signal}`);
      const second = linesOf(`${path}.second`).length;
      expect([saved, second, signal], history.toString()).toEqual([2_000, 1, 'SIGTERM']);
    }
  });

  test('what a user types can neither end a line nor pass for a field of it', () => {
    const { log, lines, records } = till();
    const typed = 'bun\n{"level":"fatal","message":"paid"}\r\n\u2028\u001b[31m\u0000%s %o';
    log.info(`ordered ${typed}`, {
      level: 'fatal',
      time: 'yesterday',
      message: typed,
      service: 'bank',
      trace_id: 'x',
      __proto__: null,
    });
    expect(lines()).toHaveLength(1);
    const [line = ''] = lines();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is the law
    expect(line).not.toMatch(/[\u0000-\u001f]/);
    expect(
      line.match(/"(level|time|service|trace_id)":/g),
      'a field of the line twice: the last one would win',
    ).toHaveLength(7);
    expect(records()[0]).toMatchObject({
      level: 'info',
      message: `ordered ${typed}`,
      service: 'till',
      fields: { level: 'fatal', service: 'bank' },
    });
    expect(records()[0]).not.toHaveProperty('trace_id');
  });

  test('a secret is in no line, however deep it lies', () => {
    const { log, path } = till({ secrets: ['recipe'] });
    const cause = Object.assign(new Error('refused'), {
      config: { headers: { Authorization: 'Bearer s3cret-of-mine' } },
    });
    const failed = Object.assign(new Error('connect postgres://till:s3cret@db:5432/shop'), { cause });
    log.info('signed in', {
      user: 'ada',
      password: 's3cret',
      nested: [{ deeper: { 'X-Api-Key': 's3cret', accessToken: 's3cret' } }],
    });
    log.info('set', {
      cookies: new Map([['Set-Cookie', 's3cret']]),
      refresh_token: 's3cret',
      secret_recipe: 's3cret',
      tokens: 7,
    });
    log.error('payment failed', { error: failed });
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain('s3cret');
    for (const kept of ['ada', 'payment failed', 'connect postgres://till:', '"tokens":7', 'refused'])
      expect(text).toContain(kept);
  });

  test('a secret stays hidden where a value speaks for itself, where a text is cut, and under a name in any script', () => {
    const { log, path } = till({ secrets: ['密码', 'Clé'] });
    const said = { toJSON: () => ({ password: 's3cret' }) };
    log.info('odd', { call: Object.assign(() => {}, said), failed: Object.assign(new Error('refused'), said) });
    log.info('urls', { a: 'redis://till:p@s3cret@db', b: `https://till:${'s3cret'.repeat(100)}@db` });
    log.info('cut', { text: `${'x'.repeat(32_740)} postgres://till:s3cret-and-more@db` });
    log.info('named', { 用户密码: 's3cret', ma_clé: 's3cret', ｐａｓｓｗｏｒｄ: 's3cret', table: 7 });
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain('s3cret');
    for (const kept of ['"table":7', 'refused', '@db']) expect(text).toContain(kept);
  });

  test('a line names the request that wrote it, whatever ran in between', async () => {
    const { log, records } = till();
    const traces = Array.from({ length: 5 }, () => traceOf());
    await Promise.all(
      traces.map((trace, n) =>
        withTrace(trace, async () => {
          log.info('begun', { n });
          await delay(5 - n);
          log.info('done', { n });
        }),
      ),
    );
    log.info('nobody asked');
    const wrong = records().filter(({ fields, trace_id }) => fields && trace_id !== traces[fields.n]?.traceId);
    expect(wrong, 'lines under the id of another request').toEqual([]);
    expect(records().at(-1)).not.toHaveProperty('trace_id');
    expect(currentTrace()).toBeUndefined();
  });

  test('a trace goes on by a right header, and a wrong one gets nowhere', () => {
    const id = 'a1'.repeat(16);
    expect(traceOf(`00-${id}-${'b2'.repeat(8)}-01`).traceId).toBe(id);
    const wrong = [
      undefined,
      '',
      'x',
      [id],
      `00-${id.toUpperCase()}-${'b2'.repeat(8)}-01`,
      `00-${'0'.repeat(32)}-${'b2'.repeat(8)}-01`,
      `00-${id}-${'0'.repeat(16)}-01`,
      `00-${id}-${'b2'.repeat(8)}-01\n`,
      `ff-${id}-${'b2'.repeat(8)}-01`,
    ];
    for (const header of wrong) {
      const { traceId, spanId } = traceOf(header);
      expect(traceId, String(header)).toMatch(/^[\da-f]{32}$/);
      expect(traceId).not.toBe(id);
      expect(spanId).toMatch(/^[\da-f]{16}$/);
    }
  });

  test('no value throws, and none makes a line without end', () => {
    const { log, records } = till();
    const circle: Record<string, unknown> = {
      n: 1n,
      not: Number.NaN,
      when: new Date(0),
      never: new Date(Number.NaN),
      bytes: Buffer.alloc(9),
      set: new Set([1]),
      what: Symbol('s'),
    };
    circle['self'] = circle;
    let deep: unknown = 'bottom';
    for (let n = 0; n < 10_000; n++) deep = { deep };
    const trap = {
      get price() {
        throw new Error('trap');
      },
    };
    log.info('odd', { circle, trap, half: '\ud83d', '': 1 });
    log.info('large', {
      deep,
      long: 'x'.repeat(10 ** 6),
      many: Array.from({ length: 10 ** 5 }, () => 'x'),
      wide: Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`k${n}`, n])),
    });
    log.info('named', {
      at: new URL('http://till:s3cret@db/x?y=1'),
      all: new AggregateError([new Error('::1 refused')]),
      self: {
        toJSON() {
          return this;
        },
      },
    });
    // @ts-expect-error: untyped code can hand in anything
    log.info(Object.create(null), null);
    // @ts-expect-error: untyped code can hand in anything
    log.info({ toString: () => trap.price });
    let wide: unknown = 'x';
    for (let n = 0; n < 7; n++) wide = Array.from({ length: 200 }, () => wide);
    log.info('wide', { wide, after: 1 });
    log.info('much', { much: Array.from({ length: 90 }, () => '\u0001'.repeat(30_000)) });
    log.info('trapped', Object.defineProperty({ n: 7 }, 'trap', { get: () => trap.price, enumerable: true }));
    const [odd, large, named] = records();
    expect(log.dropped, 'lines that were too long to keep').toBe(0);
    expect(records().at(-1).fields).toEqual({ n: 7, trap: '[unreadable]' });
    expect(named.fields).toMatchObject({
      all: { type: 'AggregateError', errors: [{ message: '::1 refused' }] },
      at: 'http://till:[redacted]@db/x?y=1',
      self: '[circular]',
    });
    expect(odd.fields).toMatchObject({ trap: { price: '[unreadable]' }, half: '\ufffd', '(empty)': 1 });
    expect(odd.fields.circle).toEqual({
      n: '1',
      not: 'NaN',
      when: '1970-01-01T00:00:00.000Z',
      never: 'Invalid Date',
      bytes: '[9 bytes]',
      set: [1],
      what: 'Symbol(s)',
      self: '[circular]',
    });
    expect(JSON.stringify(large).length).toBeLessThan(100_000);
    expect(JSON.stringify(large)).toContain(`"fields":${'{"deep":'.repeat(8)}"[too deep]"`);
    expect(records()).toHaveLength(8);
  });

  test('a full disk costs lines, counted, and not the process', () => {
    const { log } = till({ path: '/dev/full' });
    for (let n = 0; n < 400; n++) log.info('x'.repeat(30_000));
    expect(log.dropped).toBeGreaterThan(0);
    log.close();
    expect(log.dropped, 'with those that waited').toBe(400);
    log.info('after the end');
    expect(log.dropped).toBe(401);
  });

  test('after a rotation by renaming it goes on in the new file', () => {
    const { log, path, lines } = till({ bufferBytes: 1_000 });
    log.info('old');
    renameSync(path, `${path}.1`);
    log.info('still old');
    expect(log.reopen()).toBe(true);
    log.info('new');
    log.flush();
    expect(linesOf(`${path}.1`)).toHaveLength(2);
    expect(lines()).toHaveLength(1);
    renameSync(dirname(path), `${dirname(path)}-gone`);
    onTestFinished(() => renameSync(`${dirname(path)}-gone`, dirname(path)));
    expect(log.reopen(), 'no folder, no new file').toBe(false);
    log.info('still there');
    log.flush();
    expect(linesOf(`${dirname(path)}-gone/till.log`)).toHaveLength(2);
  });

  test('a buffer is written at an exit, too, and its listeners leave with it', async () => {
    const at = place();
    for (const how of ['exit', 'throw']) {
      await run('writer.ts', at.file(`${how}.log`), '50', '16000', how);
      // What is logged while it exits, too.
      expect(linesOf(at.file(`${how}.log`)), how).toHaveLength(how === 'exit' ? 51 : 50);
    }
    // Somebody listens once, and needs a while: the signal's effect is his by then.
    expect(await run('writer.ts', at.file('once.log'), '50', '16000', 'once')).toEqual({ code: 7, signal: null });
    const before = process.listenerCount('SIGTERM') + process.listenerCount('exit');
    new Logger({ path: at.file('a.log'), service: 'a', bufferBytes: 100 }).close();
    expect(process.listenerCount('SIGTERM') + process.listenerCount('exit')).toBe(before);
  });

  test('only what is asked for is written, and bad options are refused', () => {
    const { log, records } = till({ level: 'warn' });
    log.debug('no');
    log.info('no');
    log.warn('yes');
    log.fatal('yes');
    expect(records().map(({ level }) => level)).toEqual(['warn', 'fatal']);
    expect(records()[0], 'no fields, no entry for them').not.toHaveProperty('fields');
    const path = place().file('a.log');
    const bad: object[] = [
      { path: '' },
      { path: 7 },
      { service: '' },
      { service: 'a\0' },
      { level: 'loud' },
      { level: '__proto__' },
      { bufferBytes: -1 },
      { bufferBytes: 16_001 },
      { bufferBytes: '9' },
      { secrets: 'recipe' },
      { secrets: ['--'] },
      { secrets: [7] },
    ];
    for (const each of bad) {
      expect(() => new Logger({ path, service: 'a', ...each }), JSON.stringify(each)).toThrow(InvalidOptionError);
    }
    expect(() => new Logger({ path: '/dev/null/a.log', service: 'a' })).toThrow(LogFileError);
  });
});

describe('the shipper', () => {
  test('a line is shipped when it is whole, in whatever pieces it was written and read', async () => {
    const { path, shelf, shipper } = shipping({ batchBytes: 256, maxEventBytes: 200 });
    const pick = random(SEED);
    const lines = Array.from({ length: 40 }, (_, n) =>
      JSON.stringify({ message: `第${n}碗：鱼香肉丝🍜${'辣'.repeat(n % 9)}` }),
    );
    const bytes = Buffer.from(`${lines.join('\n')}\n`);
    const history = new History<string>();
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(pick.next() * 300);
      writeFileSync(path, bytes.subarray(at, at + size), { flag: 'a' });
      at += size;
      await shipper().drain();
      history.record(`${Math.min(at, bytes.length)} bytes written, ${shelf.events.length} events shipped`);
    }
    expect(shelf.messages, history.toString()).toEqual(lines.map((line) => JSON.parse(line).message));
    expect(shelf.events.every(({ document }) => bytes.toString('utf8', document.offset).startsWith('{"message"'))).toBe(
      true,
    );
  });

  test('who dies before the index has said yes has noted nothing', async () => {
    const { path, shelf, shipper } = shipping({ batchEvents: 2 });
    append(path, 'one', 'two', 'three', 'four', 'five');
    let batches = 0;
    const dies: Sink = {
      send: (events) => (++batches === 2 ? Promise.reject(crash) : shelf.send(events)),
    };
    expect((await outcome(shipper({ sink: dies }).drain())).error).toBe(crash);
    expect(shelf.messages).toEqual(['one', 'two']);
    await shipper().drain();
    expect(shelf.messages, 'lines that the second process shipped').toEqual(['one', 'two', 'three', 'four', 'five']);
  });

  test('an event that is sent again has the id that it had', async () => {
    const { path, shelf, shipper } = shipping({ batchEvents: 2 });
    append(path, 'bun', 'bun', 'tea', 'bun');
    const history = new History<string>();
    const dies: Sink = {
      async send(events) {
        await shelf.send(events);
        throw crash;
      },
    };
    for (let n = 0; n < 3; n++) await outcome(shipper({ sink: dies }).drain());
    await shipper().drain();
    for (const { id, document } of shelf.events) history.record(`${document.message} at ${document.offset}: ${id}`);
    const kept = new Map(shelf.events.map((event) => [event.id, event.document.message]));
    expect([shelf.events.length, [...kept.values()]], history.toString()).toEqual([10, ['bun', 'bun', 'tea', 'bun']]);
  });

  for (const [how, rotate] of [
    ['renaming', async (path: string) => renameSync(path, `${path}.1`)],
    ['copying and truncating', async (path: string) => copyFile(path, `${path}.1`).then(() => truncateSync(path))],
  ] as const) {
    test(`a rotation by ${how} loses no line and ships none twice`, async () => {
      const { path, shelf, shipper } = shipping();
      append(path, 'banner', 'one', 'two');
      await shipper().drain();
      append(path, 'three', 'four');
      await rotate(path);
      // The new file begins like the old one, and is longer by the time that anybody looks.
      append(path, 'banner', 'five', 'six', 'seven', 'eight', 'nine');
      await shipper().drain();
      append(path, 'ten');
      await shipper().drain();
      expect(shelf.messages).toEqual([
        'banner',
        'one',
        'two',
        'three',
        'four',
        'banner',
        'five',
        'six',
        'seven',
        'eight',
        'nine',
        'ten',
      ]);
      expect(new Set(shelf.events.map(({ id }) => id)).size, 'different ids').toBe(12);
    });
  }

  test('files that begin alike are told apart, whatever came between them', async () => {
    const { path, shelf, shipper } = shipping();
    for (const lines of [['banner', 'one'], ['other'], ['banner', 'two'], [], ['banner', 'six']]) {
      for (const n of [3, 2, 1]) await rename(`${path}.${n}`, `${path}.${n + 1}`).catch(() => {});
      await rename(path, `${path}.1`).catch(() => {});
      append(path, ...lines);
      await shipper().drain();
    }
    expect(shelf.messages).toEqual(['banner', 'one', 'other', 'banner', 'two', 'banner', 'six']);
    expect(new Set(shelf.events.map(({ id }) => id)).size, 'different ids').toBe(7);
  });

  test('a rotation at the worst moment loses no line', async () => {
    const long = (text: string) => `${text}${'.'.repeat(100)}`;
    const [first, second] = [shipping(), shipping()];
    append(first.path, 'banner', long('one'));
    await first.shipper().drain();
    append(first.path, long('two'));
    // Truncated after the read, and before the place is noted.
    class Truncated extends Shipper {
      protected override split(bytes: Buffer, offset: number) {
        if (bytes.includes('two')) {
          copyFileSync(first.path, `${first.path}.1`);
          truncateSync(first.path);
          append(first.path, 'banner', long('three'));
        }
        return super.split(bytes, offset);
      }
    }
    await new Truncated({ path: first.path, offsetPath: first.offsetPath, host: 'shop', sink: first.shelf }).drain();
    append(first.path, long('four'));
    append(first.path, long('five'));
    await first.shipper().drain();
    const [one, two, ...others] = ['one', 'two', 'three', 'four', 'five'].map(long);
    expect(first.shelf.messages).toEqual(['banner', one, two, 'banner', ...others]);

    append(second.path, 'one');
    await second.shipper().drain();
    const rotate = () => {
      renameSync(second.path, `${second.path}.1`);
      append(second.path, 'three');
    };
    let looks = 0;
    // Renamed again between the look at the folder and the opening of what was seen there.
    class Renamed extends Shipper {
      protected override async rotatedFiles() {
        const found = await super.rotatedFiles();
        if (++looks === 2) {
          renameSync(`${second.path}.1`, `${second.path}.2`);
          rotate();
        }
        return found;
      }
    }
    renameSync(second.path, `${second.path}.1`);
    append(second.path, 'two');
    await new Renamed({ path: second.path, offsetPath: second.offsetPath, host: 'shop', sink: second.shelf }).drain();
    expect(second.shelf.messages).toEqual(['one', 'two', 'three']);
  });

  test('a stack trace is one event', async () => {
    const { path, shelf, shipper } = shipping({ settleMs: 60_000 });
    const stack = [
      'TypeError: price of undefined',
      '    at pay (till.js:7)',
      '    at main (till.js:1)',
      'Caused by: no tea',
      '  at brew (pot.js:2)',
    ];
    append(path, 'open', ...stack, '{"message":"closed"}', 'late 1', '  more');
    const stop = new AbortController();
    const running = shipper({ pollMs: 1 }).run(stop.signal);
    running.catch(() => {});
    await Promise.race([until(() => shelf.events.length > 0, { what: 'the first batch', timeoutMs: 15_000 }), running]);
    stop.abort();
    await running;
    expect(shelf.messages, 'the last one may go on').toEqual(['open', stack.join('\n'), 'closed']);
    append(path, '  and more');
    await shipper().drain();
    expect(shelf.messages.at(-1)).toBe('late 1\n  more\n  and more');
  });

  test('an event lies on the day it happened, however late it is shipped, and on no day that it makes up', async () => {
    const { path, shelf, shipper } = shipping();
    const [now, day] = [Date.now(), 86_400_000];
    const at = (days: number) => new Date(now + days * day).toISOString();
    append(
      path,
      ...[at(-20), now - 3 * day, at(-31), at(2), 'yesterday', '9999-01-01', {}].map((time) =>
        JSON.stringify({ time, message: 'm' }),
      ),
    );
    await shipper().drain();
    const days = shelf.events.map(({ document }) => Math.round((Date.parse(document['@timestamp']) - now) / day));
    expect(days).toEqual([-20, -3, 0, 0, 0, 0, 0]);
    expect(shelf.events.map(({ document }) => document.claimed_time)).toEqual([
      undefined,
      undefined,
      at(-31),
      at(2),
      'yesterday',
      '9999-01-01',
      '[object Object]',
    ]);
  });

  test('any line of JSON becomes a document of one shape', async () => {
    const { path, shelf, shipper } = shipping();
    append(
      path,
      '',
      '{"level":50,"msg":"pino","reqId":7,"fields":"text"}',
      '{"level":"WARN","message":9,"service":["a"],"fields":{"a":1},"b":2}',
      '[1]',
      '{"broken',
      '{"message":"\\ud83d half","__proto__":{"x":1}}',
      'null',
      '',
      '  ',
      '\ufeff{"msg":"marked"}\r',
      `{"msg":"deep","d":${'['.repeat(20_000)}${']'.repeat(20_000)}}`,
    );
    await shipper().drain();
    const deep = shelf.events.pop();
    expect(deep?.document.message, 'too deep to be written again: a text').toMatch(/^\{"msg":"deep"/);
    expect(deep?.document.fields).toBeUndefined();
    const shapes = shelf.events.map(({ document: { message, level, service, fields } }) => ({
      message,
      level,
      service,
      fields,
    }));
    const plain = { level: undefined, service: undefined, fields: undefined };
    expect(shapes).toEqual([
      { ...plain, message: 'pino', level: 'error', fields: { reqId: 7, fields: 'text' } },
      {
        ...plain,
        message: '{"level":"WARN","message":9,"service":["a"],"fields":{"a":1},"b":2}',
        level: 'warn',
        fields: { a: 1, b: 2 },
      },
      { ...plain, message: '[1]' },
      { ...plain, message: '{"broken' },
      { ...plain, message: '\ufffd half', fields: JSON.parse('{"__proto__":{"x":1}}') },
      { ...plain, message: 'null' },
      { ...plain, message: 'marked' },
    ]);
  });

  test('what is too long is cut at a character, and said to be', async () => {
    const { path, shelf, shipper } = shipping({ batchBytes: 256, maxEventBytes: 64 });
    append(path, 'first', '长'.repeat(3_000), 'x'.repeat(100), 'last');
    await shipper().drain();
    expect(shelf.messages.map((message) => message.length)).toEqual([5, 21, 64, 4]);
    expect(shelf.messages[1]).toBe('长'.repeat(21));
    expect(shelf.events.map(({ document }) => document.cut)).toEqual([undefined, true, true, undefined]);
    writeFileSync(path, 'y'.repeat(5_000), { flag: 'a' });
    await shipper().drain();
    expect(shelf.events, 'a long line without its end').toHaveLength(4);
    // The second one fills what is read at once, and its end is the first byte behind it.
    append(path, '', 'w'.repeat(256), 'after');
    await shipper().drain();
    expect(shelf.messages.slice(4)).toEqual(['y'.repeat(64), 'w'.repeat(64), 'after']);
    // Who wrote it died over it: it is no reason to stay with the old file.
    writeFileSync(path, 'z'.repeat(5_000), { flag: 'a' });
    renameSync(path, `${path}.1`);
    append(path, 'anew');
    await shipper().drain();
    expect(shelf.messages.slice(7)).toEqual(['z'.repeat(64), 'anew']);
  });

  test('a stack trace longer than the memory for it is shipped in parts', async () => {
    const { path, shelf, shipper } = shipping({ batchBytes: 256, maxEventBytes: 256 });
    append(path, 'Error', ...Array.from({ length: 100 }, (_, n) => `    at frame ${n}`), 'next');
    await shipper().drain();
    const frames = shelf.messages
      .join('\n')
      .split('\n')
      .map((each) => each.trim());
    expect(frames).toEqual(['Error', ...Array.from({ length: 100 }, (_, n) => `at frame ${n}`), 'next']);
  });

  test('a slow index is waited for: one batch is in memory, and nothing is lost', async () => {
    const { path, shelf, shipper } = shipping({ batchEvents: 10 });
    append(path, ...Array.from({ length: 300 }, (_, n) => `line ${n}`));
    let [atOnce, most, largest] = [0, 0, 0];
    const slow: Sink = {
      async send(events) {
        most = Math.max(most, ++atOnce);
        largest = Math.max(largest, events.length);
        await new Promise(setImmediate);
        await shelf.send(events);
        atOnce--;
      },
    };
    await shipper({ sink: slow }).drain();
    expect([most, largest, shelf.events.length]).toEqual([1, 10, 300]);
  });

  test('several rotations while it was away are made up for, in their order', async () => {
    const { path, shelf, shipper } = shipping();
    append(path, 'a1', 'a2');
    await shipper().drain();
    append(path, 'a3');
    let written = Date.now() / 1_000 - 60;
    utimesSync(path, written, written);
    for (const next of ['b', 'c', 'd']) {
      for (const [from, to] of [
        [`${path}.2`, `${path}.3`],
        [`${path}.1`, `${path}.2`],
        [path, `${path}.1`],
      ]) {
        try {
          renameSync(from ?? '', to ?? '');
        } catch {}
      }
      append(path, `${next}1`, `${next}2`);
      written += 1;
      utimesSync(path, written, written);
    }
    writeFileSync(`${path}.4.gz`, 'packed');
    writeFileSync(`${path}.bak`, 'not a rotation\n');
    await shipper().drain();
    expect(shelf.messages).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'c1', 'c2', 'd1', 'd2']);
  });

  test('what was removed before it was read is reported, and the shipper goes on', async () => {
    const gaps: unknown[] = [];
    const { path, shelf, shipper } = shipping({ onGap: (gap) => gaps.push(gap) });
    append(path, 'one');
    await shipper().drain();
    truncateSync(path);
    append(path, 'a longer line than before');
    await shipper().drain();
    expect(gaps).toEqual([{ path, offset: 4 }]);
    await rm(path);
    await shipper().drain();
    append(path, 'three');
    await shipper().drain();
    expect(shelf.messages).toEqual(['one', 'a longer line than before', 'three']);
    expect(gaps).toHaveLength(2);
  });

  test('a running shipper follows: the first line, a writer that is slow to let go, and the rotation', async () => {
    const { path, shelf, shipper } = shipping({ pollMs: 1, settleMs: 150 });
    const stop = new AbortController();
    const running = shipper().run(stop.signal);
    running.catch(() => {});
    const seen = (n: number) =>
      Promise.race([until(() => shelf.events.length === n, { what: `${n} events`, timeoutMs: 15_000 }), running]);
    append(path, '{"message":"one"}');
    await seen(1);
    renameSync(path, `${path}.1`);
    append(path, '{"message":"three"}');
    append(`${path}.1`, '{"message":"two"}');
    writeFileSync(`${path}.1`, 'cut short', { flag: 'a' });
    await seen(4);
    expect(shelf.messages).toEqual(['one', 'two', 'cut short', 'three']);
    append(path, '{"message":"five"}');
    await seen(5);
    stop.abort();
    expect(await outcome(running)).toEqual({ value: undefined, error: undefined });
    append(path, '{"message":"six"}');
    await shipper().drain();
    expect(shelf.messages.slice(5)).toEqual(['six']);
  });

  test('the noted offset is replaced whole, never written over', async () => {
    const { path, at, offsetPath, shelf, shipper } = shipping();
    append(path, 'one');
    await shipper().drain();
    linkSync(offsetPath, at.file('kept'));
    const before = readFileSync(at.file('kept'), 'utf8');
    append(path, 'two');
    await shipper().drain();
    expect(readFileSync(at.file('kept'), 'utf8'), 'the old file of offsets').toBe(before);
    expect(JSON.parse(readFileSync(offsetPath, 'utf8'))).toMatchObject({ offset: 8 });
    // Who died while he wrote the new one.
    writeFileSync(`${offsetPath}.x.new`, '{"off');
    append(path, 'three');
    await shipper().drain();
    expect(shelf.messages).toEqual(['one', 'two', 'three']);
    // The old process is on its way out while the new one begins.
    const kept = new Set<string>();
    const sink: Sink = { send: async (events) => events.forEach(({ id }) => void kept.add(id)) };
    append(path, ...Array.from({ length: 30 }, (_, n) => `line ${n}`));
    const both = await Promise.all([1, 2, 3].map(() => outcome(shipper({ sink, batchEvents: 1 }).drain())));
    expect(both.map(({ error }) => error)).toEqual([undefined, undefined, undefined]);
    expect(kept.size).toBe(30);
    expect(JSON.parse(readFileSync(offsetPath, 'utf8')).offset).toBe(readFileSync(path).length);
    const left = (await readdir(at.path)).filter((name) => name.endsWith('.new'));
    expect(left).toEqual([`${basename(offsetPath)}.x.new`]);
  });

  test('a file of offsets that is none stops it, and so does what it can neither read nor note', async () => {
    const { path, at, offsetPath, shelf, shipper } = shipping();
    append(path, 'one');
    for (const text of [
      '',
      '{',
      'null',
      '[]',
      '{"offset":-1}',
      '{"head":"","tail":"","generation":0,"offset":1.5}',
      '{"head":"","tail":"","generation":"0","offset":1}',
      '{"head":7,"tail":"","generation":0,"offset":1}',
      '{"head":"","generation":0,"offset":1,"tail":7}',
    ]) {
      writeFileSync(offsetPath, text);
      expect((await outcome(shipper().drain())).error, text).toBeInstanceOf(OffsetFileError);
    }
    const cases = [
      { offsetPath: at.file('no/such/offset') },
      { offsetPath: at.path },
      { path: at.path, offsetPath: at.file('o') },
      { path: at.file('pipe'), offsetPath: at.file('o') },
    ];
    execFileSync('mkfifo', [at.file('pipe')]);
    await mkdir(at.file('till.log.1'));
    for (const each of cases) {
      expect((await outcome(shipper(each).drain())).error, JSON.stringify(each)).toBeInstanceOf(LogFileError);
    }
    expect(shelf.messages, 'what was sent and could not be noted').toEqual(['one']);
    await rm(offsetPath);
    const one = shipper();
    const [first, second] = await Promise.all([outcome(one.drain()), outcome(one.drain())]);
    expect([first.error, second.error], 'the second of two runs at once').toEqual([
      undefined,
      expect.any(InvalidOptionError),
    ]);
  });

  test('a shipper is not made of bad options', () => {
    const { shipper } = shipping();
    const bad: object[] = [
      { path: '' },
      { offsetPath: 'a\0' },
      { host: '' },
      { batchEvents: 0 },
      { path: 'a', offsetPath: './a' },
      { batchEvents: 1.5 },
      { batchBytes: 255 },
      { batchBytes: '256' },
      { batchBytes: 256, maxEventBytes: 257 },
      { maxEventBytes: 63 },
      { pollMs: 0 },
      { settleMs: -1 },
      { settleMs: Number.NaN },
      { acceptDays: 0 },
    ];
    for (const each of bad) expect(() => shipper(each), JSON.stringify(each)).toThrow(InvalidOptionError);
    // The bounds themselves are good.
    shipper({ batchEvents: 1, batchBytes: 256, maxEventBytes: 64, pollMs: 1, settleMs: 0, acceptDays: 1 });
    const most = { batchEvents: 100_000, pollMs: 60_000, settleMs: 600_000, acceptDays: 3_650 };
    shipper({ ...most, batchBytes: 2 ** 26, maxEventBytes: 2 ** 26 });
  });

  test('the same line in another log, or on another machine, is another event', async () => {
    const { at, path, shelf, shipper } = shipping();
    append(path, 'bun');
    append(at.file('other.log'), 'bun');
    await shipper().drain();
    await shipper({ path: at.file('other.log'), offsetPath: at.file('b') }).drain();
    await shipper({ host: 'kiosk', offsetPath: at.file('c') }).drain();
    await shipper({ offsetPath: at.file('lost') }).drain();
    const ids = shelf.events.map(({ id }: LogEvent) => id);
    expect(new Set(ids).size, 'the fourth one is the first again: its offset was lost').toBe(3);
    expect(await readFile(at.file('lost'), 'utf8')).toBe(await readFile(at.file('till.offset'), 'utf8'));
  });
});

describe('the query', () => {
  const fields = new Map([
    ['message', 'text'],
    ['level', 'keyword'],
    ['status', 'integer'],
    ['ms', 'double'],
    ['paid', 'boolean'],
  ] as const);
  const failure = (query: string): QueryError | undefined => {
    try {
      parseQuery(query, fields);
    } catch (error) {
      if (error instanceof QueryError) return error;
      throw error;
    }
    return undefined;
  };

  test('a query asks for known fields, and a bad one is told which and where', () => {
    expect(parseQuery('level:error,warn -"timed out" ms>=0.5 支付', fields)).toEqual([
      { field: 'level', op: ':', values: ['error', 'warn'], not: false },
      { field: 'message', op: ':', values: ['timed out'], not: true },
      { field: 'ms', op: '>=', values: ['0.5'], not: false },
      { field: 'message', op: ':', values: ['支付'], not: false },
    ]);
    const bad: [string, number, string | undefined][] = [
      ['levle:error', 1, 'levle'],
      ['tea  status:OK', 6, 'status'],
      ['-status:1e9', 2, 'status'],
      ['__proto__:1', 1, '__proto__'],
      ['level>3', 1, 'level'],
      ['status>1,2', 1, 'status'],
      ['status:2147483648', 1, 'status'],
      ['ms:0x10', 1, 'ms'],
      ['paid:yes', 1, 'paid'],
      ['level:""', 1, 'level'],
      ['tea "open', 5, undefined],
      ['tea ,', 5, undefined],
      ['\ud83d', 1, 'message'],
      ['x'.repeat(1_001), 1_001, undefined],
      ['x '.repeat(33), 65, undefined],
    ];
    for (const [query, column, field] of bad) {
      const error = failure(query);
      expect([error?.column, error?.field], query.slice(0, 20)).toEqual([column, field]);
    }
    expect(failure('levle:error')?.message).toContain('level');
    // @ts-expect-error: untyped code can hand in anything
    expect(failure({ $ne: 1 })?.column).toBe(1);
  });

  test('whatever is typed is read in bounded time, or refused with its place', () => {
    const pick = random(SEED);
    const pieces = [
      'level',
      ':',
      '"',
      ',',
      '-',
      '>',
      '>=',
      ' ',
      'a',
      '*',
      '(',
      '\\',
      '\n',
      '中',
      'status',
      '5',
      '"",',
      '.',
    ];
    for (let n = 0; n < 1_000; n++) {
      const query = Array.from(
        { length: 1 + Math.floor(pick.next() * 30) },
        () => pieces[Math.floor(pick.next() * pieces.length)],
      ).join('');
      const error = failure(query);
      if (error) expect(error.column, query).toBeLessThanOrEqual(query.length + 1);
      else expect(JSON.stringify(toDsl(parseQuery(query, fields), fields))).not.toContain('query_string');
    }
    for (const hard of ['",'.repeat(500), 'a,'.repeat(500), `"${'"",'.repeat(300)}`, `${'"a",'.repeat(249)}"`]) {
      // An expression that tries everything would not come back before the test is over.
      failure(hard);
    }
  });
});
