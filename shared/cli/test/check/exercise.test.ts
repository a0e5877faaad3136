import { expect, test } from 'vitest';
import { exercise } from '../../src/check/exercise.ts';
import { at, edited, findingsWith } from './fixture.ts';

const stub = at('exercise/index.ts');

test('a stub with the types of src passes, whatever its private members', async () => {
  expect(await findingsWith(exercise)).toEqual([]);
});

test('a stub that passes on what src gives passes', async () => {
  expect(await findingsWith(exercise, { [stub]: "export * from '../src/index.ts';\n" })).toEqual([]);
});

// Each check runs the compiler twice, so several defects share one.
const defects: readonly {
  readonly name: string;
  readonly changes: Record<string, string>;
  readonly what: readonly string[];
}[] = [
  {
    name: 'a missing and an extra export',
    changes: edited(stub, 'export function pair', 'export const spare = 1;\nfunction pair'),
    what: ['does not export pair', 'exports spare'],
  },
  {
    name: 'another return type and a generic that forgot a parameter',
    changes: edited(stub, 'next(): number', 'next(): string', 'readonly [A, B]', 'readonly [A, string]'),
    what: ['Counter of the exercise does not fit', 'pair of the exercise does not fit'],
  },
  {
    name: 'a narrower parameter and an optional member left out',
    changes: edited(
      stub,
      'constructor(options: Options)',
      "constructor(options: Options<'a'>)",
      '  readonly from?: number;\n',
      '',
    ),
    what: ['Counter is not the same', 'Options is not the same'],
  },
  {
    name: 'an interface that forgot its parameter',
    changes: edited(stub, 'Options<T = string> {\n  readonly label: T', 'Options {\n  readonly label: string'),
    what: ['Options has 0 type parameters in the exercise and 1 in src/'],
  },
  { name: 'a stub that does not parse', changes: { [stub]: 'export {' }, what: ['does not export'] },
];

test.each(defects)('$name: found, with the remedy', async ({ changes, what }) => {
  const findings = await findingsWith(exercise, changes);
  for (const each of what)
    expect(findings.map((finding) => finding.what)).toContainEqual(expect.stringContaining(each));
  for (const { where, remedy } of findings) {
    expect(where).toBe(stub);
    expect(remedy).not.toBe('');
  }
});
