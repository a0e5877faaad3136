import { until } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import type { Grading, Law, Scope } from '../src/grading.ts';
import { Hints } from '../src/hints.ts';
import { LearnSession, type SessionPorts } from '../src/learn/session.ts';

const passed = (name: string): Law => ({ name, state: 'passed', ms: 1 });
const failed = (name: string, error = 'expected 1 to be 0'): Law => ({ name, state: 'failed', ms: 1, error });
/** The law at a place of the learner's path. */
const core = (place: number, law: Law): Law => ({ ...law, core: place });
const grading = (laws: Law[], more: Partial<Grading> = {}): Grading => ({
  scope: 'all',
  core: 0,
  laws,
  problems: [],
  types: [],
  missing: [],
  complete: true,
  ms: 12,
  ...more,
});

const red = grading([passed('one holds'), failed('two holds'), failed('three holds')]);
const green = grading([passed('one holds'), passed('two holds'), passed('three holds')]);

const diff = async () => [{ title: 'attempt → src', added: 1, removed: 0, text: '+the secret' }];
const pitfall = (name: string, flaw: string) => ({ name, file: `pitfalls/${name}.ts`, flaw, seenIn: '', caughtBy: '' });

/** A session whose world is the test's: results, changes and keys come when the test says. */
function session(results: (Grading | Promise<Grading> | Error)[], ports: Partial<SessionPorts> = {}) {
  const pages: string[] = [];
  const recorded: Grading[] = [];
  const signals: AbortSignal[] = [];
  const scopes: Scope[] = [];
  let changed = () => {};
  let press = (_key: string) => {};
  let closed = 0;
  const close = {
    [Symbol.dispose]() {
      closed += 1;
    },
  };
  const stop = new AbortController();
  const made = new LearnSession({
    title: 'Once',
    notice: '',
    folder: 'labs/once',
    width: 80,
    known: 0,
    scope: 'core',
    env: {},
    async grade(scope, signal) {
      scopes.push(scope);
      signals.push(signal);
      const result = results[signals.length - 1] ?? results.at(-1) ?? red;
      if (result instanceof Error) throw result;
      const aborted = new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
      return Promise.race([result, aborted]);
    },
    async watch(listener) {
      changed = listener;
      return close;
    },
    keys(listener) {
      press = listener;
      return close;
    },
    hints: async () =>
      new Hints([{ law: 'two holds', kind: 'hardening', steps: ['why?', 'look up X', 'the shape'], line: 3 }]),
    diff,
    lessons: async (scope) => ({
      objectives: { lead: 'After this lab you can say', items: ['why once is enough'] },
      diffs: await diff(),
      avoided: [pitfall('bad', 'what it breaks')],
      ahead: scope === 'core' ? [pitfall('worse', 'what it would break')] : [],
    }),
    record: async (each) => {
      recorded.push(each);
    },
    show: (page) => pages.push(page),
    status: () => {},
    ...ports,
  });
  const ended = made.start(stop.signal);
  const page = (text: string) =>
    until(() => (pages.at(-1)?.includes(text) ? pages.at(-1) : undefined), { what: `a page with "${text}"` });
  return {
    ended,
    page,
    pages,
    recorded,
    signals,
    scopes,
    stop,
    press: (key: string) => press(key),
    change: () => changed(),
    closed: () => closed,
  };
}

test('only the first red law is shown, with its evidence and its place', async () => {
  const { page, press, ended } = session([red]);
  const text = await page('two holds');
  expect(text).toContain('✗ 2/3  two holds\n  expected 1 to be 0');
  expect(text).not.toContain('three holds');
  expect(text).toContain('1 of 3 laws hold');
  expect(text).toContain('h hint · r rerun · d diff to the reference · q quit');
  press('q');
  expect(await ended).toBe(0);
});

test('a notice stands on the first page only', async () => {
  const { page, press, ended, pages } = session([red], { notice: 'the exercise is yours' });
  await page('the exercise is yours');
  press('h');
  await page('why?');
  expect(pages.at(-1)).not.toContain('the exercise is yours');
  press('q');
  await ended;
});

test('each h shows one more paragraph of the hint, and says when there is none left', async () => {
  const { page, press, ended, pages } = session([red]);
  await page('two holds');
  press('h');
  expect(await page('h for the next hint (2 left)')).not.toContain('look up X');
  press('h');
  press('h');
  await page('the shape');
  press('h');
  await page('that was the last hint');
  expect(pages.at(-1)).toContain('why?');
  press('q');
  await ended;
});

test('hints stay in view while their law stays red, and go with it', async () => {
  const other = grading([failed('one holds'), failed('two holds')]);
  const { page, press, change, ended, pages } = session([red, red, other]);
  await page('two holds');
  press('h');
  await page('why?');
  const before = pages.length;
  change();
  await until(() => pages.length > before, { what: 'the next page' });
  expect(pages.at(-1)).toContain('why?');
  change();
  expect(await page('one holds')).not.toContain('why?');
  press('q');
  await ended;
});

test('a law without a hint says so', async () => {
  const { page, press, ended } = session([grading([failed('nobody knows')])]);
  await page('nobody knows');
  press('h');
  await page('no hint is written for this law');
  press('q');
  await ended;
});

test('before green the diff needs a second d; any other key takes it back', async () => {
  const { page, press, ended, pages } = session([red]);
  await page('two holds');
  press('d');
  expect(await page('gives the solution away')).not.toContain('the secret');
  press('x');
  await until(() => !pages.at(-1)?.includes('gives the solution away'), { what: 'the question to go' });
  press('d');
  press('d');
  await page('+the secret');
  press('q');
  await ended;
});

test('after green come the diff and a line for each pitfall', async () => {
  const { page, press, ended, recorded } = session([green]);
  const text = await page('every law holds');
  expect(text).toContain('✓ 3/3');
  expect(text).toContain('+the secret');
  expect(text).toContain('Now you can say:\n  • why once is enough');
  expect(text).toContain('bad  what it breaks');
  expect(text).not.toContain('h hint');
  expect(text).not.toContain('a all');
  expect(recorded).toEqual([green]);
  press('q');
  await ended;
});

test('a change ends the run in flight, and only the newest code is judged', async () => {
  const never = new Promise<Grading>(() => {});
  const { page, press, change, ended, signals, recorded } = session([never, never, green]);
  await until(() => signals.length === 1, { what: 'the first run' });
  change();
  await until(() => signals.length === 2, { what: 'the second run' });
  change();
  await page('every law holds');
  expect(signals.map((signal) => signal.aborted)).toEqual([true, true, false]);
  expect(recorded).toEqual([green]);
  press('q');
  await ended;
});

test('r runs again without a change', async () => {
  const { page, press, ended, signals } = session([red, green]);
  await page('two holds');
  press('r');
  await page('every law holds');
  expect(signals).toHaveLength(2);
  press('q');
  await ended;
});

test.each(['q', '\u0003', '\u0004'])('leaving by %j ends a run in flight and gives the terminal back', async (key) => {
  const { press, ended, signals, closed } = session([new Promise<Grading>(() => {})]);
  await until(() => signals.length === 1, { what: 'the run' });
  press(key);
  expect(await ended).toBe(0);
  expect(signals[0]?.aborted).toBe(true);
  expect(closed()).toBe(2);
});

test('a signal to leave does the same as q', async () => {
  const { stop, ended, signals, closed } = session([new Promise<Grading>(() => {})]);
  await until(() => signals.length === 1, { what: 'the run' });
  stop.abort();
  expect(await ended).toBe(0);
  expect(closed()).toBe(2);
});

test('a run that fails for a reason of its own is shown, and the next one goes on', async () => {
  const { page, press, change, ended } = session([new Error('vitest is not installed'), red]);
  await page('vitest is not installed');
  change();
  await page('two holds');
  press('q');
  await ended;
});

test('type errors come first, with a place to click, at most three of them', async () => {
  const types = [1, 2, 3, 4].map((line) => ({ file: 'attempt/index.ts', line, column: 5, text: `wrong ${line}` }));
  const { page, press, ended } = session([{ ...red, types }]);
  const text = await page('two holds');
  expect(text.indexOf('labs/once/attempt/index.ts:1:5')).toBeLessThan(text.indexOf('two holds'));
  expect(text).toContain('and 1 type error more');
  expect(text).not.toContain('wrong 4');
  press('q');
  await ended;
});

test('types that are wrong keep a suite from being green', async () => {
  const types = [{ file: 'attempt/index.ts', line: 1, column: 1, text: 'wrong' }];
  const { page, press, ended } = session([{ ...green, types }]);
  const text = await page('the types are what is left');
  expect(text).not.toContain('what it breaks');
  press('q');
  await ended;
});

test('code that does not load is shown as the problem that it is, once', async () => {
  const types = [{ file: 'attempt/index.ts', line: 5, column: 44, text: 'Expression expected.' }];
  const problems = ['test/once.test.ts: Transform failed\n attempt/index.ts:5:44', 'outside any test: boom'];
  const { page, press, ended } = session([grading([], { types, problems })]);
  const text = await page('boom');
  expect(text).toContain('labs/once/attempt/index.ts:5:44');
  expect(text).not.toContain('Transform failed');
  press('q');
  await ended;
});

test('a run that a hang cut short still counts all laws', async () => {
  const hang = grading([failed('one holds', 'hangs')], { complete: false });
  const { page, press, ended } = session([hang], { known: 11 });
  await page('✗ 1/11  one holds');
  press('q');
  await ended;
});

test('laws that a missing server kept from being judged are not green', async () => {
  const skipped = grading([{ name: 'one holds', state: 'skipped', ms: 0 }], { missing: ['redis: no server at hand'] });
  const { page, press, ended } = session([skipped]);
  expect(await page('no server at hand')).not.toContain('every law holds');
  press('q');
  await ended;
});

test('without a keyboard no keys are offered', async () => {
  const { page, stop, ended } = session([red], { keys: undefined });
  expect(await page('two holds')).not.toContain('quit');
  stop.abort();
  await ended;
});

/** Two core laws and two hardening laws, of which these fail. */
const walked = (scope: Scope, ...red: string[]): Grading => {
  const law = (name: string) => (red.includes(name) ? failed(name) : passed(name));
  const path = [core(0, law('it begins')), core(1, law('it goes on'))];
  return grading([...path, ...(scope === 'all' ? [law('it lasts'), law('it refuses')] : [])], { scope, core: 2 });
};

describe('the path', () => {
  test('leads through the core laws alone, and counts them', async () => {
    const { page, press, ended, scopes } = session([walked('core', 'it goes on')]);
    const text = await page('it goes on');
    expect(text).toContain('✗ 2/2  it goes on');
    expect(text).toContain('1 of 2 core laws hold');
    expect(text).not.toContain('hardening');
    expect(scopes).toEqual(['core']);
    press('q');
    await ended;
  });

  test('after the last core law says what has been understood, and offers the hardening laws', async () => {
    const { page, press, ended } = session([walked('core')]);
    const text = await page('✓ 2/2  every core law holds');
    const blocks = [
      'Now you can say:\n  • why once is enough',
      '+the secret',
      'What you steered clear of:\n  bad  what it breaks',
      'What the hardening laws would still catch:\n  worse  what it would break',
      'a all: on to the hardening laws',
    ];
    const places = blocks.map((block) => text.indexOf(block));
    expect(places).toEqual(places.filter((place) => place >= 0).toSorted((one, other) => one - other));
    press('q');
    await ended;
  });

  test('goes on with the hardening laws at a, until every law holds', async () => {
    const { page, press, change, ended, scopes } = session([
      walked('core'),
      walked('all', 'it refuses'),
      walked('all'),
    ]);
    await page('every core law holds');
    press('a');
    const text = await page('✗ hardening 2/2  it refuses');
    expect(text).toContain('2 of 2 core laws, 1 of 2 hardening laws hold');
    expect(text).not.toContain('a all');
    change();
    expect(await page('✓ 4/4  every law holds: 2 core, 2 hardening')).not.toContain('would still catch');
    expect(scopes).toEqual(['core', 'all', 'all']);
    press('q');
    await ended;
  });

  test('a does nothing before the core laws hold', async () => {
    const { page, press, ended, scopes } = session([walked('core', 'it begins')]);
    await page('it begins');
    press('a');
    press('h');
    await page('no hint is written');
    expect(scopes).toEqual(['core']);
    press('q');
    await ended;
  });

  test('with all laws from the start, the core laws still come first', async () => {
    const { page, press, ended, scopes } = session([walked('all', 'it goes on', 'it lasts')], { scope: 'all' });
    expect(await page('✗ 2/2  it goes on')).not.toContain('it lasts');
    expect(scopes).toEqual(['all']);
    press('q');
    await ended;
  });

  test('a core law that breaks again is shown first, as one that held', async () => {
    const runs = [walked('core', 'it goes on'), walked('core', 'it begins'), walked('core', 'it goes on')];
    const { page, press, change, ended } = session(runs);
    expect(await page('it goes on')).not.toContain('red again');
    change();
    expect(await page('✗ 1/2  it begins')).toContain('↩ red again: it held before');
    change();
    expect(await page('✗ 2/2  it goes on')).not.toContain('red again');
    press('q');
    await ended;
  });

  test('a core law that breaks among the hardening laws is shown first, too', async () => {
    const runs = [walked('core'), walked('all', 'it lasts'), walked('all', 'it begins', 'it lasts')];
    const { page, press, change, ended } = session(runs);
    await page('every core law holds');
    press('a');
    expect(await page('✗ hardening 1/2  it lasts')).not.toContain('red again');
    change();
    expect(await page('✗ 1/2  it begins')).toContain('red again');
    press('q');
    await ended;
  });

  test('a law that held by chance before its turn came is not called red again', async () => {
    const runs = [walked('core', 'it begins'), walked('core', 'it goes on')];
    const { page, press, change, ended } = session(runs);
    await page('it begins');
    change();
    expect(await page('✗ 2/2  it goes on')).not.toContain('red again');
    press('q');
    await ended;
  });

  test('the diff gives nothing away once the core laws hold', async () => {
    const { page, press, ended } = session([walked('all', 'it lasts')], { scope: 'all' });
    await page('it lasts');
    press('d');
    expect(await page('+the secret')).not.toContain('gives the solution away');
    press('q');
    await ended;
  });

  test('types that are wrong keep the core from being green', async () => {
    const types = [{ file: 'attempt/index.ts', line: 1, column: 1, text: 'wrong' }];
    const { page, press, ended } = session([{ ...walked('core'), types }]);
    expect(await page('every core law holds; the types are what is left')).not.toContain('a all');
    press('q');
    await ended;
  });

  test('a hang among the core laws still counts all of them', async () => {
    const hang = grading([core(3, failed('it ends', 'hangs'))], { scope: 'core', core: 9, complete: false });
    const { page, press, ended } = session([hang]);
    expect(await page('✗ 4/9  it ends')).toContain('0 of 9 core laws hold');
    press('q');
    await ended;
  });
});
