// Publishes texts as fast as it can, 50 at a time, and tells the index: in a second step, or by the outbox.
// Arguments: database, OpenSearch, index, "second step" or "outbox", how many, and how many of them are in print when it is
// killed (-9), before the index is told.
import { randomUUID } from 'node:crypto';
import { Pool } from 'pg';
import type { Article } from '../src/article.ts';
import { ContentStore } from '../src/content.ts';
import { documentOf, Relay } from '../src/relay.ts';
import { SearchIndex } from '../src/search.ts';
import { runTransaction } from '../src/vendor/optimistic-lock/index.ts';

const [database = '', url = '', name = '', how = '', count = '0', stop = 'Infinity'] = process.argv.slice(2);
const pool = new Pool({ connectionString: database });
const index = new SearchIndex({ url, index: name, timeoutMs: 60_000 });
const relay = new Relay({ store: new ContentStore(pool), put: (documents) => index.put(documents) });
process.stdin.on('close', () => process.exit()).resume();
const { rows } = await pool.query<{ n: number }>('SELECT count(*)::integer AS n FROM cms_articles');
for (let first = rows[0]?.n ?? 0; first < Number(count); first += 50) {
  const ids = Array.from({ length: 50 }, () => randomUUID());
  await runTransaction(pool, async (tx) => {
    await tx.query(
      `INSERT INTO cms_articles (id, author, title, body, state, publish_at)
        SELECT id, 'mo', 'Kettle', '<p>It boils.</p>', 'published', clock_timestamp() FROM unnest($1::uuid[]) AS id`,
      [ids],
    );
    await tx.query('INSERT INTO cms_slugs SELECT id::text, id, true FROM unnest($1::uuid[]) AS id', [ids]);
    if (how !== 'outbox') return;
    await tx.query("INSERT INTO cms_outbox (article, trace) SELECT id, '{}' FROM unnest($1::uuid[]) AS id", [ids]);
  });
  if (first + ids.length >= Number(stop)) process.kill(process.pid, 'SIGKILL');
  const text = { title: 'Kettle', teaser: '', body: 'It boils.', state: 'published', revision: 1 } as const;
  const texts = ids.map((id): Article => ({ ...text, id, slug: id, author: 'mo', publishAt: undefined }));
  if (how === 'outbox') await relay.round();
  else await index.put(texts.map(documentOf));
}
process.exit();
