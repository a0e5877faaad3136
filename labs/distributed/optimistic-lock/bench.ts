import { setTimeout as delay } from 'node:timers/promises';
import { defineEntity, MikroORM, p } from '@mikro-orm/postgresql';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { Pool } from 'pg';
import { DataSource, EntitySchema } from 'typeorm';
import { modify, modifyLocked, readVersioned, updateMany, updateVersioned } from './src/index.ts';
import { type Locker, openWall, PATIENT, times, use } from './test/wall.ts';

const right = (label: string) => ({ label, align: 'right' as const });

const MikroLocker = defineEntity({
  name: 'Locker',
  tableName: 'lockers',
  properties: {
    id: p.integer().primary(),
    state: p.string().nullable(),
    uses: p.integer(),
    version: p.integer().version(),
  },
});
type Writable<T> = { -readonly [K in keyof T]: T[K] };
const TypeLockers = new EntitySchema<Writable<Locker>>({
  name: 'lockers',
  columns: {
    id: { type: Number, primary: true },
    state: { type: 'text', nullable: true },
    uses: { type: Number },
    version: { type: Number, version: true },
  },
});

await tell({ title: 'Optimistic lock: when to wait, and beside two ORMs', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 64 }), (it) => it.end());
  pool.on('error', () => {});
  const { table, fresh, read } = await openWall(pool);
  const mikro = bin.adopt(
    await MikroORM.init({ entities: [MikroLocker], clientUrl: pg.url, pool: { max: 8 }, implicitTransactions: false }),
    (it) => it.close(),
  );
  const source = new DataSource({ type: 'postgres', url: pg.url, entities: [TypeLockers], poolSize: 8 });
  const typeorm = bin.adopt(await source.initialize(), (it) => it.destroy());
  const repository = typeorm.getRepository(TypeLockers);

  /** A verdict, if the rounds agree on it: all but the best and the worst on one side of the floor. */
  const claim = (what: string, rounds: readonly number[], floor: number) => {
    const { text, reaches } = consensus(rounds);
    const holds = reaches(floor);
    if (holds === undefined) story.say(`“${what}”: not claimed, the rounds disagree (${text}).`);
    else story.verdict(what, text, holds);
  };

  await story.scene('64 writers, on fewer and fewer rows', async () => {
    const results = [];
    for (const writers of [1, 2, 4, 8, 16, 32, 64]) {
      const ids = await times(64 / writers, () => fresh());
      const row = (worker: number) => ids[worker % ids.length] ?? 0;
      const [version, lock] = await contest(
        {
          version: (worker) => modify(pool, table, row(worker), use, PATIENT),
          lock: (worker) => modifyLocked(pool, table, row(worker), use, { lockTimeoutMs: 0 }),
        },
        { workers: 64, rounds: 7, turnMs: 400 },
      );
      if (!version || !lock) throw new Error('two contestants');
      results.push({ writers, version, lock, rounds: ratios(version, lock) });
    }
    story.table({
      columns: ['writers a row', 'by version, a second', 'FOR UPDATE, a second', 'version ÷ lock'].map(right),
      rows: results.map(({ writers, version, lock, rounds }) => [
        writers,
        version.perSecond.toFixed(0),
        lock.perSecond.toFixed(0),
        consensus(rounds).text,
      ]),
    });
    const last = results.findLast(({ rounds }) => consensus(rounds).median >= 1)?.writers;
    const next = results.find(({ rounds }) => consensus(rounds).median < 1)?.writers;
    story.say(`Here the two cross between ${last ?? 0} and ${next ?? 'more than 64'} writers a row.`);
    const [alone, crowd] = [results[0], results.at(-1)];
    claim('one writer a row: by version at least 1.1 times the changes', alone?.rounds ?? [], 1.1);
    claim('64 writers a row: under the lock at least 1.2 times', crowd ? ratios(crowd.lock, crowd.version) : [], 1.2);
  });

  await story.scene('64 writers, a row each, 10 ms to decide, 8 connections', async () => {
    const few = bin.adopt(new Pool({ connectionString: pg.url, max: 8 }), (it) => it.end());
    few.on('error', () => {});
    const ids = await times(64, () => fresh());
    const decide = async (row: Locker) => {
      await delay(10);
      return use(row);
    };
    const [version, lock] = await contest(
      {
        version: (worker) => modify(few, table, ids[worker] ?? 0, decide),
        lock: (worker) => modifyLocked(few, table, ids[worker] ?? 0, decide),
      },
      { workers: 64 },
    );
    if (!version || !lock) throw new Error('two contestants');
    story.table(standingsTable([version, lock]));
    claim('who decides without a connection: at least twice the changes', ratios(version, lock), 2);
  });

  await story.scene('Two have read one version, and both save', async () => {
    const saves: [string, (id: number) => Promise<(uses: number) => Promise<unknown>>][] = [
      [
        'lab',
        async (id) => {
          const { version } = await read(id);
          return (uses) => updateVersioned(pool, table, id, version, { uses });
        },
      ],
      [
        'MikroORM, flush',
        async (id) => {
          const em = mikro.em.fork();
          const locker = await em.findOneOrFail(MikroLocker, id);
          return (uses) => {
            locker.uses = uses;
            return em.flush();
          };
        },
      ],
      [
        'TypeORM, save with @VersionColumn',
        async (id) => {
          const locker = await repository.findOneByOrFail({ id });
          return (uses) => repository.save({ ...locker, uses });
        },
      ],
    ];
    const manys: [string, (ids: number[]) => Promise<unknown>][] = [
      ['lab, updateMany', (ids) => updateMany(pool, table, ids, { uses: 9 })],
      [
        'MikroORM, flush of three',
        async (ids) => {
          const em = mikro.em.fork();
          for (const locker of await em.find(MikroLocker, { id: { $in: ids } })) locker.uses = 9;
          await em.flush();
        },
      ],
      ['MikroORM, nativeUpdate', (ids) => mikro.em.fork().nativeUpdate(MikroLocker, { id: { $in: ids } }, { uses: 9 })],
      ['TypeORM, update', (ids) => repository.update(ids, { uses: 9 })],
    ];
    const lost = new Map<string, number>();
    for (const [name, reader] of saves) {
      let both = 0;
      for (let round = 0; round < 50; round++) {
        const id = await fresh();
        const writers = [await reader(id), await reader(id)];
        const results = await Promise.allSettled(writers.map((write, n) => write(n + 1)));
        if (results.every(({ status }) => status === 'fulfilled')) both++;
      }
      lost.set(name, both);
    }
    story.table({ columns: ['', 'updates lost, of 50'], rows: [...lost] });
    story.verdict('None is lost by version', `${lost.get('lab')} of 50`, lost.get('lab') === 0);
    const bumps = [];
    for (const [name, many] of manys) {
      const ids = await times(3, () => fresh());
      await many(ids);
      const rows = await Promise.all(ids.map(read));
      bumps.push([name, rows.filter(({ version }) => version === 1).length] as const);
    }
    story.table({ columns: ['three rows at once', 'versions moved on'], rows: bumps });
    story.verdict('Each of many rows gets a new version', `${bumps[0]?.[1]} of 3`, bumps[0]?.[1] === 3);
  });

  await story.scene('Read a row, decide, write it at its version', async () => {
    const ids = await times(8, () => fresh());
    const id = (worker: number) => ids[worker] ?? 0;
    const contestants = {
      lab: (worker: number) => modify(pool, table, id(worker), use),
      'pg by hand': async (worker: number) => {
        const { rows } = await pool.query<Locker>('SELECT * FROM lockers WHERE id = $1', [id(worker)]);
        const { rowCount } = await pool.query(
          'UPDATE lockers SET uses = $3, version = version + 1 WHERE id = $1 AND version = $2 RETURNING *',
          [id(worker), rows[0]?.version, (rows[0]?.uses ?? 0) + 1],
        );
        if (rowCount !== 1) throw new Error('stale');
      },
      MikroORM: async (worker: number) => {
        const em = mikro.em.fork();
        const locker = await em.findOneOrFail(MikroLocker, id(worker));
        locker.uses++;
        await em.flush();
      },
      'TypeORM, version in WHERE by hand': async (worker: number) => {
        const { uses, version } = await repository.findOneByOrFail({ id: id(worker) });
        const { affected } = await repository.update({ id: id(worker), version }, { uses: uses + 1 });
        if (affected !== 1) throw new Error('stale');
      },
      'TypeORM, save, unchecked': async (worker: number) => {
        const locker = await repository.findOneByOrFail({ id: id(worker) });
        locker.uses++;
        await repository.save(locker, { transaction: false });
      },
    };
    for (const workers of [1, 8]) {
      const standings = await contest(contestants, { workers, rounds: 7, turnMs: 400 });
      const [lab, ...peers] = standings;
      if (!lab) throw new Error('the lab runs too');
      story.table({
        caption: workers === 1 ? 'One writer' : `${workers} writers, a row each`,
        columns: ['', right('changes a second'), right('lab ÷ it')],
        rows: standings.map((each) => [
          each.name,
          each.perSecond.toFixed(0),
          each === lab ? '' : consensus(ratios(lab, each)).text,
        ]),
      });
      for (const peer of peers.filter(({ name }) => /ORM/.test(name))) {
        claim(`${workers} at work: as fast as ${peer.name}`, ratios(lab, peer), 1);
      }
    }
    const row = await readVersioned(pool, table, id(0));
    story.verdict(
      'And nothing was lost on the way',
      `${row.uses} uses, version ${row.version}`,
      row.uses === row.version,
    );
  });
});
