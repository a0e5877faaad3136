import { setTimeout as delay } from 'node:timers/promises';
import { outcome, random } from '@shared/testkit';
import { expect, test } from 'vitest';
import {
  Alarm,
  Desk,
  type DeskOptions,
  Feed,
  InvalidArgumentError,
  latencyOf,
  parseLine,
  Sketch,
  TopK,
  Watermark,
} from '#lab';
import { after, at, lineOf, linesOf, NOON, O, RULE, SEED } from './support.ts';

// What needs no server: lines, windows, summaries, alerts and the feed, in memory.

const desk = (o: Partial<DeskOptions> = {}) => new Desk({ ...O, ...o });

// ── core ──

test('a line is counted in the window of its own time, in whatever order lines come', () => {
  const { shuffle } = random(SEED);
  const seconds = Array.from({ length: 300 }, (_, n) => n / 10);
  for (const order of [seconds, shuffle(seconds), seconds.toReversed()]) {
    const it = desk();
    // They arrive a minute later, all at once.
    it.file({ source: 'shop-1', first: 0, lines: at(...order), arrivedAt: NOON + 60_000 });
    expect(linesOf(it.changes().windows), 'lines by the second at which their window begins').toEqual({
      0: 100,
      10: 100,
      20: 100,
    });
  }
  const edge = desk();
  edge.file({ source: 'shop-1', first: 0, lines: at(9.999, 10, 19.999, 20), arrivedAt: NOON + 20_000 });
  expect(linesOf(edge.changes().windows), 'a window begins with its first millisecond').toEqual({ 0: 1, 10: 2, 20: 1 });
});

test('a window is open until every source has passed its end, and not the fastest alone', () => {
  const mark = new Watermark(O);
  mark.observe('fast', NOON + 60_000, NOON + 60_000);
  mark.observe('slow', NOON + 8_000, NOON + 60_000);
  expect(after(mark.advance(NOON + 60_000)), 'five seconds less than the slowest, which is at 8').toBe(3);
  mark.observe('slow', NOON + 20_000, NOON + 61_000);
  // An older line, among stragglers: nobody goes back.
  mark.observe('slow', NOON + 2_000, NOON + 62_000);
  expect(after(mark.advance(NOON + 62_000)), 'the slowest has been at 20').toBe(15);

  const it = desk();
  it.file({ source: 'slow', first: 0, lines: at(1), arrivedAt: NOON + 1_000 });
  it.file({ source: 'fast', first: 0, lines: at(1, 30), arrivedAt: NOON + 30_000 });
  it.file({ source: 'slow', first: 1, lines: at(2, 14.999), arrivedAt: NOON + 31_000 });
  const early = it.changes().windows.filter(({ closed }) => closed);
  expect(linesOf(early), 'closed while the slowest is at 14.999').toEqual({});
  it.file({ source: 'slow', first: 3, lines: at(15), arrivedAt: NOON + 32_000 });
  const { windows, aside } = it.changes();
  expect(linesOf(windows.filter(({ closed }) => closed)), 'closed when the slowest is at 15').toEqual({ 0: 3 });
  expect(aside).toEqual([]);
});

test('a silent source holds nobody, and when all are silent time goes on without them', () => {
  const mark = new Watermark(O);
  mark.observe('awake', NOON + 10_000, NOON + 10_000);
  mark.observe('silent', NOON, NOON + 10_000);
  expect(after(mark.advance(NOON + 10_000)), 'both have been heard').toBe(-5);
  mark.observe('awake', NOON + 40_000, NOON + 40_000);
  expect(after(mark.advance(NOON + 40_000)), 'one is silent for thirty seconds').toBe(-5);
  mark.observe('awake', NOON + 40_001, NOON + 40_001);
  expect(after(mark.advance(NOON + 40_001)), 'and a millisecond').toBe(35.001);
  // From here on nobody writes.
  expect(after(mark.advance(NOON + 70_001)), 'both are silent, one for thirty seconds').toBe(35.001);
  expect(after(mark.advance(NOON + 80_001)), 'until the last window is closed').toBe(50.001);
  expect(after(mark.advance(NOON + 3_600_000)), 'and no further').toBe(50.001);
  // A file of an hour ago is read, and its reader pauses: its next lines are of an hour ago as well.
  const reread = new Watermark({ ...O, windowMs: 60_000 });
  reread.observe('file', NOON, NOON + 3_600_000);
  expect(after(reread.advance(NOON + 3_631_000)), 'on by the 31 seconds of the silence').toBe(26);

  const it = desk();
  it.file({ source: 'shop-1', first: 0, lines: at(1, 2), arrivedAt: NOON + 2_000 });
  it.tick(NOON + 32_001);
  expect(
    it.changes().windows.map(({ closed }) => closed),
    'the last window of all',
  ).toEqual([true]);
});

test('a line that comes after its window is closed is put aside, and changes no figure that stands', () => {
  const it = desk();
  it.file({ source: 'shop-1', first: 0, lines: at(1, 2, 30), arrivedAt: NOON + 30_000 });
  it.changes();
  it.file({ source: 'shop-1', first: 3, lines: at(9, 25, 19, 26), arrivedAt: NOON + 31_000 });
  const { windows, aside } = it.changes();
  expect(linesOf(windows), 'the windows that changed').toEqual({ 20: 2 });
  const lines = aside.map(({ source, position, reason, text }) => [source, position, reason, text]);
  expect(lines).toEqual([
    ['shop-1', 3, 'late', at(9)[0]],
    ['shop-1', 5, 'late', at(19)[0]],
  ]);
  expect(it.counts, 'each line is somewhere').toEqual({ counted: 5, late: 2, malformed: 0, future: 0, repeated: 0 });
});

test('what is sent or read a second time is counted once', () => {
  const it = desk();
  const lines = at(1, 2, 3, 4, 5, 6);
  const entry = { source: 'shop-1', first: 0, lines: lines.slice(0, 4), arrivedAt: NOON + 5_000 };
  it.file(entry);
  it.file(entry);
  it.file({ source: 'shop-1', first: 2, lines: lines.slice(2), arrivedAt: NOON + 6_000 });
  it.file({ ...entry, arrivedAt: NOON + 7_000 });
  it.file({ ...entry, source: 'shop-2' });
  const { windows, positions } = it.changes();
  expect(linesOf(windows), 'six lines of one source, four of another').toEqual({ 0: 10 });
  expect([...positions].map(([source, { next, missing }]) => [source, next, missing])).toEqual([
    ['shop-1', 6, 0],
    ['shop-2', 4, 0],
  ]);
});

test('of many thousand paths the heavy ones are found, in a hundred places', () => {
  const { shuffle } = random(SEED);
  const scanned = Array.from({ length: 20_000 }, (_, n) => `/wp-admin/${n}`);
  const heavy = Array.from({ length: 10 }, (_, n) => Array.from({ length: 1_000 + 100 * n }, () => `/item/${n}`));
  const all = shuffle([...scanned, ...heavy.flat()]);
  const top = new TopK(100);
  let most = 0;
  for (const path of all) {
    top.add(path);
    most = Math.max(most, top.held);
  }
  expect(most, 'places').toBe(100);
  const found = new Map(top.top(100).map((it) => [it.key, it]));
  for (const [n, { length }] of heavy.entries()) {
    const { count = 0, error = 0 } = found.get(`/item/${n}`) ?? {};
    expect([count >= length, count - error <= length], `${length} of /item/${n}: ${count} less ${error}`).toEqual([
      true,
      true,
    ]);
  }
  const sum = top.top(100).reduce((total, { count }) => total + count, 0);
  expect(sum, 'each is counted somewhere').toBe(all.length);
  expect(Math.max(...top.top(100).map(({ error }) => error))).toBeLessThanOrEqual(all.length / 100);
});

test('the p95 of several windows is that of all their lines, and no mean of theirs', () => {
  const { next } = random(SEED);
  // A quiet minute that is slow, between two busy ones that are fast.
  const minutes = [2_000, 60, 1_000].map((count, n) =>
    Array.from({ length: count }, () => (n === 1 ? 2_000 : 5) * (1 + next())),
  );
  const sketches = minutes.map((all) => {
    const sketch = new Sketch();
    for (const ms of all) sketch.add(ms);
    return sketch;
  });
  const all = minutes.flat().sort((a, b) => a - b);
  for (const q of [0.5, 0.95, 0.98, 0.99]) {
    const exact = all[Math.ceil(q * all.length) - 1] ?? 0;
    const said = latencyOf(sketches, q) ?? 0;
    expect(Math.abs(said / exact - 1), `q ${q}: ${said} for ${exact}`).toBeLessThan(0.0101);
  }
  expect(latencyOf([], 0.95)).toBeUndefined();
  expect(latencyOf([new Sketch(), ...sketches.slice(0, 1)], 1)).toBeLessThan(10.2);
});

test('an alert fires once for bad windows in a row, and is over once for good ones', () => {
  const alarm = new Alarm(RULE);
  const say = (...errors: number[]) => errors.map((it) => alarm.judge({ lines: 100, errors: it }) ?? '-');
  expect(say(50, 50, 0, 50, 50), 'two in a row are not three').toEqual(['-', '-', '-', '-', '-']);
  expect(say(10), 'the third').toEqual(['firing']);
  expect(say(50, 50, 50, 50), 'it has been told').toEqual(['-', '-', '-', '-']);
  expect(say(5, 5, 5, 9, 2, 1, 5, 2, 2), 'better is not good').toEqual(Array(9).fill('-'));
  expect(say(0)).toEqual(['over']);
  expect(say(0, 0, 0, 9, 11, 9, 11, 9, 11), 'around the limit').toEqual(Array(9).fill('-'));
  expect(alarm.judge({ lines: 19, errors: 19 }), 'nineteen lines say nothing').toBeUndefined();
  expect(say(10, 10)).toEqual(['-', 'firing']);
});

test('a browser that does not read gets the newest view, and nobody waits for it', async () => {
  const feed = new Feed<number>();
  const gone = new AbortController();
  const slow = feed.subscribe(gone.signal);
  const quick = feed.subscribe(gone.signal);
  const read: unknown[] = [];
  feed.publish(0);
  const first = await Promise.race([slow.next(), delay(500, undefined)]);
  expect(first?.value, 'who comes after a view has been published').toBe(0);
  for (let n = 1; n <= 1_000; n++) {
    feed.publish(n);
    read.push((await outcome(quick.next())).value?.value);
  }
  expect(read, 'who reads has each').toEqual(Array.from({ length: 1_000 }, (_, n) => n + 1));
  expect((await outcome(slow.next())).value?.value, 'who comes back').toBe(1_000);
  const waiting = slow.next();
  expect(await Promise.race([waiting, delay(20, 'nothing new')])).toBe('nothing new');
  feed.publish(1_001);
  expect((await outcome(waiting)).value?.value).toBe(1_001);
  const last = slow.next();
  gone.abort();
  expect((await outcome(last)).value?.done).toBe(true);
});

// ── hardening, without a server ─────────────────────────────────────────────────────────────────────────────────────

test('answers are counted by their kind, and those of the last are errors', () => {
  const it = desk();
  const lines = [100, 200, 204, 299, 301, 404, 499, 500, 503, 599].map((status) => lineOf(NOON, '/', status));
  it.file({ source: 'shop-1', first: 0, lines, arrivedAt: NOON + 1_000 });
  const [{ statuses, errors } = { statuses: [], errors: 0 }] = it.changes().windows;
  expect([statuses, errors], '1xx, 2xx, 3xx, 4xx and 5xx; errors').toEqual([[1, 3, 1, 2, 3], 3]);
});

test('an open window rings no bell', () => {
  const it = desk({ rules: [{ ...RULE, windows: 1 }] });
  const bad = Array.from({ length: 50 }, () => lineOf(NOON, '/', 500));
  it.file({ source: 'shop-1', first: 0, lines: [...bad, ...at(14.999)], arrivedAt: NOON + 15_000 });
  expect(it.changes().alerts).toEqual([]);
  it.file({ source: 'shop-1', first: 51, lines: at(15), arrivedAt: NOON + 15_001 });
  expect(it.changes().alerts).toEqual([{ rule: 'errors', start: NOON, change: 'firing' }]);
});

test('a line from the future is put aside and hurries nobody', () => {
  const it = desk({ aheadMs: 60_000 });
  it.file({ source: 'shop-1', first: 0, lines: at(1, 90_000, 61), arrivedAt: NOON + 1_000 });
  const { windows, aside } = it.changes();
  expect(linesOf(windows)).toEqual({ 0: 1, 60: 1 });
  expect(aside.map(({ reason, position }) => [reason, position])).toEqual([['future', 1]]);
  expect(after(it.time), 'five seconds less than its arrival').toBe(-4);
});

test('a clock that is ahead closes no window of those whose clock is right', () => {
  const it = desk();
  it.file({ source: 'quiet', first: 0, lines: at(0), arrivedAt: NOON });
  for (let n = 0; n <= 40; n++) {
    it.file({ source: 'ahead', first: n, lines: at(n + 50), arrivedAt: NOON + n * 1_000 });
  }
  it.file({ source: 'quiet', first: 1, lines: at(41), arrivedAt: NOON + 41_000 });
  expect(it.counts).toMatchObject({ counted: 43, late: 0 });
  // And when nobody writes any more, those windows are closed as well.
  for (let n = 42; n < 200; n++) it.tick(NOON + n * 1_000);
  const open = it.changes().windows.filter(({ closed }) => !closed);
  expect(linesOf(open)).toEqual({});
});

test('what all sources have kept for themselves meanwhile is counted when they come back', () => {
  const it = desk();
  it.file({ source: 'shop-1', first: 0, lines: at(1), arrivedAt: NOON + 1_000 });
  // The line is down for a minute. Or the counter's clock jumps.
  for (const later of [40_000, 60_000, 3_600_000]) it.tick(NOON + later);
  it.file({ source: 'shop-1', first: 1, lines: at(12, 20, 60), arrivedAt: NOON + 61_000 });
  it.file({ source: 'shop-1', first: 4, lines: at(9), arrivedAt: NOON + 62_000 });
  expect(it.counts, 'of the window that was closed').toMatchObject({ counted: 4, late: 1 });
});

test('a source that is far behind holds the others no longer than holdMs', () => {
  const mark = new Watermark({ ...O, holdMs: 60_000 });
  mark.observe('behind', NOON - 3_600_000, NOON);
  mark.observe('ahead', NOON, NOON);
  expect(after(mark.advance(NOON)), 'a minute less than the one that is ahead').toBe(-60);
});

test('the watermark never goes back, whoever comes late to it', () => {
  const { int, pick } = random(SEED);
  const mark = new Watermark(O);
  let before = mark.time;
  for (let now = NOON; now < NOON + 300_000; now += int(1, 9_000)) {
    if (int(0, 3) > 0) mark.observe(pick(['a', 'b', 'c', 'd']), now + int(-90_000, 1_000), now);
    const time = mark.advance(now);
    expect(time).toBeGreaterThanOrEqual(before);
    before = time;
  }
  expect(before).toBeGreaterThan(NOON);
});

test('lines that never came are counted as missing when their successors come', () => {
  const it = desk();
  it.file({ source: 'shop-1', first: 0, lines: at(1, 2), arrivedAt: NOON + 2_000 });
  it.file({ source: 'shop-1', first: 5, lines: at(3), arrivedAt: NOON + 3_000 });
  it.file({ source: 'shop-1', first: 2, lines: at(4, 5, 6), arrivedAt: NOON + 4_000 });
  const { positions, windows } = it.changes();
  expect(positions.get('shop-1')).toMatchObject({ next: 6, missing: 3 });
  expect(linesOf(windows)).toEqual({ 0: 3 });
});

test('a source that begins its numbers again is not silent about it', () => {
  const it = desk();
  it.file({ source: 'shop-1', first: 0, lines: at(1, 2, 3), arrivedAt: NOON + 3_000 });
  for (const first of [0, 1]) it.file({ source: 'shop-1', first, lines: at(4), arrivedAt: NOON + 4_000 });
  it.file({ source: 'shop-1', first: 2, lines: at(3, 5), arrivedAt: NOON + 5_000 });
  expect(it.counts, 'each line is somewhere').toEqual({ counted: 4, late: 0, malformed: 0, future: 0, repeated: 3 });
});

test('a line is read to the last digit, or it is none', () => {
  const read = (text: string) => parseLine(text);
  expect(read('2025-11-29T20:00:01.2509+08:00 GET /kettles?page=2 200 34.5')).toEqual({
    at: NOON + 1_250,
    method: 'GET',
    path: '/kettles',
    status: 200,
    ms: 34.5,
  });
  expect(read('2025-11-29T08:30:00-03:30 POST / 503 0')?.at).toBe(NOON);
  expect(read('2024-02-29T00:00:00Z GET / 200 1')?.at).toBe(Date.UTC(2024, 1, 29));
  expect(read('1970-01-01T00:00:00Z GET / 200 1')?.at).toBe(0);
  expect(read(`2025-11-29T12:00:00Z GET /${'a'.repeat(999)} 200 1`)?.path).toHaveLength(200);
  const none = [
    '2025-02-29T00:00:00Z GET / 200 1',
    '2025-11-31T00:00:00Z GET / 200 1',
    '2025-11-29T24:00:00Z GET / 200 1',
    '2025-11-29T12:00:60Z GET / 200 1',
    '2025-11-29T12:00:00 GET / 200 1',
    '2025-11-29T12:00:00+15:00 GET / 200 1',
    '1969-12-31T23:59:59Z GET / 200 1',
    '2025-11-29T12:00:00Z GET / 600 1',
    '2025-11-29T12:00:00Z GET / 200 1e3',
    '2025-11-29T12:00:00Z GET / 200 NaN',
    '2025-11-29T12:00:00Z GET / 200 -1',
    '2025-11-29T12:00:00Z GET /a b 200 1',
    '2025-11-29T12:00:00Z GET /柜 200 1',
    '2025-11-29T12:00:00Z get / 200 1',
    ' 2025-11-29T12:00:00Z GET / 200 1',
    '',
  ];
  expect(none.filter((text) => read(text) !== undefined)).toEqual([]);
});

test('summaries that are merged promise what each of them promised', () => {
  const { int, next } = random(SEED);
  const truth = new Map<string, number>();
  const parts = Array.from({ length: 6 }, (_, part) => {
    const top = new TopK(40);
    for (let n = 0; n < 3_000; n++) {
      const key = next() < 0.4 ? `/heavy/${int(0, 4)}` : `/rare/${part}/${int(0, 2_000)}`;
      truth.set(key, (truth.get(key) ?? 0) + 1);
      top.add(key);
    }
    return top;
  });
  const all = new TopK(40, parts[0]?.toJSON());
  for (const part of parts.slice(1)) all.merge(part);
  expect(all.held).toBe(40);
  const wrong = all.top(40).filter(({ key, count, error }) => {
    const times = truth.get(key) ?? 0;
    return times > count || times < count - error;
  });
  expect(wrong).toEqual([]);
  const five = all.top(5).map(({ key }) => key);
  expect(five.sort()).toEqual([0, 1, 2, 3, 4].map((n) => `/heavy/${n}`));
});

test('a summary that was kept has no place that is free again', () => {
  const top = new TopK(2);
  for (const key of ['a', 'b', 'b', 'c', 'c']) top.add(key);
  const more = new TopK(10, top.toJSON());
  more.add('a');
  const { count = 0, error = 0 } = more.top(10).find(({ key }) => key === 'a') ?? {};
  expect([count >= 2, count - error <= 2], `${count} less ${error} of two`).toEqual([true, true]);
  expect(more.held).toBe(2);
});

test('a sketch does not grow with what it has seen, whatever that is', () => {
  const { next } = random(SEED);
  const sketch = new Sketch();
  for (let n = 0; n < 50_000; n++) sketch.add(10 ** (next() * 24 - 12));
  for (const ms of [0, Number.MAX_VALUE, Number.MIN_VALUE]) sketch.add(ms);
  expect(sketch.bins.size).toBeLessThan(1_400);
  expect(sketch.quantile(0)).toBeLessThan(0.0011);
});

test('what no desk, no alarm and no summary can be made of is refused', () => {
  const bad: [string, () => unknown][] = [
    ['windowMs 0', () => desk({ windowMs: 0 })],
    ['windowMs 2 ** 31', () => desk({ windowMs: 2 ** 31 })],
    ['windowMs NaN', () => desk({ windowMs: Number.NaN })],
    ['latenessMs -1', () => desk({ latenessMs: -1 })],
    ['idleMs Infinity', () => desk({ idleMs: Number.POSITIVE_INFINITY })],
    ['topSize 200,000', () => desk({ topSize: 200_000 })],
    ['topSize 1.5', () => desk({ topSize: 1.5 })],
    ['two rules of one name', () => desk({ rules: [RULE, RULE] })],
    ['share 2', () => new Alarm({ ...RULE, share: 2 })],
    ['share NaN', () => new Alarm({ ...RULE, share: Number.NaN })],
    ['clear above share', () => new Alarm({ ...RULE, clear: 0.1 })],
    ['no window', () => new Alarm({ ...RULE, windows: 0 })],
    ['no name', () => new Alarm({ ...RULE, name: '' })],
    ['no place', () => new TopK(0)],
  ];
  for (const [what, make] of bad) expect(make, what).toThrow(InvalidArgumentError);
  expect(desk({ idleMs: 1, windowMs: 2 ** 31 - 1 }).o, 'the widest window that a book can hold').toMatchObject({
    windowMs: 2 ** 31 - 1,
  });
  // @ts-expect-error: code that is less strict hands it in
  expect(new Desk({ windowMs: undefined, rules: undefined }).o).toEqual(new Desk().o);
});
