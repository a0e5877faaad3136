import { describe, expect, test } from 'vitest';
import { versionOf } from '../src/catalog.ts';
import { serversKey } from '../src/check/turbo.ts';
import { exitCodeOf as suiteExitCode } from '../src/commands/test.ts';
import { CommandError, describeError, exitCodeOf, UsageError } from '../src/errors.ts';
import { type Grading, type Law, readDiagnostics } from '../src/grading.ts';
import { parseHints } from '../src/hints.ts';
import { LawList, summary } from '../src/laws.ts';
import { nearest } from '../src/nearest.ts';
import { parseObjectives } from '../src/objectives.ts';
import { parseScript } from '../src/process.ts';
import { pairs } from '../src/reference-diff.ts';
import { columns, cut, pad } from '../src/text.ts';

describe('the servers that a result was seen on', () => {
  const kafka = { service: 'kafka', origin: 'embedded', version: undefined, installed: false } as const;
  test('are the same after their first use as before it', () => {
    expect(serversKey([{ ...kafka, version: '4.4.0' }])).toBe(serversKey([kafka]));
  });
  test.each([
    ['one is missing now', { origin: undefined }],
    ["it is the user's now", { origin: 'url' }],
    ['the machine has one of its own now', { installed: true, version: '4.0.0' }],
  ] as const)('are others when %s', (_what, now) => {
    expect(serversKey([{ ...kafka, ...now }])).not.toBe(serversKey([kafka]));
  });
  test('are others when the machine has another version', () => {
    const [old, now] = ['7.0.15', '8.0.2'].map((version) => serversKey([{ ...kafka, installed: true, version }]));
    expect(old).not.toBe(now);
  });
});

describe('nearest names', () => {
  const names = ['redlock', 'redis-cluster', 'orm', 'cache-penetration'];
  test.each([
    ['redlok', 'redlock'],
    ['Redlock', 'redlock'],
    ['penetration', 'cache-penetration'],
    ['omr', 'orm'],
  ])('%s means %s', (word, meant) => expect(nearest(word, names)).toBe(meant));
  test('a word that resembles nothing suggests nothing', () => {
    expect(nearest('kubernetes', names)).toBeUndefined();
    expect(nearest('nope', ['copy'])).toBeUndefined();
  });
  test('no candidates, no suggestion', () => expect(nearest('x', [])).toBeUndefined());
});

describe('scripts', () => {
  test("flags for node, the file and the file's own arguments are told apart", () => {
    expect(parseScript('node --import tsx --expose-gc demo.ts --seed "7 8"', 'scripts.demo')).toEqual({
      flags: ['--import', 'tsx', '--expose-gc'],
      file: 'demo.ts',
      args: ['--seed', '7 8'],
    });
  });
  test.each(['tsx demo.ts', 'node', 'NODE_ENV=test node demo.ts', ''])(
    '"%s" is no script that runs without a shell',
    (script) => {
      expect(() => parseScript(script, 'scripts.demo of x')).toThrow(CommandError);
    },
  );
});

describe('hints', () => {
  test('each paragraph, code block and list item is one hint of the law above it', async () => {
    const hints = await parseHints(
      '# Hints\n\nintro\n\n## the `lock` is held\n\nWhy?\nTwo lines.\n\n```lua\nif a then\n\n  b()\nend\n```\n\n- one\n- two\n\n## other\n\nx',
    );
    expect(hints.for('the lock is held')).toEqual([
      'Why?\nTwo lines.',
      '```lua\nif a then\n\n  b()\nend\n```',
      '- one',
      '- two',
    ]);
    expect(hints.for('The lock  is held')).toHaveLength(4);
    expect(hints.for('unknown')).toEqual([]);
    expect(hints.core).toEqual([]);
  });

  test('the core laws come in the order of their headings, each with its place; all others have none', async () => {
    const hints = await parseHints(
      '# Core laws\n\nFor an hour.\n\n## the `key` is mine\n\nWhose?\n\n## it ends\n\n# Hardening laws\n\n## bad input is refused\n\n# Notes\n\n## more\n',
    );
    expect(hints.core).toEqual(['the key is mine', 'it ends']);
    expect(['it ends', 'the key is mine', 'bad input is refused', 'unknown'].map((law) => hints.place(law))).toEqual([
      1,
      0,
      undefined,
      undefined,
    ]);
    expect(hints.for('the key is mine')).toEqual(['Whose?']);
    expect(hints.all.map(({ law, kind, line }) => [law, kind, line])).toEqual([
      ['the key is mine', 'core', 5],
      ['it ends', 'core', 9],
      ['bad input is refused', 'hardening', 13],
      ['more', undefined, 17],
    ]);
  });

  test('a part for core laws without any is no lab without such a part', async () => {
    const tells = async (markdown: string) => (await parseHints(markdown)).tellsCore;
    expect([await tells('# Core laws\n'), await tells('# Hints\n\n## a\n')]).toEqual([true, false]);
  });
});

describe('objectives', () => {
  test('are the list under "After this lab", above the first section, as a terminal shows it', async () => {
    const page =
      '# T\n\nOne line.\n\n- no objective\n\nAfter this lab you can say:\n\n- what _one_ `a * b` and [a link](x.md) do,\n  and why\n- two_three_four\n\n## A\n\nAfter this lab';
    expect(await parseObjectives(page)).toEqual({
      lead: 'After this lab you can say',
      items: ['what one `a * b` and a link do, and why', 'two_three_four'],
    });
  });

  test('may be a paragraph, or nothing', async () => {
    expect(await parseObjectives('# T\n\nAfter this lab you can say what\nand why.\n\n## A\n\n- no\n')).toEqual({
      lead: 'After this lab you can say what and why.',
      items: [],
    });
    expect(await parseObjectives('# T\n\n## A\n\nAfter this lab you can say:\n\n- no\n')).toBeUndefined();
  });
});

describe('diagnostics of the compiler', () => {
  test('keep their place, and the lines that explain them', () => {
    const output = `attempt/index.ts(12,5): error TS2322: Type 'A' is not assignable to type 'B'.
  Property 'x' is missing.
src/a.ts(1,1): error TS1005: ';' expected.
`;
    expect(readDiagnostics(output)).toEqual([
      {
        file: 'attempt/index.ts',
        line: 12,
        column: 5,
        text: "Type 'A' is not assignable to type 'B'.\n  Property 'x' is missing.",
      },
      { file: 'src/a.ts', line: 1, column: 1, text: "';' expected." },
    ]);
  });
});

describe('the pairs of a diff', () => {
  const map = (files: Record<string, string>) => new Map(Object.entries(files));
  test('one file that keeps what the reference spreads is compared with the files that declare it', () => {
    const mine = "import { given } from '../src/breaker.ts';\nexport class Breaker {}\nexport function retry() {}\n";
    const reference = {
      'breaker.ts': 'export class Breaker { }',
      'retry.ts': 'export function retry() { }',
      'given.ts': 'export const given = 1;',
    };
    const [found, ...others] = pairs(map({ 'index.ts': mine }), map(reference));
    expect(others).toEqual([]);
    expect(found?.names).toEqual(['index.ts', 'src/breaker.ts + src/retry.ts']);
  });

  test('files of one name belong together', () => {
    const found = pairs(map({ 'a.ts': '1', 'b.ts': '2' }), map({ 'a.ts': '3', 'b.ts': '4' }));
    expect(found.map(({ names }) => names)).toEqual([
      ['a.ts', 'src/a.ts'],
      ['b.ts', 'src/b.ts'],
    ]);
  });
  test('one attempt is compared with the files behind a barrel that it does not import itself', () => {
    const found = pairs(
      map({ 'index.ts': "import type { Clock } from '../src/clock.ts';" }),
      map({
        'index.ts':
          "/** all */\nexport type { Clock } from './clock.ts';\nexport {\n  Lock,\n} from './lock.ts';\nexport * from './lease.ts';\n",
        'clock.ts': 'clock',
        'lock.ts': 'lock',
        'lease.ts': 'lease',
      }),
    );
    expect(found).toEqual([
      {
        names: ['index.ts', 'src/lock.ts + src/lease.ts'],
        mine: expect.any(String),
        theirs: '// src/lock.ts\nlock\n// src/lease.ts\nlease',
      },
    ]);
  });
});

describe('versions', () => {
  const catalogs = new Map([
    ['default', new Map([['pg', '8.23.1']])],
    ['old', new Map([['pg', '7.0.0']])],
  ]);
  test('come from the catalog that the dependency names', async () => {
    expect(await versionOf('pg', 'catalog:', catalogs, '/nowhere')).toBe('8.23.1');
    expect(await versionOf('pg', 'catalog:old', catalogs, '/nowhere')).toBe('7.0.0');
    expect(await versionOf('pg', '1.2.3', catalogs, '/nowhere')).toBe('1.2.3');
  });
  test('a range counts as what is installed', async () => {
    expect(await versionOf('commander', '^15', catalogs, `${import.meta.dirname}/..`)).toMatch(/^15\./);
  });
  test('a package that the catalog lacks is an error with its remedy', async () => {
    await expect(versionOf('mysql', 'catalog:', catalogs, '/nowhere')).rejects.toThrow('add it to the catalog');
  });
});

describe('text', () => {
  test('a Chinese character takes two columns', () => {
    expect(columns('红锁')).toBe(4);
    expect(pad('红锁', 6)).toBe('红锁  ');
    expect(cut('红锁红锁', 5)).toBe('红锁…');
    expect(cut('lock', 4)).toBe('lock');
    expect(columns(cut('A lock that several machines agree on', 20))).toBeLessThanOrEqual(20);
  });
});

describe('errors', () => {
  test('one that we threw is its sentence; any other says how to see more', () => {
    expect(describeError(new UsageError('no'), {})).toBe('no');
    expect(describeError(new TypeError('x is not a function'), {})).toBe(
      'x is not a function (LABS_DEBUG=1 shows where)',
    );
    expect(describeError(new UsageError('no'), { LABS_DEBUG: '1' })).toContain('small-parts.test.ts');
  });
  test('an error may bring its own exit code', () => {
    expect(exitCodeOf(new UsageError('no'))).toBe(2);
    expect(exitCodeOf(Object.assign(new Error('no redis'), { exitCode: 3 }))).toBe(3);
    expect(exitCodeOf(new Error('x'))).toBe(1);
    expect(exitCodeOf('x')).toBe(1);
  });
});

describe('the exit code of a suite', () => {
  const law = (state: Law['state']): Law => ({ name: 'x', state, ms: 1 });
  const of = (laws: Law[], more: Partial<Grading> = {}) =>
    suiteExitCode({
      scope: 'all',
      core: 0,
      laws,
      problems: [],
      types: [],
      missing: [],
      complete: true,
      ms: 1,
      ...more,
    });
  test('a law that a missing server kept from being judged is 3, unless another is broken', () => {
    expect(of([law('passed')])).toBe(0);
    expect(of([law('passed'), law('skipped')], { missing: ['redis'] })).toBe(3);
    expect(of([law('failed'), law('skipped')], { missing: ['redis'] })).toBe(1);
    expect(of([law('passed')], { problems: ['boom'] })).toBe(1);
  });
});

describe('the list of laws', () => {
  const law = (name: string, core?: number): Law => ({
    name,
    state: 'passed',
    ms: 1,
    ...(core === undefined ? {} : { core }),
  });
  /** What is written after each law, and at the end. */
  const written = (core: number[], laws: Law[]) => {
    const lines: string[] = [];
    const taken = () => lines.splice(0).map((line) => line.replace(/^ {2}✓ /, ''));
    const list = new LawList(core, (line) => lines.push(line));
    const each = laws.map((next) => {
      list.add(next);
      return taken();
    });
    list.end();
    return [...each, taken()];
  };

  test('has the core laws in teaching order, whatever the order in which they are judged, then the others', () => {
    expect(written([0, 1, 2], [law('c', 2), law('x'), law('a', 0), law('b', 1), law('y')])).toEqual([
      [],
      [],
      ['Core laws', 'a'],
      ['b', 'c', 'Hardening laws', 'x'],
      ['y'],
      [],
    ]);
  });

  test('ends with what waited for a law that was never judged', () => {
    expect(written([0, 1], [law('x'), law('b', 1)]).at(-1)).toEqual(['Core laws', 'b', 'Hardening laws', 'x']);
  });

  test('without core laws has each law at once, and no titles', () => {
    expect(written([], [law('x'), law('y')])).toEqual([['x'], ['y'], []]);
  });

  test('is summed up for both kinds', () => {
    const laws = [law('a', 0), { ...law('b', 1), state: 'failed' } as const, law('x')];
    expect(summary({ laws, problems: [], ms: 5 })).toBe(
      '2 core laws: 1 hold, 1 broken · 1 hardening law: 1 hold  5 ms',
    );
    expect(summary({ laws: [law('a', 0)], problems: [], ms: 5 })).toBe('1 core law: 1 hold  5 ms');
    expect(summary({ laws: [law('x')], problems: ['boom'], ms: 5 })).toBe(
      '1 law: 1 hold · the suite could not be run to its end  5 ms',
    );
  });
});
