import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DuplicateLabError, findLabs, LabManifestError } from '../src/labs.ts';
import { house, manifest } from './house.ts';

test('a lab is found with all that its manifest says of it', async () => {
  await using home = await house();
  const [lab] = await findLabs(home.root);
  expect(lab).toMatchObject({
    name: 'once',
    dir: join(home.root, 'labs/language/once'),
    stage: 'language',
    title: 'Once 仅一次',
    services: [],
    demo: 'node demo.ts',
  });
});

test('a folder without a manifest is no lab: a branch switch leaves such folders behind', async () => {
  await using home = await house();
  await mkdir(join(home.root, 'labs/web/gone/attempt'), { recursive: true });
  expect((await findLabs(home.root)).map(({ name }) => name)).toEqual(['once']);
});

test('a repository without labs has an empty list', async () => {
  await using home = await house();
  expect(await findLabs(join(home.root, 'node_modules'))).toEqual([]);
});

test.each([
  ['is not JSON', '{'],
  ['"name" must be "@labs/broken"', manifest('other', 'web')],
  ['"lab.stage" must be "web"', manifest('broken', 'data')],
  [
    '"lab.services" must be a list',
    manifest('broken', 'web', { lab: { stage: 'web', title: 'A 一', services: 'redis' } }),
  ],
  ['"lab.title" must be a title', manifest('broken', 'web', { lab: { stage: 'web', services: [] } })],
  ['"scripts.demo" must be the command', manifest('broken', 'web', { scripts: {} })],
  ['"description" must be one line', manifest('broken', 'web', { description: ' ' })],
])('a broken manifest is named with its remedy: %s', async (sentence, text) => {
  await using home = await house({ 'labs/web/broken/package.json': text });
  await expect(findLabs(home.root)).rejects.toThrow(LabManifestError);
  const problems: string[] = [];
  const labs = await findLabs(home.root, (problem) => problems.push(problem.message));
  expect(labs.map(({ name }) => name)).toEqual(['once']);
  expect(problems).toEqual([expect.stringContaining(`labs/web/broken/package.json: `)]);
  expect(problems[0]).toContain(sentence);
});

test('two labs of one name are an error that names both folders', async () => {
  await using home = await house({ 'labs/web/once/package.json': manifest('once', 'web') });
  await expect(findLabs(home.root)).rejects.toThrow(DuplicateLabError);
  await expect(findLabs(home.root)).rejects.toThrow('labs/language/once and labs/web/once');
});
