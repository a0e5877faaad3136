import { relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { Address, customerId, Dish, Money, Order, Size, Spiciness } from '#lab';
import { outwardImports } from './layers.ts';

const lab = resolve(import.meta.dirname, '..');
const implementation = resolve(lab, process.env['LAB_IMPL'] ?? 'src/index.ts');

const outward: Record<string, string> = {
  'a type': "import type { Pool } from 'pg';",
  'a package': "import 'pg';",
  'a builtin': "import { readFile } from 'node:fs';",
  'a re-export': "export { x } from '../infrastructure/x.ts';",
  'all of it': "export * from '../application/x.ts';",
  'at run time': "const pg = await import('pg');",
  'through the barrel': "import { x } from '../index.ts';",
};
/** What is found in a domain that has one file, with this text. */
const found = async (text: string) =>
  (await outwardImports('/src/domain/order.ts', async (path) => (path.endsWith('order.ts') ? text : ''))).violations;

test('the domain imports nothing outward: no driver, no framework, no other layer', async () => {
  for (const [name, text] of Object.entries(outward)) expect(await found(text), `sees ${name}`).toHaveLength(1);
  expect(await found("import { Money } from './money.ts';")).toEqual([]);
  const { files, violations } = await outwardImports(implementation);
  const said = violations.map(({ from, layer, to }) => `${relative(lab, from)} is ${layer} and imports ${to}`);
  expect(said, `${files} files read`).toEqual([]);
  const order = Order.draft(customerId(), new Address('Beijing', 'Chaoyang 1'), 'CNY');
  order.add(new Dish('rice', Size.Small, Spiciness.None), Money.of(300, 'CNY'), 1);
  order.place();
  expect(order.status, 'and it decides on its own').toBe('placed');
});
