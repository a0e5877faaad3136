import { relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { outwardImports } from './layers.ts';

const lab = resolve(import.meta.dirname, '..');
const implementation = resolve(lab, process.env['LAB_IMPL'] ?? 'src/index.ts');

test('the domain imports nothing outward: no driver, no framework, no other layer', async () => {
  const { files, violations } = await outwardImports(implementation);
  const said = violations.map(({ from, layer, to }) => `${relative(lab, from)} is ${layer} and imports ${to}`);
  expect(said, `${files} files read`).toEqual([]);
});

test('the reader of imports sees what it must: types, re-exports, imports at run time, other layers', async () => {
  const outward: Record<string, string> = {
    'a type': "import type { Pool } from 'pg';",
    'a package': "import 'pg';",
    'a builtin': "import { readFile } from 'node:fs';",
    'a re-export': "export { x } from '../infrastructure/x.ts';",
    'all of it': "export * from '../application/x.ts';",
    'at run time': "const pg = await import('pg');",
    'through the barrel': "import { x } from '../index.ts';",
  };
  for (const [name, text] of Object.entries(outward)) {
    const read = async (path: string) => (path.endsWith('domain/order.ts') ? text : '');
    const { violations } = await outwardImports('/src/domain/order.ts', read);
    expect(violations.length, name).toBe(1);
  }
  const inward = "import { Money } from './money.ts';";
  const read = async (path: string) => (path.endsWith('order.ts') ? inward : '');
  expect((await outwardImports('/src/domain/order.ts', read)).violations).toEqual([]);
});
