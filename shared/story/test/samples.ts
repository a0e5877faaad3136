/** Events for the tests: one of each kind, told by hand, and arbitrary ones. */
import fc from 'fast-check';
import type { StoryEvent } from '../src/events.ts';

// One run finds what the next one finds: FC_SEED looks elsewhere.
fc.configureGlobal({ seed: Number(process.env['FC_SEED'] ?? 7) });

const told = { scene: 1, at: 12.5 };

export const sample = {
  start: {
    ...told,
    scene: 0,
    type: 'start',
    version: 1,
    title: 'Redlock 红锁',
    subtitle: 'A lock that most of five nodes agree on, and what it does not promise.',
    seed: 4711,
  },
  server: { ...told, type: 'server', banner: 'redis ×5: embedded 7.0.15', inspect: ['redis-cli -p 34521'] },
  scene: { ...told, type: 'scene', title: 'Two workers, one lock, a pause' },
  skip: {
    ...told,
    scene: 2,
    type: 'skip',
    title: 'A node dies',
    reason: 'REDIS_URL is yours: no fault is injected there',
  },
  say: {
    ...told,
    type: 'say',
    text: `
      A lock with a time to live ends **without asking its holder**. A pause longer than \`ttl\` and
      two workers believe that they hold it.

      - the first one is paused by its garbage collector
      - 第二个工人此时拿到了锁，而第一个工人醒来之后并不知道自己的锁已经过期，于是两个人同时写入同一行数据
    `,
  },
  code: {
    ...told,
    type: 'code',
    file: 'src/redlock.ts',
    from: 98,
    lines: [
      '  // one vote a node; most of them must agree in time',
      "  const reply = await node.set(key, token, 'PX', ttl, 'NX');",
      '  const waits = `a template that goes on and on until it is far wider than the eighty columns of a usual terminal`;',
      '\treturn votes >= 3 ? token : null;',
    ],
  },
  table: {
    ...told,
    type: 'table',
    caption: 'Entries that overlapped',
    columns: [
      { label: 'strategy', align: 'left' },
      { label: 'entries', align: 'right' },
      { label: 'overlaps', align: 'right' },
      { label: 'what happened', align: 'left' },
    ],
    rows: [
      [
        'SET NX without token',
        1000,
        37,
        'an expired holder deletes the key of its successor, who then shares the lock with a third',
      ],
      ['红锁 redlock', 1000, 0, '–'],
      ['not measured', null, 0.12345, ''],
    ],
  },
  bars: {
    ...told,
    type: 'bars',
    title: 'Seats sold of 100',
    unit: 'seats',
    items: [
      { label: 'no lock', value: 132, tone: 'bad', note: '32 too many' },
      { label: 'one node 单节点', value: 104, tone: 'warn' },
      { label: 'redlock', value: 100, tone: 'good' },
      { label: 'closed', value: 0 },
      { label: 'never run', value: null, tone: 'muted' },
    ],
  },
  lines: {
    ...told,
    type: 'lines',
    title: 'Latency while a node is slow',
    x: { label: 'time', unit: 's' },
    y: { label: 'p99', unit: 'ms' },
    series: [
      {
        label: 'wait for all',
        tone: 'bad',
        points: Array.from({ length: 30 }, (_, i) => [i, i < 10 ? 4 : 180 - i] as const),
      },
      {
        label: 'wait for most',
        tone: 'good',
        points: Array.from({ length: 30 }, (_, i) => [i, i === 17 ? null : 5 + (i % 3)] as const),
      },
    ],
    moments: [{ at: 10, label: 'node 3 slows down', tone: 'warn' }],
  },
  timeline: {
    ...told,
    type: 'timeline',
    title: 'Who held the lock when',
    unit: 'ms',
    picture: true,
    lanes: [
      {
        label: 'worker A',
        spans: [
          { from: 0, to: 300, label: 'holds', tone: 'good' },
          { from: 300, to: 305, label: 'a stretch too short for its name, by far', tone: 'warn' },
          { from: 305, to: 460, label: 'believes it holds', tone: 'bad' },
        ],
        marks: [
          { at: 300, label: 'TTL ended', tone: 'warn' },
          { at: 310, label: 'paused' },
          { at: 460, label: 'wakes up and writes', tone: 'bad' },
        ],
      },
      {
        label: '工人 B',
        spans: [{ from: 320, to: 620, label: '持有锁', tone: 'good' }],
        marks: [{ at: 320, label: 'acquired' }],
      },
      { label: 'checker', marks: [{ at: 460, label: 'two writers', tone: 'bad' }] },
    ],
    bands: [{ from: 320, to: 460, label: 'two holders' }],
  },
  progress: { ...told, type: 'progress', label: 'buying seats', done: 42, total: 100, finished: false },
  holds: { ...told, type: 'verdict', claim: 'no two entries overlap', measured: '0 of 1,000', holds: true },
  fails: {
    ...told,
    type: 'verdict',
    claim:
      'a paused holder does **not** write over its successor, however long the pause of its garbage collector lasts',
    measured: '3 of 20 runs',
    holds: false,
  },
  error: {
    ...told,
    type: 'error',
    name: 'ServerDiedError',
    message: 'redis 3 died with code 1:\n  # Fatal error, can not open config file',
    frames: ['takeLock (labs/distributed/redlock/src/redlock.ts:42:11)', 'demo.ts:12:3'],
  },
  end: {
    type: 'end',
    scene: 0,
    at: 2431.6,
    seed: 4711,
    held: 3,
    verdicts: 4,
    skipped: 1,
    exitCode: 1,
    outcome: 'told',
    next: ['`pnpm lab learn redlock` to build it yourself'],
  },
} as const satisfies Record<string, StoryEvent>;

export const samples: readonly StoryEvent[] = Object.values(sample);

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 60 }),
  fc.lorem({ maxCount: 12 }),
  fc.constantFrom(
    '',
    ' ',
    '锁'.repeat(50),
    'e\u0301'.repeat(40),
    '👩‍👩‍👧‍👦 family',
    '\u001b[31mred\u001b[0m',
    'a\tb\r\nc',
    '`code` **bold**',
    'x'.repeat(300),
  ),
);
const value = fc
  .oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.integer({ min: -1000, max: 1000 }),
    fc.constantFrom(0, 1, -1, 1e308, -1e308, 5e-324, 1e15),
  )
  .map((v) => v + 0);
const amount = fc.oneof(value, fc.constant(null));
const tone = fc.constantFrom('good', 'bad', 'warn', 'muted', 'accent');
const place = { scene: fc.nat({ max: 99 }), at: fc.nat() };

/** A record whose optional keys may be absent, but never undefined: as after JSON. */
function record<T, K extends keyof T>(model: { [P in keyof T]: fc.Arbitrary<T[P]> }, requiredKeys: K[]) {
  return fc.record(model, { requiredKeys });
}

const span = record({ from: value, to: value, label: text, tone }, ['from', 'to']);
const mark = record({ at: value, label: text, tone }, ['at', 'label']);
const axis = record({ label: text, unit: text, min: value, max: value, scale: fc.constantFrom('linear', 'log') }, [
  'label',
]);

const bars = record(
  {
    ...place,
    type: fc.constant('bars'),
    title: text,
    unit: text,
    items: fc.array(record({ label: text, value: amount, note: text, tone }, ['label', 'value']), { maxLength: 6 }),
  },
  ['scene', 'at', 'type', 'title', 'items'],
);

const lines = record(
  {
    ...place,
    type: fc.constant('lines'),
    title: text,
    x: axis,
    y: axis,
    series: fc.array(
      record({ label: text, points: fc.array(fc.tuple(amount, amount), { maxLength: 12 }), tone }, ['label', 'points']),
      { maxLength: 4 },
    ),
    moments: fc.array(mark, { maxLength: 3 }),
  },
  ['scene', 'at', 'type', 'title', 'x', 'y', 'series'],
);

const timelines = record(
  {
    ...place,
    type: fc.constant('timeline'),
    title: text,
    unit: text,
    lanes: fc.array(
      record({ label: text, spans: fc.array(span, { maxLength: 6 }), marks: fc.array(mark, { maxLength: 6 }) }, [
        'label',
      ]),
      { maxLength: 4 },
    ),
    bands: fc.array(span, { maxLength: 2 }),
  },
  ['scene', 'at', 'type', 'title', 'lanes'],
);

export const charts = fc.oneof(bars, lines, timelines);

const tables = fc.integer({ min: 0, max: 20 }).chain((columns) =>
  record(
    {
      ...place,
      type: fc.constant('table'),
      caption: text,
      columns: fc.array(fc.record({ label: text, align: fc.constantFrom('left', 'right') }), {
        minLength: columns,
        maxLength: columns,
      }),
      rows: fc.array(fc.array(fc.oneof(text, amount), { minLength: columns, maxLength: columns }), { maxLength: 4 }),
    },
    ['scene', 'at', 'type', 'columns', 'rows'],
  ),
);

const words = fc.oneof(
  fc.record({ ...place, type: fc.constant('scene'), title: text }),
  fc.record({ ...place, type: fc.constant('skip'), title: text, reason: text }),
  fc.record({ ...place, type: fc.constant('say'), text }),
  fc.record({ ...place, type: fc.constant('server'), banner: text, inspect: fc.array(text, { maxLength: 2 }) }),
  fc.record({
    ...place,
    type: fc.constant('code'),
    file: text,
    from: fc.nat(),
    lines: fc.array(text, { maxLength: 5 }),
  }),
  fc.record({ ...place, type: fc.constant('verdict'), claim: text, measured: text, holds: fc.boolean() }),
  fc.record({
    ...place,
    type: fc.constant('error'),
    name: text,
    message: text,
    frames: fc.array(text, { maxLength: 3 }),
  }),
  fc.record({
    ...place,
    type: fc.constant('end'),
    seed: fc.nat(),
    held: fc.nat(),
    verdicts: fc.nat(),
    skipped: fc.nat(),
    exitCode: fc.nat({ max: 255 }),
    outcome: fc.constantFrom('told', 'failed', 'interrupted'),
    next: fc.array(text, { maxLength: 3 }),
  }),
);

export const events: fc.Arbitrary<StoryEvent> = fc.oneof(charts, tables, words);
export const widths = fc.integer({ min: 40, max: 200 });
export { text };
