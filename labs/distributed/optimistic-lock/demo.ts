import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { Pool } from 'pg';
import {
  modify,
  modifyLocked,
  readVersioned,
  StaleVersionError,
  serializable,
  updateVersioned,
  withRetry,
} from './src/index.ts';
import { gate, type Locker, openWall, PATIENT, times, use } from './test/wall.ts';

const options = {
  title: 'Optimistic lock 乐观锁（版本号）',
  subtitle: 'The parcel lockers: a password that changes with each use, and who may write',
  dir: import.meta.dirname,
  next: ['pnpm lab optimistic-lock form   the same over HTTP: ETag, If-Match, 412 and 428'],
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 64 }), (it) => it.end());
  pool.on('error', () => {});
  const { table, fresh, read, overwrite } = await openWall(pool);

  await story.scene('A hundred couriers and one tally', async () => {
    story.say(
      'Each courier puts a parcel into locker 1 and adds 1 to its `uses`. A hundred come at once. First as most code does it: read the row, add 1 in JavaScript, write it back by its id.',
    );
    let attempts = 0;
    const counted = (row: Locker) => {
      attempts++;
      return use(row);
    };
    const inSql = `UPDATE ${table.name} SET uses = uses + 1, version = version + 1 WHERE id = $1`;
    const ways: [string, (id: number) => Promise<unknown>][] = [
      ['read, then write by id', (id) => overwrite(id, counted)],
      ['by version, again if stale', (id) => modify(pool, table, id, counted, PATIENT)],
      ['FOR UPDATE first', (id) => modifyLocked(pool, table, id, counted)],
      [
        'SERIALIZABLE, again if refused',
        (id) =>
          serializable(
            pool,
            async (tx) => updateVersioned(tx, table, id, '*', counted(await readVersioned(tx, table, id))),
            PATIENT,
          ),
      ],
      ['SET uses = uses + 1', (id) => pool.query(inSql, [id]).then(() => attempts++)],
    ];
    const rows: [string, number, number, number][] = [];
    for (const [name, way] of ways) {
      const id = await fresh();
      attempts = 0;
      await times(100, () => way(id));
      const { uses } = await read(id);
      rows.push([name, uses, 100 - uses, attempts]);
    }
    story.table({ caption: '100 uses, each told "done"', columns: ['how', 'in the tally', 'lost', 'attempts'], rows });
    const [naive = 0, ...others] = rows.map(([, , lost]) => lost);
    story.verdict('Reading and writing back loses updates, and nobody is told', `${naive} of 100 lost`, naive > 0);
    story.verdict(
      'The other four lose none',
      `${others.join(', ')} lost`,
      others.every((lost) => lost === 0),
    );
    story.say('For a tally the last one is best: nothing is decided in JavaScript, so nothing can be stale.');
  });

  await story.scene('Paid and refunded', async () => {
    story.say(
      'Locker 7 is rented. The customer taps "pay" while the desk taps "refund". Both read `rented`, both find it in order, both write. Thirty times.',
    );
    const settle = async (write: (row: Locker, state: string) => Promise<unknown>) => {
      const tally = { both: 0, one: 0, stale: 0 };
      for (let round = 0; round < 30; round++) {
        const id = await fresh('rented');
        const met = gate(2);
        const tap = async (state: string) => {
          const row = await read(id);
          await met();
          if (row.state === 'rented') await write(row, state);
        };
        const results = await Promise.allSettled([tap('paid'), tap('refunded')]);
        const refused = results.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []));
        tally[refused.length === 0 ? 'both' : 'one']++;
        tally.stale += refused.filter((reason) => reason instanceof StaleVersionError).length;
      }
      return tally;
    };
    const blind = await settle(({ id }, state) => updateVersioned(pool, table, id, '*', { state }));
    story.verdict('By the id alone both are told "done"', `${blind.both} of 30 paid and refunded`, blind.both > 0);
    story.code('src/versioned.ts', { from: 'version = version + 1', to: 'RETURNING' });
    const { one, stale } = await settle(({ id, version }, state) =>
      updateVersioned(pool, table, id, version, { state }),
    );
    story.verdict(
      'At the version that was read one is, and the other hears that his slip is old',
      `${one} of 30 settled once, ${stale} StaleVersionError`,
      one === 30 && stale === 30,
    );
  });

  await story.scene('It keeps nobody out', async () => {
    story.say(
      'It is called a lock, and it is none. Sixteen couriers come at once, and each opens the door in the middle of his change, before it is written.',
    );
    const deliver = async (
      change: (id: number, decide: (row: Locker) => Promise<{ uses: number }>) => Promise<unknown>,
    ) => {
      const id = await fresh();
      const door = { opened: 0, inside: 0, most: 0 };
      await times(16, () =>
        change(id, async ({ uses }) => {
          door.opened++;
          door.most = Math.max(door.most, ++door.inside);
          await pool.query('SELECT');
          door.inside--;
          return { uses: uses + 1 };
        }),
      );
      return { ...door, uses: (await read(id)).uses };
    };
    const version = await deliver((id, decide) => modify(pool, table, id, decide, PATIENT));
    const locked = await deliver((id, decide) => modifyLocked(pool, table, id, decide));
    story.table({
      columns: ['16 parcels', 'in the tally', 'doors opened', 'inside at once'],
      rows: [
        ['by version', version.uses, version.opened, version.most],
        ['FOR UPDATE', locked.uses, locked.opened, locked.most],
      ],
    });
    story.verdict(
      'A version gives no mutual exclusion: several decide at once, and open doors in vain',
      `${version.most} at once, ${version.opened} doors for ${version.uses} parcels`,
      version.most > 1 && version.opened > version.uses,
    );
    story.verdict(
      'A row lock does, while its transaction lasts',
      `${locked.most} at once, ${locked.opened} doors`,
      locked.most === 1 && locked.opened === 16,
    );
    story.say('Open the door when the write is acknowledged, and so that opening it twice does no harm.');
  });

  await story.scene('Who should wait? The crossover', async () => {
    story.say('More and more writers on one row, each by version with retries, then each under the lock of the row.');
    type Way = (id: number, decide: (row: Locker) => { uses: number }) => Promise<unknown>;
    const run = async (writers: number, way: Way) => {
      const id = await fresh();
      let asked = 0;
      const start = performance.now();
      await times(writers, async () => {
        while (performance.now() - start < 150) {
          await way(id, ({ uses }) => {
            asked++;
            return { uses: uses + 1 };
          });
        }
      });
      const { uses } = await read(id);
      return { attempts: asked / uses, perMs: uses / (performance.now() - start) };
    };
    const measured = [];
    for (const writers of [1, 2, 4, 8, 16, 64]) {
      const version = await run(writers, (id, decide) => modify(pool, table, id, decide, PATIENT));
      const locked = await run(writers, (id, decide) => modifyLocked(pool, table, id, decide));
      measured.push({ writers, version, locked });
    }
    story.table({
      caption: 'Speed: how many times as many changes by version as under the lock',
      columns: ['writers on the row', 'attempts by version', 'under the lock', 'speed'],
      rows: measured.map(({ writers, version, locked }) => [
        writers,
        version.attempts.toFixed(2),
        locked.attempts.toFixed(2),
        `${(version.perMs / locked.perMs).toFixed(2)} ×`,
      ]),
    });
    story.lines({
      title: 'Attempts for each change that was written',
      x: { label: 'writers on one row', scale: 'log' },
      y: { label: 'attempts', min: 0 },
      series: [
        {
          label: 'by version',
          tone: 'warn',
          points: measured.map(({ writers, version }) => [writers, version.attempts]),
        },
        {
          label: 'FOR UPDATE',
          tone: 'good',
          points: measured.map(({ writers, locked }) => [writers, locked.attempts]),
        },
      ],
      picture: true,
    });
    const [alone = 0, crowd = 0] = [measured[0], measured.at(-1)].map((each) => each?.version.attempts);
    story.verdict(
      'Alone, a change by version is one attempt; in a crowd most attempts are in vain',
      `${alone.toFixed(2)} with 1 writer, ${crowd.toFixed(2)} with 64`,
      alone === 1 && crowd > 2,
    );
    story.say(
      'An attempt by version is 2 statements (3 if it is refused); a change under the lock is 4, and holds a connection while it waits.',
    );
  });

  await story.scene('What versions do not see', async () => {
    story.say(
      'Of two attendants one must stay on duty. Each looks at both rows, sees the other on duty, and signs off: on his own row, at the version that he read. No two write the same row. Twenty evenings.',
    );
    type SignOff = (mine: number, other: number, met: () => Promise<void>) => Promise<unknown>;
    const evenings = async (signOff: SignOff) => {
      let deserted = 0;
      for (let evening = 0; evening < 20; evening++) {
        const [a, b, met] = [await fresh('on duty'), await fresh('on duty'), gate(2)];
        await Promise.all([signOff(a, b, met), signOff(b, a, met)]);
        const left = await Promise.all([read(a), read(b)]);
        if (left.every(({ state }) => state === 'off')) deserted++;
      }
      return deserted;
    };
    let runs = 0;
    const decide = async (
      db: typeof pool | Parameters<Parameters<typeof serializable>[1]>[0],
      ...[mine, other, met]: Parameters<SignOff>
    ) => {
      runs++;
      const [me, colleague] = [await readVersioned(db, table, mine), await readVersioned(db, table, other)];
      await met();
      if (colleague.state === 'on duty') await updateVersioned(db, table, mine, me.version, { state: 'off' });
    };
    const byVersion = await evenings((...signs) => withRetry(() => decide(pool, ...signs), PATIENT));
    story.verdict('Write skew: each version fitted, and nobody is there', `${byVersion} of 20 evenings`, byVersion > 0);
    runs = 0;
    const alone = await evenings((...signs) => serializable(pool, (tx) => decide(tx, ...signs), PATIENT));
    story.code('src/modify.ts', { from: 'return withRetry(() => runTransaction(pool, body' });
    story.verdict(
      'SERIALIZABLE sees what was read, too: one of the two is run again, and stays',
      `${alone} of 20 evenings, ${runs} runs for 40 who wanted to leave`,
      alone === 0 && runs > 40,
    );
  });
});
