import type { Pool, PoolClient } from 'pg';
import { quoted, textFor } from './check.ts';
import { HistoryError, InvalidArgumentError, VerificationError } from './errors.ts';
import { openBooks } from './history.ts';
import { type BackfillPlan, digest, expressionsOf, textOf } from './migration.ts';
import { atomically, type LockOptions, lockOptions, patiently, pause, withSession } from './session.ts';

export interface Progress {
  /** Rows gone through so far, by all runs together. */
  readonly rows: number;
  /** The key of the last of them, as Postgres writes it. */
  readonly last: string;
}

export interface BatchOptions {
  /** Looked at between two steps or batches; the promise rejects with its reason, and what was done is noted. */
  readonly signal?: AbortSignal;
  /** Called after each batch that is committed, and waited for. What it throws ends the run. */
  readonly onProgress?: (progress: Progress) => unknown;
}

export interface BatchUpdateOptions extends BackfillPlan, BatchOptions, LockOptions {
  readonly db: Pool;
  /** Under which its progress is noted, for ever: at its end, the same name and transform do nothing. At most 200 bytes. */
  readonly name: string;
}

/** `rows` by all runs together; this one began after the key `resumedFrom`, or at the beginning. */
export type BatchUpdateResult = { readonly rows: number; readonly resumedFrom: string | undefined };

/**
 * Updates the rows that there are when it begins, a batch a transaction: of those that come later a trigger takes care. Each batch commits how far it came, so a run that was killed is resumed
 * there. Rows that read as they should already are not written again. @throws InvalidArgumentError, VerificationError,
 * LockTimeoutError, ConnectionLostError, what Postgres says of the SQL, or the signal's reason
 */
export async function batchUpdate(options: BatchUpdateOptions): Promise<BatchUpdateResult> {
  const name = textFor('The name', options.name, 200);
  const plan = { ...options, transform: { ...options.transform }, ...lockOptions(options) };
  textOf({ backfill: plan });
  return withSession(plan.db, plan.lockTimeoutMs, async (client) => {
    await patiently(plan, name, () => openBooks(client));
    return backfill({ ...plan, client }, name, plan);
  });
}

/** A run on its one connection. */
export interface Run extends BatchOptions, Required<LockOptions> {
  readonly client: PoolClient;
}

export async function backfill(run: Run, name: string, plan: BackfillPlan): Promise<BatchUpdateResult> {
  const { client } = run;
  const [table, key, set] = [quoted(plan.table), quoted(plan.key), expressionsOf(plan.transform)];
  await assertKey(client, table, plan.key);
  // Another transform is another job, and begins anew: two halves by two rules would be no result.
  const job = [name, digest(textOf({ backfill: plan }))];
  // Its goal is the last row that there is when it begins: it would never come to the end of a busy table.
  const goal = `SELECT k::text FROM (SELECT ${key} AS k FROM ${table} ORDER BY ${key} DESC LIMIT 1) AS goal`;
  const begin = `INSERT INTO migration_batches (name, plan, goal) VALUES ($1, $2, (${goal})) ON CONFLICT DO NOTHING`;
  await patiently(run, name, () => client.query(begin, job));
  const progress = async (lock = '') => {
    const note = `SELECT rows, last, goal FROM migration_batches WHERE name = $1 AND plan = $2 ${lock}`;
    const [noted] = (await client.query<Record<'rows' | 'last' | 'goal', string | null>>(note, job)).rows;
    if (!noted) throw new HistoryError(`${name}: its row in migration_batches was taken out while it ran.`);
    return { rows: Number(noted.rows), last: noted.last ?? undefined, goal: noted.goal };
  };
  const batch = async (): Promise<Progress | undefined> => {
    // Of two who run the same backfill, each takes the batch after the other's.
    const { rows, last, goal } = await progress('FOR UPDATE');
    const [range, keys] = last === undefined ? [`${key} <= $1`, []] : [`${key} <= $1 AND ${key} > $2`, [last]];
    // A mistake should be found on few rows.
    const size = last === undefined && plan.check !== undefined ? Math.min(100, plan.size) : plan.size;
    // Along the key, never by OFFSET: rows come and go meanwhile.
    const bounds = await client.query<Progress>(
      `SELECT place::int AS rows, k::text AS last FROM (SELECT ${key} AS k, row_number() OVER (ORDER BY ${key}) AS place
       FROM ${table} WHERE ${range} ORDER BY ${key} LIMIT ${size}) AS batch ORDER BY place DESC LIMIT 1`,
      [goal, ...keys],
    );
    const [next] = bounds.rows;
    if (!next) return undefined;
    // As text: what `=` takes for the same need not be, 'ANN' and 'ann' by some collations.
    await client.query(
      `UPDATE ${table} SET ${set.map((pair) => pair.join(' = '))} WHERE ${range}
       AND ROW(${set.map(([column]) => column)})::text IS DISTINCT FROM ROW(${set.map(([, expression]) => expression)})::text`,
      [next.last, ...keys],
    );
    if (plan.check !== undefined) {
      const query = `SELECT * FROM ${table} WHERE ${range} AND (${plan.check}\n) IS NOT TRUE LIMIT 5`;
      const wrong = await client.query(query, [next.last, ...keys]);
      if (wrong.rows.length > 0) throw new VerificationError(`${name}, the batch up to ${next.last}`, wrong.rows);
    }
    const note = 'UPDATE migration_batches SET rows = $3, last = $4 WHERE name = $1 AND plan = $2';
    await client.query(note, [...job, rows + next.rows, next.last]);
    return { rows: rows + next.rows, last: next.last };
  };

  const { last: resumedFrom } = await progress();
  for (;;) {
    const done = await patiently(run, name, () => atomically(client, batch));
    if (!done) return { rows: (await progress()).rows, resumedFrom };
    await run.onProgress?.(done);
    if (plan.pauseMs) await pause(plan.pauseMs, run.signal);
  }
}

/** Along a key that is null or not unique, rows would be left out. */
async function assertKey(client: PoolClient, table: string, key: string): Promise<void> {
  const { rows } = await client.query(
    `SELECT FROM pg_attribute a JOIN pg_index i ON i.indrelid = a.attrelid
     WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND a.attnotnull AND i.indkey[0] = a.attnum
       AND i.indnkeyatts = 1 AND i.indisunique AND i.indisvalid AND i.indpred IS NULL`,
    [table, key],
  );
  if (rows.length === 0) throw new InvalidArgumentError(`${table} has no unique column ${key} that is NOT NULL.`);
}
