// Two people have one form open for an hour, and both send it. `pnpm lab optimistic-lock form`
import { once } from 'node:events';
import { createServer } from 'node:http';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { etagOf, ifMatch, readVersioned, updateVersioned, VersionError } from '#lab';
import { openWall } from '../test/wall.ts';

const options = {
  title: 'The slip on the wire: ETag and If-Match',
  subtitle: 'No lock lasts for the hour in which somebody fills in a form; a version does',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 4 }), (it) => it.end());
  pool.on('error', () => {});
  const { table, fresh } = await openWall(pool);
  const id = await fresh();

  const server = createServer((request, response) => {
    const answer = async () => {
      if (request.method === 'GET') return readVersioned(pool, table, id);
      return updateVersioned(pool, table, id, ifMatch(request.headers['if-match']), { state: 'taken' });
    };
    answer().then(
      ({ version }) => response.writeHead(200, { etag: etagOf(version) }).end(),
      (error: unknown) => {
        const status = error instanceof VersionError && 'status' in error ? Number(error.status) : 500;
        response.writeHead(status).end();
      },
    );
  }).listen(0, '127.0.0.1');
  bin.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`;
  const get = async () => (await fetch(url)).headers.get('etag') ?? '';
  const put = async (tag?: string) =>
    (await fetch(url, { method: 'PUT', headers: tag === undefined ? {} : { 'if-match': tag } })).status;

  await story.scene('Two forms, one locker', async () => {
    story.say('GET hands the version out as the ETag, PUT has to bring it back. On a real HTTP server:');
    story.code('form.ts', { from: 'return updateVersioned' });
    const first = await get();
    const rows: [string, number, number][] = [];
    const sent = async (what: string, due: number, tag?: string) => rows.push([what, await put(tag), due]);
    await sent(`the app: ${first}`, 200, first);
    await sent(`the desk, which read before: ${first}`, 412, first);
    await sent('a script, without If-Match', 428);
    await sent(`through a proxy that compresses: W/${await get()}`, 412, `W/${await get()}`);
    await sent(`one of several: "x", ${await get()}`, 200, `"x", ${await get()}`);
    await sent('whatever is there: *', 200, '*');
    story.table({ columns: ['PUT with If-Match', 'answer'], rows: rows.map(([what, status]) => [what, status]) });
    story.verdict(
      'No slip is 428; an old one, or a weak one, 412; one of the two gets in',
      `${rows.filter(([, status, due]) => status === due).length} of ${rows.length} as RFC 9110 and RFC 6585 say`,
      rows.every(([, status, due]) => status === due),
    );
    story.say('The list of tags goes into the WHERE of the UPDATE: compared before it, two could pass at once.');
  });
});
