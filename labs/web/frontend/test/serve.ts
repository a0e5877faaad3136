// Both pages on the order desk, to use by hand until Ctrl-C: `pnpm --filter @labs/frontend run serve`. With LAB_IMPL they stand on
// that implementation: LAB_IMPL=attempt/index.ts.
import { once } from 'node:events';
import { startPostgres } from '@shared/services';
import { buildApp, views } from './build.ts';
import { openDesk } from './desk.ts';
import { Front } from './front.ts';

await using postgres = await startPostgres();
await using desk = await openDesk(postgres.url);
await using front = await Front.open(desk.answer, await buildApp());
for (const view of views) console.log(`${front.url}/${view}`);
await once(process, 'SIGINT');
