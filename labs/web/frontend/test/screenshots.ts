// Draws the pictures of the README anew: `pnpm --filter @labs/frontend run screenshots`.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startBrowser, startPostgres } from '@shared/services';
import { buildApp } from './build.ts';
import { openDesk } from './desk.ts';
import { Front } from './front.ts';
import { Visit } from './visit.ts';

await using postgres = await startPostgres();
await using desk = await openDesk(postgres.url);
await using front = await Front.open(desk.answer, await buildApp());
await using browser = await startBrowser();
const folder = join(import.meta.dirname, '../screenshots');
await mkdir(folder, { recursive: true });

{
  await using visit = await Visit.begin(browser, front, 'react', { width: 1280, height: 540 });
  await visit.search.fill('dune');
  await visit.status('2 books for').waitFor();
  await visit.choose('Dune');
  await visit.field('Copies').fill('0');
  await visit.button('Send the order').click();
  await visit.page.locator('.wrong').waitFor();
  await visit.page.screenshot({ path: join(folder, 'react-wide-light.png') });
}
{
  await using visit = await Visit.begin(browser, front, 'vue', { width: 390, height: 844, colorScheme: 'dark' });
  await visit.search.fill('dune');
  await visit.status('2 books for').waitFor();
  await visit.choose('Dune Messiah');
  front.fault = ({ method }) => (method === 'POST' ? { cut: 'behind' } : undefined);
  await visit.button('Send the order').click();
  await visit.alert('cannot be reached').waitFor();
  await visit.page.screenshot({ fullPage: true, path: join(folder, 'vue-narrow-dark.png') });
}
