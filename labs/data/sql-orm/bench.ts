import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { sql } from 'kysely';
import { DataSource, EntitySchema, type Logger } from 'typeorm';
import { model, openPostgres, Session } from './src/index.ts';

// One table, 1,000 objects: all inserted, then all read, changed and written back, with a version that is compared
// where the library can. What "raw" does by hand is what the lab's session sends.

interface ItemRow {
  id: string;
  version: number;
  name: string;
  cents: bigint;
  placed_at: Date;
}
class Item extends model<ItemRow>()({
  table: 'item',
  key: 'id',
  version: 'version',
  columns: { id: 'string', version: 'number', name: 'string', cents: 'bigint', placed_at: 'instant' },
}) {}
const MikroItem = defineEntity({
  name: 'Item',
  tableName: 'item',
  properties: {
    id: p.string().primary(),
    version: p.integer().version(),
    name: p.string(),
    cents: p.bigint(),
    placed_at: p.datetime(),
  },
});
const TypeItems = new EntitySchema<Omit<ItemRow, 'cents'> & { cents: string }>({
  name: 'item',
  columns: {
    id: { type: 'text', primary: true },
    version: { type: 'int', version: true },
    name: { type: 'text' },
    cents: { type: 'bigint' },
    placed_at: { type: 'timestamptz' },
  },
});

const COUNT = 1_000;
const placed_at = new Date('2026-03-29T12:00:00Z');
const rows = Array.from({ length: COUNT }, (_, n) => ({ id: `i${n}`, name: `Item ${n}`, cents: BigInt(n), placed_at }));

await tell({ title: 'A flush of 1,000 objects', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  let sent = 0;
  const logger: Logger = {
    logQuery: () => void sent++,
    logQueryError: () => {},
    logQuerySlow: () => {},
    logSchemaBuild: () => {},
    logMigration: () => {},
    log: () => {},
  };
  const db = openPostgres<{ item: ItemRow }>({ connectionString: pg.url, max: 2 }, { log: () => void sent++ });
  bin.defer(() => db.destroy());
  await sql`CREATE TABLE item (id text PRIMARY KEY, version int NOT NULL DEFAULT 1, name text NOT NULL,
    cents int8 NOT NULL, placed_at timestamptz(3) NOT NULL)`.execute(db);
  const mikro = bin.adopt(
    await MikroORM.init({
      entities: [MikroItem],
      clientUrl: pg.url,
      pool: { max: 2 },
      debug: ['query'],
      logger: () => void sent++,
    }),
    (it) => it.close(),
  );
  const typeorm = bin.adopt(
    await new DataSource({
      type: 'postgres',
      url: pg.url,
      entities: [TypeItems],
      poolSize: 2,
      logger,
      logging: ['query'],
    }).initialize(),
    (it) => it.destroy(),
  );
  const empty = () => sql`TRUNCATE item`.execute(db);

  const race = async (title: string, contestants: Record<string, () => Promise<unknown>>) => {
    await story.scene(title, async () => {
      const statements = new Map<string, number>();
      for (const [name, work] of Object.entries(contestants)) {
        sent = 0;
        await work();
        statements.set(name, sent);
      }
      const standings = await contest(contestants, { rounds: 5, turnMs: 700 });
      story.table(standingsTable(standings));
      story.table({
        columns: ['', { label: 'statements', align: 'right' }],
        rows: [...statements].map(([name, count]) => [name, count]),
      });
      const [lab, ...others] = standings;
      if (!lab) throw new Error('the lab runs too');
      for (const other of others) {
        const least = other.name === 'raw batch' ? 0.4 : 1;
        const times = ratio(lab, other);
        story.verdict(`at least ${least} × as many as ${other.name}`, `${times.toFixed(2)} ×`, times >= least);
      }
    });
  };

  await race(`Insert ${COUNT}, and have them as the database has them`, {
    lab: async () => {
      await empty();
      await using unit = new Session(db);
      for (const row of rows) unit.add(new Item(row));
      await unit.commit();
    },
    'raw batch': async () => {
      await empty();
      await db.transaction().execute((trx) =>
        trx
          .insertInto('item')
          .values(rows.map((row) => ({ ...row, version: 1 })))
          .returningAll()
          .execute(),
      );
    },
    MikroORM: async () => {
      await empty();
      const em = mikro.em.fork();
      for (const row of rows) em.create(MikroItem, row);
      await em.flush();
    },
    TypeORM: async () => {
      await empty();
      await typeorm.getRepository(TypeItems).save(
        rows.map((row) => ({ ...row, cents: String(row.cents) })),
        { reload: true },
      );
    },
  });

  let round = 0;
  const next = () => BigInt(++round);
  await empty();
  await db
    .insertInto('item')
    .values(rows.map((row) => ({ ...row, version: 1 })))
    .execute();
  await race(`Read ${COUNT}, change one column of each, and write them back`, {
    lab: async () => {
      const cents = next();
      await using unit = new Session(db);
      for (const item of await unit.find(Item, (items) => items)) item.cents = cents;
      await unit.commit();
    },
    'raw batch': async () => {
      const cents = next();
      await db.transaction().execute(async (trx) => {
        const items = await trx.selectFrom('item').selectAll().execute();
        const changed = JSON.stringify(items.map(({ id, version }) => ({ id, version, cents: String(cents) })));
        await sql`UPDATE item AS t SET cents = v.cents, version = t.version + 1
          FROM json_populate_recordset(NULL::item, ${changed}::json) AS v
          WHERE t.id = v.id AND t.version = v.version RETURNING t.*`.execute(trx);
      });
    },
    MikroORM: async () => {
      const cents = next();
      const em = mikro.em.fork();
      for (const item of await em.findAll(MikroItem)) item.cents = cents;
      await em.flush();
    },
    TypeORM: async () => {
      const cents = String(next());
      const items = await typeorm.getRepository(TypeItems).find();
      for (const item of items) item.cents = cents;
      await typeorm.getRepository(TypeItems).save(items);
    },
  });
});
