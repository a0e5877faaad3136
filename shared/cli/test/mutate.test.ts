import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cli } from '../src/cli.ts';
import { type Mutant, mutantsOf, mutate } from '../src/mutate/mutants.ts';
import { keyOf, page, shareOf, verdictsOf } from '../src/mutate/page.ts';
import { context, house, laws } from './house.ts';

const changed = (text: string): string[] => mutantsOf('a.ts', text).map((mutant) => mutate(text, mutant));

test('a comparison, a condition, a sign, a constant, a throw and an await are changed, each alone', () => {
  expect(changed('const a = b < 2 && c;')).toEqual([
    'const a = b <= 2 && c;',
    'const a = b < 3 && c;',
    'const a = b < 2 || c;',
  ]);
  expect(changed('i++;')).toEqual(['i--;']);
  expect(changed('if (!(await f(-x))) throw new E();')).toEqual([
    'if ((await f(-x))) throw new E();',
    'if (!(f(-x))) throw new E();',
    'if (!(await f(x))) throw new E();',
    'if (!(await f(-x))) ;',
  ]);
});

test('types and texts are left alone', () => {
  expect(changed("type A = { b: 1 } | true; const t = 'a' + b + `c`; import x from 'y';")).toEqual([]);
});

const mutant: Mutant = {
  file: 'a.ts',
  start: 0,
  end: 1,
  replacement: '',
  line: 7,
  code: 'a || `b` | c',
  change: '|| → &&',
};

test('the verdicts of a page are read as they were written, whatever the code holds', () => {
  const sweep = { name: 'once', day: '2026-11-28', seed: 1, all: 9, tried: 4 };
  const survivors = [{ mutant, verdict: 'equal: b | c is never read' }];
  const text = page({ ...sweep, survivors });
  expect(text).toContain('4 of 9 tried, 3 killed, 1 survived, 1 of these equal in behaviour: 100 %');
  expect(verdictsOf(text).get(keyOf(mutant))).toBe('equal: b | c is never read');
  expect(shareOf({ tried: 4, survivors: [{ mutant, verdict: '' }] })).toBe(0.75);
});

test('survivors are listed, keep their verdicts, and fail the command until they are judged', async () => {
  await using home = await house({
    'src/once.ts': `export function once<T>(fn: () => T): () => T {
  let runs = 0;
  let outcome: { value: T } | { error: unknown } | undefined;
  return () => {
    if (!outcome) {
      runs = runs + 1;
      try { outcome = { value: fn() }; } catch (error) { outcome = { error }; }
    }
    if ('error' in outcome) throw outcome.error;
    return outcome.value;
  };
}
`,
  });
  const dir = join(home.root, 'labs/language/once');
  const call = async () => {
    const called = context(home.root, ['mutate', 'once', '--all']);
    return { code: await cli(called), out: called.text() };
  };
  const first = await call();
  expect(first.code).toBe(1);
  expect(first.out).toContain(laws.atMostOnce);
  const path = join(dir, 'mutants.md');
  const text = await readFile(path, 'utf8');
  const rows = text.split('\n').filter((line) => line.startsWith('| once.ts'));
  // A number that nothing reads: its start, its sign and its step.
  expect(rows).toHaveLength(3);
  await writeFile(path, text.replaceAll(/\| {2}\|$/gm, '| equal: nothing reads it |'));
  const second = await call();
  expect(second.code).toBe(0);
  expect(second.out).toContain('3 equal');
  expect(await readdir(dir)).not.toContain('.mutants');
}, 60_000);

test('where an unchanged copy breaks a law, nothing is counted as killed', async () => {
  await using home = await house({
    'test/once.test.ts': `import { expect, test } from 'vitest';
import { once } from '#lab';
import { once as same } from '../src/once.ts';

test('it is the one of the source', () => expect(once).toBe(same));
`,
  });
  const called = context(home.root, ['mutate', 'once', '--all']);
  expect(await cli(called)).toBe(1);
  expect(called.errors()).toContain('an unchanged copy of src/ breaks "it is the one of the source"');
}, 60_000);
