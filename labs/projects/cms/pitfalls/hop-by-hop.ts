// Flaw: keeps a redirect for each move, from the old address to the next: a chain, and a circle when a text moves back.
// Seen in: https://github.com/nystudio107/craft-retour/issues/347, https://github.com/wazum/sluggi/issues/81
// Caught by: an address that was moved leads to where the text is now in one step, back again too, and a reused one is the new text’s
export * from '../src/index.ts';

import { type Found, ContentStore as Sound } from '../src/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

export class ContentStore extends Sound {
  override async find(slug: string): Promise<Found | undefined> {
    const { rows } = await this.run('find', async (tx) => {
      await tx.query('CREATE TABLE IF NOT EXISTS cms_redirects (old text PRIMARY KEY, next text NOT NULL)');
      return tx.query<{ next: string }>('SELECT next FROM cms_redirects WHERE old = $1', [slug]);
    });
    const [redirect] = rows;
    return redirect === undefined ? super.find(slug) : { moved: redirect.next };
  }

  protected override async move(tx: Db, id: string, slug: string): Promise<void> {
    await tx.query('CREATE TABLE IF NOT EXISTS cms_redirects (old text PRIMARY KEY, next text NOT NULL)');
    await tx.query(
      `INSERT INTO cms_redirects SELECT slug, $2 FROM cms_slugs WHERE article = $1 AND current
        ON CONFLICT (old) DO UPDATE SET next = excluded.next`,
      [id, slug],
    );
    await super.move(tx, id, slug);
  }
}
