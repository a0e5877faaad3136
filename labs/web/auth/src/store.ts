import { createHash, randomBytes } from 'node:crypto';
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { StoreUnavailableError } from './errors.ts';

/** What the three stores keep. Nothing in it lets anybody in: of each token it has the hash. Processes may run it at once. */
export const SCHEMA = `
SELECT pg_advisory_xact_lock(hashtext('auth_families'));
CREATE TABLE IF NOT EXISTS auth_families (
  id uuid PRIMARY KEY, sub text NOT NULL, expires_at timestamptz NOT NULL, ended_at timestamptz
);
CREATE INDEX IF NOT EXISTS auth_families_sub ON auth_families (sub);
CREATE TABLE IF NOT EXISTS auth_refresh (
  hash bytea PRIMARY KEY, family uuid NOT NULL REFERENCES auth_families ON DELETE CASCADE,
  expires_at timestamptz NOT NULL, used_at timestamptz, salt bytea
);
CREATE INDEX IF NOT EXISTS auth_refresh_family ON auth_refresh (family);
CREATE TABLE IF NOT EXISTS auth_sessions (
  hash bytea PRIMARY KEY, sub text NOT NULL, expires_at timestamptz NOT NULL, seen_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS auth_sessions_sub ON auth_sessions (sub);
CREATE TABLE IF NOT EXISTS auth_logins (
  state bytea PRIMARY KEY, browser bytea NOT NULL, verifier text NOT NULL, nonce text NOT NULL,
  return_to text NOT NULL, expires_at timestamptz NOT NULL
)`;

/** Forgets what has run out. Call it now and then, from wherever you like: what somebody is using stays for the next time. */
export async function sweep(pool: Pool): Promise<void> {
  // A rotation locks a token and then its family. Who waited for them in the other order would be in a deadlock with it.
  const over = {
    auth_refresh:
      'SELECT r.ctid FROM auth_refresh r JOIN auth_families f ON f.id = r.family WHERE f.expires_at < now()',
    auth_families: `SELECT f.ctid FROM auth_families f
      WHERE expires_at < now() AND NOT EXISTS (SELECT FROM auth_refresh WHERE family = f.id)`,
    auth_sessions: 'SELECT ctid FROM auth_sessions WHERE expires_at < now()',
    auth_logins: 'SELECT ctid FROM auth_logins WHERE expires_at < now()',
  };
  const batch = 5000; // So that no statement is a long one.
  for (const [table, rows] of Object.entries(over)) {
    const some = `${rows} LIMIT ${batch} FOR UPDATE SKIP LOCKED`;
    const sql = `DELETE FROM ${table} WHERE ctid = ANY(ARRAY(${some})) RETURNING 1`;
    while ((await query(pool, sql, [])).length === batch);
  }
}

/** 256 random bits, in base64url. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** A fast hash will do: there is nothing to guess in 256 random bits. */
export function hash(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** The rows of one statement. @throws {StoreUnavailableError} */
export async function query<Row extends QueryResultRow>(
  db: Pool | PoolClient,
  sql: string,
  values: readonly unknown[],
): Promise<Row[]> {
  try {
    return (await db.query<Row>(sql, [...values])).rows;
  } catch (cause) {
    throw new StoreUnavailableError({ cause });
  }
}

/**
 * All of `body` or nothing of it: what it throws undoes it.
 * @throws {StoreUnavailableError} or what `body` throws
 */
export async function allOrNothing<T>(pool: Pool, body: (tx: PoolClient) => Promise<T>): Promise<T> {
  const tx = await lent(pool);
  let broken = false;
  try {
    await query(tx, 'BEGIN', []);
    const value = await body(tx);
    await query(tx, 'COMMIT', []);
    return value;
  } catch (error) {
    broken = await tx.query('ROLLBACK').then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    tx.off('error', failsAnyway);
    tx.release(broken);
  }
}

/** Its end may come in one packet with its beginning: so it is listened to at once, and not after an await. */
function lent(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((cause, tx) => {
      if (!tx) return reject(new StoreUnavailableError({ cause }));
      tx.on('error', failsAnyway);
      resolve(tx);
    });
  });
}

/** The statement that runs, or the next one, fails too. */
function failsAnyway(): void {}
