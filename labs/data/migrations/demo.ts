import { setTimeout as delay } from 'node:timers/promises';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import { createMigrator as allAtOnce } from './pitfalls/contract-with-the-rest.ts';
import { createMigrator as takesItForGood } from './pitfalls/invalid-index-kept.ts';
import { createMigrator as waitsForEver } from './pitfalls/no-lock-timeout.ts';
import { batchUpdate, createMigrator, IrreversibleError, type Migration, VerificationError } from './src/index.ts';
import { killedAfter } from './test/killed.ts';
import { expand, fill, index, journey, seed, split } from './test/parcels.ts';

const ms = (value: number) => `${value.toFixed(0)} ms`;
const PARCELS = 100_000;
/** A clerk who waits longer than that looks up. */
const LONG_MS = 100;
const backup = async () => {};
const caught = (run: Promise<unknown>) => run.catch((error: unknown) => error);

const options = {
  title: 'Migrations 数据库迁移',
  subtitle: 'The parcel office: one address becomes street and city, in 100,000 rows, while the clerks write',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  let offices = 0;
  /** An office of its own: a schema with parcels, and connections to it. */
  const open = async (rows: number) => {
    const schema = `demo_${++offices}`;
    const connect = (max: number) => {
      const pool = new Pool({ connectionString: pg.url, options: `-c search_path=${schema}`, max });
      pool.on('error', () => {});
      return bin.adopt(pool, (it) => it.end());
    };
    const db = connect(4);
    await db.query(`CREATE SCHEMA ${schema}`);
    await seed(db, rows);
    await db.query('VACUUM ANALYZE parcels');
    const one = async (query: string) => Object.values((await db.query(query)).rows[0] ?? {})[0];
    return { schema, db, one, clerks: connect(4), rows };
  };
  type Office = Awaited<ReturnType<typeof open>>;

  /** Four clerks write at random while `body` runs, and note how long each write took, and who was refused. */
  const whileClerksWrite = async (
    { clerks, rows }: Office,
    body: (settled: () => Promise<unknown>) => Promise<unknown>,
    code: () => 'old' | 'new' = () => 'old',
  ) => {
    const waits: { at: number; ms: number }[] = [];
    const refused: string[] = [];
    const pending = new Set<Promise<unknown>>();
    const start = performance.now();
    let over = false;
    const clerk = async () => {
      while (!over) {
        const id = 1 + Math.floor(story.random() * rows);
        const set = code() === 'old' ? "address = 'Bund 1, Shanghai'" : "street = 'Bund 2', city = 'Shanghai'";
        const asked = performance.now();
        const write = clerks.query(`UPDATE parcels SET ${set} WHERE id = $1`, [id]);
        pending.add(write);
        await write.catch((error: Error) => void refused.push(error.message));
        pending.delete(write);
        waits.push({ at: asked - start, ms: performance.now() - asked });
        await delay(3);
      }
    };
    const writing = Promise.all(Array.from({ length: 4 }, clerk));
    try {
      await delay(30);
      await body(() => Promise.allSettled(pending));
    } finally {
      over = true;
      await writing;
    }
    const long = waits.filter((wait) => wait.ms > LONG_MS).length;
    return { waits, refused, long, longest: Math.max(...waits.map((wait) => wait.ms)) };
  };
  const said = ({ long, longest, waits }: { long: number; longest: number; waits: readonly unknown[] }) =>
    `${long} of ${waits.length} writes waited more than ${LONG_MS} ms, the longest ${ms(longest)}`;

  await story.scene('One UPDATE for everything', async () => {
    story.say(
      `${PARCELS} parcels, four clerks. \`UPDATE parcels SET street = …, city = …\` is one transaction: it locks each row that it has written until the last one is. Who wants such a row waits for all the others. The same work in batches of 1,000, each with its own COMMIT:`,
    );
    const [whole, batches] = [await open(PARCELS), await open(PARCELS)];
    const { street, city } = split(1).transform;
    const columns = 'ALTER TABLE parcels ADD street text, ADD city text';
    await Promise.all([whole.db.query(columns), batches.db.query(columns)]);
    const one = await whileClerksWrite(whole, () =>
      whole.db.query(`UPDATE parcels SET street = ${street}, city = ${city}`),
    );
    const many = await whileClerksWrite(batches, () => batchUpdate({ ...split(1_000), db: batches.db, name: 'split' }));
    const points = ({ waits }: typeof one) =>
      waits.map(({ at, ms }): [number, number] => [Math.round(at), ms]).toSorted(([a], [b]) => a - b);
    story.lines({
      title: 'How long a clerk waits for his write, by when he asked',
      x: { label: 'ms' },
      y: { label: 'ms' },
      series: [
        { label: 'one UPDATE', points: points(one), tone: 'bad' },
        { label: 'batches of 1,000', points: points(many), tone: 'good' },
      ],
      picture: true,
    });
    story.verdict('One UPDATE keeps clerks waiting until its end', said(one), one.long > 0);
    story.code('src/batch-update.ts', { from: '// Along the key', to: '[goal, ...keys],' });
    story.verdict('A batch keeps them for as long as a batch takes', said(many), many.longest < one.longest / 2);
  });

  await story.scene('A change that takes a millisecond, and the queue behind it', async () => {
    story.say(
      'A report has read the parcels and is still at it, for 0.7 s. `ALTER TABLE … ADD COLUMN` has to wait for the report; and everybody who comes after the ALTER waits behind it.',
    );
    const wait = async (create: typeof createMigrator) => {
      const office = await open(1_000);
      const migrator = create({ db: office.db, migrations: [expand], lockTimeoutMs: 30 });
      const run = await whileClerksWrite(office, async () => {
        const report = await office.db.connect();
        await report.query('BEGIN; SELECT count(*) FROM parcels');
        const change = migrator.up();
        change.catch(() => {});
        await delay(700);
        await report.query('COMMIT');
        report.release();
        await change;
      });
      return { ...run, there: (await office.db.query('SELECT street FROM parcels LIMIT 1')).rowCount === 1 };
    };
    const [patient, polite] = [await wait(waitsForEver), await wait(createMigrator)];
    story.verdict('Without a time limit the clerks queue behind the change', said(patient), patient.long > 0);
    story.code('src/session.ts', { from: 'if (!gaveWay(error)) throw error;', to: 'await pause(' });
    story.verdict(
      'With `lock_timeout` it gives way after 30 ms, lets them by, and tries again until it has its lock',
      `${said(polite)}; the column is ${polite.there ? 'there' : 'missing'}`,
      polite.longest < patient.longest / 2 && polite.there,
    );
  });

  await story.scene('Expand, backfill, kill -9, contract: and nobody was refused', async () => {
    const early = await open(2_000);
    const broken = await whileClerksWrite(early, async () => {
      await allAtOnce({ db: early.db, migrations: journey(1_000), backup }).up({ to: '03 index' });
      await delay(50);
    });
    story.verdict(
      'All of it with the first release: the old column goes while old code writes it',
      `${broken.refused.length} of ${broken.waits.length} writes refused: ${broken.refused[0]}`,
      broken.refused.length > 0,
    );
    const office = await open(PARCELS);
    const migrator = createMigrator({ db: office.db, migrations: journey(1_000), backup });
    const told: string[][] = [];
    let code: 'old' | 'new' = 'old';
    let [first, reached] = [0, 0];
    const sum = (address: string) => `sum(abs(hashtext(id || ' ' || ${address})::bigint))`;
    let sums: unknown[] = [];
    const run = await whileClerksWrite(
      office,
      async (settled) => {
        told.push(['expand', `${await migrator.up({ to: '01 expand' })}`, 'new columns, and a trigger writes both']);
        const task = { url: pg.url, schema: office.schema, size: 1_000, lab: '../src/index.ts' };
        reached = await killedAfter(30_000, task);
        told.push(['backfill', 'killed (SIGKILL)', `after ${reached} rows`]);
        await migrator.up({ to: '03 index', onProgress: ({ rows }) => (first ||= rows) });
        told.push(['backfill', 'run again', `its first batch ends with row ${first}`]);
        const [{ counterexamples } = { counterexamples: [0] }] = await migrator.verify();
        told.push(['verify', `${counterexamples.length} rows wrong`, 'clerks write meanwhile']);
        const both = `SELECT ${sum('address')} AS old, ${sum("street || ', ' || city")} AS new FROM parcels`;
        sums = Object.values((await office.db.query(both)).rows[0]);
        code = 'new';
        await settled();
        await delay(60);
        told.push(['contract', `${await migrator.up()}`, 'after a backup: trigger and old column go']);
      },
      () => code,
    );
    story.table({ columns: ['', 'what', ''], rows: told });
    story.verdict(
      'The killed backfill goes on where it was',
      `killed at ${reached}, next batch to ${first}`,
      first > reached && first <= reached + 2_000,
    );
    const refused = `${run.refused.length} of ${run.waits.length} writes`;
    story.verdict('No clerk was refused', refused, run.refused.length === 0);
    story.verdict('The checksums of old and new are equal, at one moment', sums.join(' and '), sums[0] === sums[1]);
    const back = await caught(migrator.down());
    story.verdict('What can not be undone says so', String(back), back instanceof IrreversibleError);
  });

  await story.scene('A mistake, found while there is a way back', async () => {
    const office = await open(20_000);
    const sum = () => office.one('SELECT md5(string_agg(p::text, chr(10) ORDER BY id)) FROM parcels AS p');
    const before = await sum();
    const wrong: Migration = {
      name: 'cities in capitals',
      up: ['UPDATE parcels SET address = upper(address)'],
      down: [],
      verify: "SELECT id, address FROM parcels WHERE address NOT LIKE '%, Shanghai'",
    };
    const found = await caught(createMigrator({ db: office.db, migrations: [wrong] }).up());
    const undone = before === (await sum());
    story.verdict(
      'A verification asks for rows that are wrong, before the COMMIT',
      `${found instanceof VerificationError ? JSON.stringify(found.counterexamples[0]) : found}; rolled back, checksums ${undone ? 'equal' : 'differ'}`,
      found instanceof VerificationError && undone,
    );
    await createMigrator({ db: office.db, migrations: [{ ...expand, up: expand.up.slice(0, 1) }] }).up();
    const swapped = { ...split(5_000), transform: { street: 'address', city: "''" } };
    let touched = 0;
    const onProgress = ({ rows }: { rows: number }) => (touched = rows);
    const small = await caught(batchUpdate({ ...swapped, db: office.db, name: 'split', onProgress }));
    story.verdict(
      'A batch is checked too, and the first one is small',
      `${small instanceof VerificationError ? `stopped in the batch up to ${/up to (\d+)/.exec(small.message)?.[1]} of 20000` : small}; ${touched} rows changed`,
      small instanceof VerificationError && touched === 0,
    );
  });

  await story.scene('The index that is there and is not', async () => {
    const build: Migration = {
      ...index,
      up: [{ index: { name: 'one_each', table: 'parcels', columns: ['note'], unique: true } }],
    };
    const after = async (create: typeof createMigrator) => {
      const { db, one } = await open(1_000);
      const up = () => caught(create({ db, migrations: [build] }).up());
      await db.query('UPDATE parcels SET note = id / 2');
      await up();
      await db.query('UPDATE parcels SET note = id');
      const second = await up();
      const valid = await one("SELECT indisvalid FROM pg_index WHERE indexrelid = 'one_each'::regclass");
      return { valid, says: `applied: ${second}; valid: ${valid}` };
    };
    story.say(
      '`CREATE UNIQUE INDEX CONCURRENTLY` fails on duplicates. They are removed, and the migration is run again.',
    );
    const [kept, rebuilt] = [await after(takesItForGood), await after(createMigrator)];
    story.verdict('`IF NOT EXISTS` finds the leftover of the failed build', kept.says, kept.valid === false);
    story.verdict('An invalid index is dropped and built again', rebuilt.says, rebuilt.valid === true);
    const office = await open(10);
    const three = [1, 2, 3].map(() => createMigrator({ db: office.db, migrations: [expand, fill(5)] }).up());
    const applied = (await Promise.all(three)).map((names) => names.length).toSorted((a, b) => b - a);
    const noted = await office.one('SELECT count(*)::int FROM migration_history');
    const says = `${applied.join(', ')} migrations applied, ${noted} noted`;
    story.verdict('Three that start at once', says, `${applied}` === '2,0,0' && noted === 2);
  });
});
