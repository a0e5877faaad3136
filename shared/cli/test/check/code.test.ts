import { expect, test } from 'vitest';
import { biome } from '../../src/check/biome.ts';
import { drift } from '../../src/check/drift.ts';
import { knip } from '../../src/check/knip.ts';
import { types } from '../../src/check/types.ts';
import { at, edited, findingsWith } from './fixture.ts';

test.each([types, biome, knip, drift])('sound code passes: $name', async (gate) => {
  expect(await findingsWith(gate)).toEqual([]);
});

test('a type error is found at its line', async () => {
  const changes = edited(at('src/counter.ts'), 'return this.#count;', "return 'one';");
  expect(await findingsWith(types, changes)).toEqual([
    {
      where: `${at('src/counter.ts')}:23`,
      what: expect.stringContaining("'string' is not assignable"),
      remedy: expect.stringContaining('types'),
    },
  ]);
});

test('what the compiler has against a learner’s attempt is no finding', async () => {
  const changes = { [at('attempt/index.ts')]: "export const count: number = 'one';\n" };
  expect(await findingsWith(types, changes)).toEqual([]);
});

test('a type test that does not hold is a type error', async () => {
  const text =
    "import { expectTypeOf } from 'vitest';\nimport { pair } from '#lab';\n\nexpectTypeOf(pair(1, 'a')).toEqualTypeOf<string>();\n";
  const findings = await findingsWith(types, { [at('test/types.test-d.ts')]: text });
  expect(findings.map(({ where }) => where)).toEqual([`${at('test/types.test-d.ts')}:4`]);
});

test('a broken tsconfig is found', async () => {
  const findings = await findingsWith(types, { [at('tsconfig.json')]: '{ "extends": "../gone.json" }\n' });
  expect(findings).not.toEqual([]);
});

test('a file that is not formatted, and one with a known mistake, are found', async () => {
  const changes = {
    ...edited(at('src/index.ts'), '{ Counter', '{Counter'),
    [at('bench.ts')]: 'export const x: any = 1;\n',
  };
  expect(await findingsWith(biome, changes)).toEqual([
    {
      where: `${at('bench.ts')}:1`,
      what: expect.stringContaining('noExplicitAny'),
      remedy: expect.stringContaining('explain noExplicitAny'),
    },
    { where: at('src/index.ts'), what: expect.stringContaining('format'), remedy: 'run `pnpm fix`' },
  ]);
});

test('a dead file and a dead export are found', async () => {
  const changes = {
    [at('src/dead.ts')]: 'export const dead = 1;\n',
    ...edited(at('src/counter.ts'), 'export class', 'export const spare = 1;\n\nexport class'),
  };
  const findings = await findingsWith(knip, changes);
  expect(findings).toContainEqual({
    where: at('src/dead.ts'),
    what: 'nothing uses this file',
    remedy: 'use it or delete it',
  });
  expect(findings).toContainEqual({
    where: expect.stringContaining(at('src/counter.ts')),
    what: 'spare is exported and nothing imports it',
    remedy: 'drop the `export`, or the code',
  });
});

/** A second lab, whose src/ has this helper; the first one gets `first`. */
function helpers(first: string, second: string): Record<string, string> {
  const other = 'labs/language/other';
  return {
    ...edited(at('src/counter.ts'), 'export class', `${first}\n\nexport class`),
    [`${other}/package.json`]: `{ "name": "@labs/other", "description": "x", "lab": { "stage": "language", "title": "O 其", "services": [] }, "scripts": { "demo": "node demo.ts" } }\n`,
    [`${other}/src/index.ts`]: `${second}\n`,
  };
}
const retry = 'async function retry(times: number) {\n  for (let i = 0; i < times; i += 1) await attempt(i);\n}';

test('equal copies of a helper pass, also with another comment or layout', async () => {
  expect(await findingsWith(drift, helpers(retry, `// copied\n${retry.replaceAll('\n', '\n  ')}`))).toEqual([]);
});

test('copies that drifted apart fail', async () => {
  expect(await findingsWith(drift, helpers(retry, retry.replace('i < times', 'i <= times')))).toEqual([
    {
      where: 'labs/language/other/src/index.ts:1',
      what: expect.stringMatching(/^retry is \d+ % the same as in labs\/language\/counter\/src\/counter.ts:12/),
      remedy: expect.stringContaining('make the copies equal'),
    },
  ]);
});

test('helpers that share only a name pass', async () => {
  expect(await findingsWith(drift, helpers(retry, 'const retry = () => 1;'))).toEqual([]);
});
