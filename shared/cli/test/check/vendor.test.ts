import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { renewVendored, vendor } from '../../src/check/vendor.ts';
import { findLabs } from '../../src/labs.ts';
import { at, edited, Repo } from './fixture.ts';

const copy = 'labs/language/shop/src/vendor/counter';

/** The fixture's lab, and another that has copied it, `pnpm lab copy counter labs/language/shop/src/vendor/counter`. */
async function withCopy(): Promise<Repo> {
  const manifest = edited(at('package.json'), '@labs/counter', '@labs/shop')[at('package.json')];
  const repo = await Repo.with({ 'labs/language/shop/package.json': manifest });
  for (const file of ['index.ts', 'counter.ts'])
    await repo.write(`${copy}/${file}`, await repo.read(at(`src/${file}`)));
  return repo;
}

async function renew({ root }: Repo): Promise<readonly string[]> {
  const all = await findLabs(root);
  const shop = all.find(({ name }) => name === 'shop');
  return shop === undefined ? [] : renewVendored(shop, all);
}

test('a copy that is what the other lab has passes, and is left alone', async () => {
  await using repo = await withCopy();
  expect([await repo.findings(vendor), await renew(repo)]).toEqual([[], []]);
});

test('a file that differs, is missing or has no origin is found; renewed, the copy is the other’s again', async () => {
  await using repo = await withCopy();
  await repo.write(`${copy}/counter.ts`, (await repo.read(`${copy}/counter.ts`)).replace('+= 1', '+= 2'));
  await rm(join(repo.root, copy, 'index.ts'));
  await repo.write(`${copy}/deep/old.ts`, 'export {};\n');
  const remedy = '`pnpm fix shop` copies counter again; a change of its own belongs into counter';
  expect(await repo.findings(vendor)).toEqual([
    { where: `${copy}/counter.ts`, what: `differs from ${at('src/counter.ts')}`, remedy },
    { where: `${copy}/deep/old.ts`, what: `is a copy of what is gone: ${at('src/deep/old.ts')}`, remedy },
    { where: `${copy}/index.ts`, what: `is missing; it is a copy of ${at('src/index.ts')}`, remedy },
  ]);
  expect(await renew(repo)).toEqual(['counter']);
  expect(await repo.findings(vendor)).toEqual([]);
});

test('a folder that is no lab’s name is found, and never removed', async () => {
  await using repo = await withCopy();
  await repo.write('labs/language/shop/src/vendor/cuonter/index.ts', 'export {};\n');
  expect(await repo.findings(vendor)).toEqual([
    {
      where: 'labs/language/shop/src/vendor/cuonter',
      what: 'there is no lab "cuonter" that this could be a copy of',
      remedy: expect.stringContaining('name the folder after the lab'),
    },
  ]);
  expect(await renew(repo)).toEqual([]);
  expect(await repo.read('labs/language/shop/src/vendor/cuonter/index.ts')).toBe('export {};\n');
});
