import { describe, expect, test } from 'vitest';
import { anatomy } from '../../src/check/anatomy.ts';
import { at, edited, findingsWith, laws } from './fixture.ts';

test('a sound lab passes', async () => {
  expect(await findingsWith(anatomy)).toEqual([]);
});

const defects: readonly (readonly [
  name: string,
  changes: Record<string, string | undefined>,
  where: string,
  what: string,
  remedy: string,
])[] = [
  [
    'a missing file',
    { [at('exercise/hints.md')]: undefined },
    at('exercise/hints.md'),
    'is missing',
    'core laws in teaching order',
  ],
  [
    'no pitfall at all',
    Object.fromEntries(
      ['off-by-one', ...[1, 2, 3, 4, 5].map((n) => `stuck-at-${n}`)].map((name) => [
        at(`pitfalls/${name}.ts`),
        undefined,
      ]),
    ),
    at('pitfalls/*.ts'),
    'is missing',
    'known-bad variants',
  ],
  ['a stray file', { [at('notes.txt')]: 'x' }, at('notes.txt'), 'is no part of a lab', 'delete it'],
  ['a missing licence', { LICENSE: undefined }, 'LICENSE', 'is missing', 'add the licence'],
  ['an unreadable manifest', { [at('package.json')]: '{' }, at('package.json'), 'is not JSON', 'mend the manifest'],
  [
    'a lab before it that is none',
    edited(at('package.json'), '"services": []', '"services": [], "after": ["nobody"]'),
    at('package.json'),
    'which is no lab',
    'name labs',
  ],
  [
    'a lab that leads to itself',
    edited(at('package.json'), '"services": []', '"services": [], "after": ["counter"]'),
    at('package.json'),
    'which comes after it',
    'comes first',
  ],
  [
    'a wrong field',
    edited(at('package.json'), '"test": "lab-test"', '"test": "vitest"'),
    at('package.json'),
    '"scripts.test" is "vitest"',
    '"lab-test"',
  ],
  [
    'a missing section',
    edited(at('README.md'), '## The idea', 'The idea'),
    at('README.md'),
    'has no section "## The idea"',
    'the analogy',
  ],
  [
    'a strange section',
    edited(at('README.md'), '## Further reading', '## Links\n## Further reading'),
    at('README.md'),
    '"## Links" is no section',
    'fold it',
  ],
  [
    'sections out of order',
    edited(at('README.md'), '## What goes wrong\n## The idea', '## The idea\n## What goes wrong'),
    at('README.md'),
    'out of order',
    'What goes wrong · The idea',
  ],
  [
    'a title without Chinese',
    edited(at('README.md'), ' 计数器', ''),
    at('README.md'),
    'its title is "Counter"',
    '# English 中文',
  ],
  [
    'a README too long',
    edited(at('README.md'), 'After this lab', `${'x\n'.repeat(220)}After this lab`),
    at('README.md'),
    'and 150 lines are the budget',
    'cut it',
  ],
  [
    'a README unfinished',
    edited(at('README.md'), 'how to count', 'TODO'),
    `${at('README.md')}:5`,
    'still says TODO',
    'write it',
  ],
  [
    'a house import in src',
    edited(at('src/index.ts'), 'export', "import '@shared/story';\nexport"),
    `${at('src/index.ts')}:1`,
    'imports @shared/story',
    'a reader copies it',
  ],
  [
    'another lab in src',
    edited(at('src/index.ts'), 'export', "import '@labs/redlock';\nexport"),
    `${at('src/index.ts')}:1`,
    'imports another lab',
    'copy the few lines',
  ],
  [
    'an import beyond src',
    edited(at('src/index.ts'), 'export', "export * from '../exercise/index.ts';\nexport"),
    `${at('src/index.ts')}:1`,
    'outside src/',
    'copied alone',
  ],
  [
    'an undeclared import',
    edited(at('src/index.ts'), 'export', "await import('pg');\nexport"),
    `${at('src/index.ts')}:1`,
    'imports pg, which is not declared',
    '"pg": "catalog:"',
  ],
  [
    'an undeclared type',
    edited(at('src/index.ts'), 'export', "export type P = import('pg').Pool;\nexport"),
    `${at('src/index.ts')}:1`,
    'imports pg, which is not declared',
    '"pg": "catalog:"',
  ],
  [
    'a Node module without its prefix',
    edited(at('src/index.ts'), 'export', "import 'fs';\nexport"),
    `${at('src/index.ts')}:1`,
    'imports fs',
    'write node:fs',
  ],
  [
    'a dependency that src does not need',
    edited(at('package.json'), '"picocolors"', '"diff": "catalog:",\n    "picocolors"'),
    at('package.json'),
    'declares diff',
    'devDependencies',
  ],
  [
    'a pitfall without a field',
    edited(at('pitfalls/off-by-one.ts'), '// Seen in: https://example.org/1\n', ''),
    `${at('pitfalls/off-by-one.ts')}:1`,
    'no "Seen in:"',
    '// Seen in: …',
  ],
  [
    'a pitfall that names no law',
    edited(at('pitfalls/off-by-one.ts'), 'by one', 'by two'),
    `${at('pitfalls/off-by-one.ts')}:1`,
    'no law is called "a counter counts up by two"',
    'perhaps "a counter counts up by one"',
  ],
  [
    'a hint for no law',
    edited(at('exercise/hints.md'), 'by one', 'by two'),
    `${at('exercise/hints.md')}:3`,
    'is no law of the suite',
    'perhaps "a counter counts up by one"',
  ],
  [
    'a hint for no law among the hardening laws',
    edited(at('exercise/hints.md'), '# Hardening laws\n', '# Hardening laws\n\n## a counter flies\n'),
    `${at('exercise/hints.md')}:41`,
    '"a counter flies" is no law of the suite',
    'the names of the laws',
  ],
  [
    'a law with two headings',
    edited(at('exercise/hints.md'), '# Hardening laws\n', `# Hardening laws\n\n## ${laws[1]}\n`),
    `${at('exercise/hints.md')}:41`,
    'has a second heading',
    'remove one',
  ],
  [
    'a law in neither part',
    edited(at('exercise/hints.md'), '# Hardening laws', `# Other laws\n\n## ${laws[0]}`),
    `${at('exercise/hints.md')}:41`,
    'stands in neither part',
    'put it under "# Core laws" or "# Hardening laws"',
  ],
  [
    'too few core laws',
    edited(at('exercise/hints.md'), `## ${laws[2]}`, `# Hardening laws\n\n## ${laws[2]}`),
    at('exercise/hints.md'),
    'has 2 core laws, and 6 to 12 are wanted',
    'move laws between',
  ],
  [
    'too many core laws',
    {
      ...edited(
        at('exercise/hints.md'),
        '# Hardening laws',
        [...'abcdefg'].map((letter) => `## a counter counts ${letter}\n\nWhy?\n\nHow?\n`).join('\n'),
      ),
      ...edited(at('test/counter.test.ts'), "test('", "test.each([1])('a counter counts %s', () => {});\ntest('"),
    },
    at('exercise/hints.md'),
    'has 13 core laws, and 6 to 12 are wanted',
    'move laws between',
  ],
  [
    'a core law with one step of hint',
    edited(at('exercise/hints.md'), '\n\nLook up: successor.', ''),
    `${at('exercise/hints.md')}:3`,
    `"${laws[0]}" is a core law with 1 steps of hint, and 2 or 3 are wanted`,
    'a question, the term to look up, the shape of the code',
  ],
  [
    'a core law with four steps of hint',
    edited(at('exercise/hints.md'), 'Look up: successor.', '- a\n- b\n- c'),
    `${at('exercise/hints.md')}:3`,
    'with 4 steps of hint',
    'a question, the term to look up, the shape of the code',
  ],
  [
    'a core law that catches no pitfall',
    { [at('pitfalls/stuck-at-3.ts')]: undefined },
    `${at('exercise/hints.md')}:21`,
    `the core law "${laws[3]}" catches no pitfall`,
    'or make it a hardening law',
  ],
  [
    'a README without a list of objectives',
    edited(at('README.md'), '- how to count\n- where a count begins\n- what comes next', 'how to count'),
    at('README.md'),
    'has no list of objectives',
    'a list of 3 to 8',
  ],
  [
    'a README with two objectives',
    edited(at('README.md'), '- how to count\n', ''),
    at('README.md'),
    'has 2 objectives, and 3 to 8 are wanted',
    'a list of 3 to 8',
  ],
  [
    'two laws of one name',
    edited(at('test/counter.test.ts'), "test('", "test.todo('a counter counts up by one');\ntest('"),
    `${at('test/counter.test.ts')}:5`,
    'a second law',
    'a name of its own',
  ],
];

test.each(defects)('%s is found, with its remedy', async (_name, changes, where, what, remedy) => {
  expect(await findingsWith(anatomy, changes)).toContainEqual({
    where,
    what: expect.stringContaining(what),
    remedy: expect.stringContaining(remedy),
  });
});

test('hints that do not tell the core laws, and a README without its list, are found', async () => {
  const changes = {
    ...edited(at('exercise/hints.md'), '# Core laws', '# Hints', '# Hardening laws', ''),
    ...edited(at('README.md'), '- how to count\n- where a count begins\n- what comes next', 'how to count'),
  };
  expect(await findingsWith(anatomy, changes)).toEqual([
    expect.objectContaining({ what: 'has no list of objectives' }),
    expect.objectContaining({ what: 'does not say which laws are core laws' }),
  ]);
});

test('a law with a placeholder matches what is told of its cases', async () => {
  const changes = {
    ...edited(
      at('test/counter.test.ts'),
      "test('a counter counts up by one'",
      "test.each([1])('a counter counts up by %s'",
    ),
  };
  expect(await findingsWith(anatomy, changes)).toEqual([]);
});

const lines = (count: number): string => '//\n'.repeat(count);
const pitfall = `// Flaw: x.\n// Seen in: y\n// Caught by: ${laws[0]}\n`;
const pitfalls = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [at(`pitfalls/more-${n}.ts`), pitfall]));

/** A part that is half as large again as its budget, or a little larger. */
const parts: readonly (readonly [part: string, above: Record<string, string>, beyond: Record<string, string>])[] = [
  ['src', { [at('src/a.ts')]: lines(300), [at('src/b.ts')]: lines(300) }, { [at('src/a.ts')]: lines(900) }],
  ['test', { [at('test/a.ts')]: lines(700) }, { [at('test/a.ts')]: lines(1050) }],
  ['demo.ts', { [at('demo.ts')]: lines(251) }, { [at('demo.ts')]: lines(376) }],
  ['pitfalls', pitfalls(7), pitfalls(13)],
];

describe('budgets', () => {
  test.each(parts)('%s above its budget is a warning, half as much again an error', async (part, above, beyond) => {
    const remedy = expect.stringContaining('"larger": "REASON"');
    const finding = {
      where: at(part),
      what: expect.stringMatching(/^has \d+ \w+, and \d+ \w+ are the budget$/),
      remedy,
    };
    expect(await findingsWith(anatomy, above)).toEqual([{ ...finding, severity: 'warning' }]);
    expect(await findingsWith(anatomy, beyond)).toEqual([finding]);
  });

  test('what a tool makes of a contract counts for no budget', async () => {
    expect(await findingsWith(anatomy, { [at('src/counter_pb.ts')]: lines(2_000) })).toEqual([]);
  });

  test('few pitfalls are a warning', async () => {
    expect(await findingsWith(anatomy, { [at('pitfalls/stuck-at-5.ts')]: undefined })).toContainEqual({
      where: at('pitfalls'),
      what: 'has 5 pitfalls, and 6 to 12 are wanted',
      remedy: 'write each plausible mistake as one',
      severity: 'warning',
    });
  });

  const because = (reason: string) =>
    edited(at('package.json'), '"services": []', `"services": [],\n    "larger": ${JSON.stringify(reason)}`);

  test.each(parts)('a lab that says why it is larger may have a larger %s', async (_part, _above, beyond) => {
    expect(await findingsWith(anatomy, { ...beyond, ...because('two ways to count, side by side') })).toEqual([]);
  });

  test('no reason is no excuse', async () => {
    const [, , beyond] = parts[0] ?? [];
    const findings = await findingsWith(anatomy, { ...beyond, ...because(' ') });
    expect(findings).toEqual([
      {
        where: at('package.json'),
        what: '"lab.larger" is " "',
        remedy: expect.stringContaining('one line that says why'),
      },
      expect.objectContaining({ where: at('src'), what: expect.stringContaining('600 lines are the budget') }),
    ]);
  });
});
