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

const defects: readonly (readonly [name: string, changes: Record<string, string>, what: string])[] = [
  ['a missing export', edited(stub, 'export function pair', 'function pair'), 'does not export pair'],
  ['an extra export', edited(stub, 'export function', 'export const spare = 1;\nexport function'), 'exports spare'],
  ['another return type', edited(stub, 'next(): number', 'next(): string'), 'Counter of the exercise does not fit'],
  [
    'a narrower parameter',
    edited(stub, 'constructor(options: Options)', "constructor(options: Options<'a'>)"),
    'Counter of src/ does not fit',
  ],
  [
    'a generic that forgot a parameter',
    edited(stub, 'readonly [A, B]', 'readonly [A, string]'),
    'pair of the exercise does not fit',
  ],
  [
    'an interface that forgot its parameter',
    edited(stub, 'Options<T = string> {\n  readonly label: T', 'Options {\n  readonly label: string'),
    'Options has 0 type parameters in the exercise and 1 in src/',
  ],
  [
    'an optional member left out',
    edited(stub, '  readonly from?: number;\n', ''),
    'is not the same in the exercise and in src/',
  ],
  ['a stub that does not parse', { [stub]: 'export {' }, 'does not export'],
];

test.each(defects)('%s is found, with its remedy', async (_name, changes, what) => {
  const findings = await findingsWith(exercise, changes);
  expect(findings.map((finding) => finding.what)).toContainEqual(expect.stringContaining(what));
  for (const { where, remedy } of findings) {
    expect(where).toBe(stub);
    expect(remedy).not.toBe('');
  }
});
