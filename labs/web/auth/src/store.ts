import { createHash, randomBytes } from 'node:crypto';
import type { Pool, PoolClient, QueryResultRow } from 'pg';
import { AuthError, InvalidArgumentError, StoreUnavailableError } from './errors.ts';

/** What the three stores keep. Nothing in it lets anybody in: of each token it has the hash. */
export const SCHEMA = `
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

/** Forgets what has run out. Call it now and then, from wherever you like. */
export async function sweep(pool: Pool): Promise<void> {
  for (const table of ['auth_families', 'auth_sessions', 'auth_logins']) {
    await query(pool, `DELETE FROM ${table} WHERE expires_at < now()`, []);
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

/** @throws {InvalidArgumentError} for what the store could not keep as it is */
export function checkUser(sub: string): void {
  if (sub !== '' && sub.isWellFormed() && !sub.includes('\0')) return;
  throw new InvalidArgumentError(`sub ${JSON.stringify(sub)}: give a user's id, of whole characters.`);
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
  const tx = await pool.connect().catch((cause: unknown) => {
    throw new StoreUnavailableError({ cause });
  });
  const lost = () => {};
  tx.on('error', lost);
  let broken = true;
  try {
    await query(tx, 'BEGIN', []);
    const value = await body(tx);
    await query(tx, 'COMMIT', []);
    broken = false;
    return value;
  } catch (error) {
    broken = await tx.query('ROLLBACK').then(
      () => false,
      () => true,
    );
    throw error instanceof AuthError ? error : new StoreUnavailableError({ cause: error });
  } finally {
    tx.off('error', lost);
    tx.release(broken);
  }
}
