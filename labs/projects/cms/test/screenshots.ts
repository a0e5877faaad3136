// Draws the pictures of the README anew: `pnpm --filter @labs/cms run screenshots`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startOpenSearch, startPostgres } from '@shared/services';
import { until } from '@shared/testkit';
import * as lab from '../src/index.ts';
import { logIn, openHouse } from './desk.ts';

await using postgres = await startPostgres();
await using search = await startOpenSearch();
await using browser = await startBrowser();
await using house = await openHouse(lab, postgres, search);
const { store, url } = house;
const MO: lab.User = { name: 'mo', role: 'author' };
const LI: lab.User = { name: 'li', role: 'editor' };
const texts = [
  ['Six kettles compared', 'All of them boil. Two of them are quiet about it.', 'kettles'],
  ['What a kettle costs in a year', 'Half of the water is boiled for nobody.', 'kettle-cost'],
  ['Descaling a kettle with lemons', 'One lemon, one hour, no smell.', 'descaling'],
  ['Teapots that pour', 'Six pots, one tablecloth, and what was left of it.', 'teapots'],
] as const;
const body = `<p>We boiled a litre in each of them, forty times.</p><h2>How we measured</h2><p>A thermometer, a scale and a
microphone. <strong>The quietest</strong> is not the dearest.</p><blockquote>A kettle that whistles is a kettle that is heard.</blockquote>`;
let last: lab.Article | undefined;
for (const [title, teaser, slug] of texts) {
  const { id } = await store.create(MO, { title, teaser, slug, body });
  await store.act(id, 1, 'submit', MO);
  last = await store.act(id, 2, 'publish', LI);
}
const draft = await store.create(MO, { title: 'Toasters, at last', teaser: 'Both sides.', body: '<p>We toasted.</p>' });
await until(async () => (await (await fetch(`${url}/search?q=kettle`)).text()).includes('4 found'), {
  timeoutMs: 20_000,
});
const folder = join(import.meta.dirname, '../screenshots');
await mkdir(folder, { recursive: true });
const shots = [
  ['wide-light', 900, 760, 'light', '/a/kettles'],
  ['narrow-dark', 390, 760, 'dark', '/search?q=kettle'],
] as const;
for (const [name, width, height, colorScheme, path] of shots) {
  const page = await browser.page({ width, height, colorScheme });
  await page.goto(`${url}${path}`);
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await page.close();
}
const page = await browser.page({ width: 900, height: 1_100, colorScheme: 'light' });
await logIn(page, url, 'mo');
await page.getByRole('button', { name: 'Toasters, at last' }).click();
await page.getByLabel('Text, in HTML').fill('<p>We toasted, on both sides.</p>');
await store.edit(draft.id, 1, { body: '<p>We toasted 200 slices.</p>' }, LI);
await page.getByRole('button', { name: 'Save' }).click();
await page.getByText('Changed meanwhile: body').waitFor();
await page.screenshot({ path: join(folder, 'desk.png'), fullPage: true });
await page.close();
const narrow = await browser.page({ width: 390, height: 900, colorScheme: 'dark' });
await logIn(narrow, url, 'li');
await narrow.getByRole('button', { name: 'Six kettles compared' }).click();
await narrow.getByRole('button', { name: 'Unpublish' }).waitFor();
await narrow.screenshot({ path: join(process.env['SHOTS'] ?? folder, 'desk-narrow.png'), fullPage: true });
await narrow.close();
if (last === undefined) throw new RangeError('there are texts');
