import type { Pool } from 'pg';
import { type Patch, type RetryOptions, readVersioned, updateVersioned, type VersionedRow, VersionedTable } from '#lab';

// What the suite, the stories and the bench share: a wall of state lockers.

export interface Locker extends VersionedRow {
  readonly id: number;
  readonly state: string | null;
  readonly uses: number;
}

/** Patient enough for a busy machine. */
export const PATIENT: RetryOptions = { max: 10_000, baseMs: 2, capMs: 100 };

export const use = ({ uses }: Locker): Patch<Locker> => ({ uses: uses + 1 });

export const times = <T>(count: number, call: (n: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: count }, (_, n) => call(n)));

/** Everybody's first visit ends when `count` are there: all have read, and nobody has written. Later ones go through. */
export const gate = (count: number) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let arrived = 0;
  return () => {
    if (++arrived === count) resolve();
    return promise;
  };
};

/** A table of lockers in the database of `pool`, whose connections are opened. */
export async function openWall(pool: Pool, name = 'lockers') {
  await pool.query(`CREATE TABLE ${name} (
    id integer PRIMARY KEY, state text, uses integer NOT NULL DEFAULT 0, version integer NOT NULL DEFAULT 0)`);
  const clients = await times(pool.options.max, () => pool.connect());
  for (const client of clients) client.release();
  const table = new VersionedTable<Locker>(name, ['state', 'uses']);
  let lockers = 0;
  return {
    table,
    fresh: async (state: string | null = null): Promise<number> => {
      const id = ++lockers;
      await pool.query(`INSERT INTO ${name} (id, state) VALUES ($1, $2)`, [id, state]);
      return id;
    },
    read: (id: number): Promise<Locker> => readVersioned(pool, table, id),
    /** The way of a thousand handlers: read, decide, write by the id. */
    overwrite: async (id: number, change: (row: Locker) => Patch<Locker>): Promise<Locker> =>
      updateVersioned(pool, table, id, '*', change(await readVersioned(pool, table, id))),
  };
}
