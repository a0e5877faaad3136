import { expect, test } from 'vitest';
import { anatomy } from '../../src/check/anatomy.ts';
import { at, edited, findingsWith } from './fixture.ts';

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
    'a heading for each law',
  ],
  [
    'no pitfall at all',
    { [at('pitfalls/off-by-one.ts')]: undefined },
    at('pitfalls/*.ts'),
    'is missing',
    'known-bad variants',
  ],
  ['a stray file', { [at('notes.txt')]: 'x' }, at('notes.txt'), 'is no part of a lab', 'delete it'],
  ['a missing licence', { LICENSE: undefined }, 'LICENSE', 'is missing', 'add the licence'],
  ['an unreadable manifest', { [at('package.json')]: '{' }, at('package.json'), 'is not JSON', 'mend the manifest'],
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
    edited(at('README.md'), 'After this lab', `${'x\n'.repeat(150)}After this lab`),
    at('README.md'),
    '150 are the limit',
    'cut it',
  ],
  [
    'a README unfinished',
    edited(at('README.md'), 'you can count', 'TODO'),
    `${at('README.md')}:3`,
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
    at('exercise/hints.md'),
    'is no law of the suite',
    'perhaps "a counter counts up by one"',
  ],
  [
    'a law without a hint',
    edited(at('exercise/hints.md'), '## ', ''),
    at('exercise/hints.md'),
    'has no hint for "a counter counts up by one"',
    'add the heading',
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
