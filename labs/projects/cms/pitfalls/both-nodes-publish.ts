// Flaw: reads what is due, and then publishes it: two nodes read the same.
// Seen in: https://github.com/freeCodeCamp/publish/issues/234
// Caught by: what is due is published once, whichever of two nodes looks, by the clock of the database
export * from '../src/index.ts';

import { type Article, ContentStore as Sound } from '../src/index.ts';

export class ContentStore extends Sound {
  override publishDue(limit = 100): Promise<readonly Article[]> {
    return this.run('publish what is due', async (tx) => {
      const { rows } = await tx.query<{ id: string }>(
        "SELECT id FROM cms_articles WHERE state = 'scheduled' AND publish_at <= clock_timestamp() LIMIT $1",
        [limit],
      );
      const published: Article[] = [];
      for (const { id } of rows) {
        await tx.query("UPDATE cms_articles SET state = 'published', revision = revision + 1 WHERE id = $1", [id]);
        published.push(await this.written(tx, id, 'cron'));
      }
      return published;
    });
  }
}
