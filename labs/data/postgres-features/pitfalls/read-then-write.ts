// Flaw: the card is read, changed in the application and written whole: what others wrote meanwhile is lost.
// Seen in: https://github.com/garrytan/gbrain/pull/2074
// Caught by: clerks who write different fields of one card at once all find theirs there
import { type Json, Cards as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Cards extends Reference {
  override async set(id: string, path: readonly string[], value: Json): Promise<void> {
    const card = structuredClone(await this.get(id));
    let place: object = card ?? {};
    for (const key of path.slice(0, -1)) place = Object(Reflect.get(place, key));
    Reflect.set(place, path.at(-1) ?? '', value);
    await this.pool.query(`UPDATE ${this.table} SET card = $2 WHERE id = $1`, [id, JSON.stringify(card)]);
  }
}
