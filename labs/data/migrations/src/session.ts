import { setTimeout as delay } from 'node:timers/promises';
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import { countFor } from './check.ts';
import { ConnectionLostError, LockTimeoutError } from './errors.ts';

export interface LockOptions {
  /** Longest wait for a lock, in milliseconds: everybody who wants the table queues behind us. Default 500. */
  readonly lockTimeoutMs?: number;
  /** How often it is tried before LockTimeoutError. Default 20. */
  readonly lockAttempts?: number;
}

export const lockOptions = ({ lockTimeoutMs = 500, lockAttempts = 20 }: LockOptions): Required<LockOptions> => ({
  lockTimeoutMs: countFor('lockTimeoutMs', lockTimeoutMs, 1),
  lockAttempts: countFor('lockAttempts', lockAttempts, 1),
});

/**
 * One connection has the lock of a run and does its work, so both are lost at once, and a server that still works for a
 * dead client still has the lock. It is closed afterwards, whatever was set on it. @throws ConnectionLostError
 */
export async function withSession<T>(pool: Pool, lockTimeoutMs: number, body: (client: PoolClient) => Promise<T>) {
  const client = await listenedTo(pool);
  try {
    await client.query(`SET lock_timeout = ${lockTimeoutMs}`);
    return await body(client);
  } catch (error) {
    // The connection itself says whether it was lost: the error may be anybody's.
    await client.query('ROLLBACK').catch(() => {
      throw new ConnectionLostError('The connection was lost, and what is done is noted: run it again', error);
    });
    throw error;
  } finally {
    client.release(true);
  }
}

/** With a listener from the start: the pool has none while a client is lent, and an error that nobody hears ends the process. */
function listenedTo(pool: Pool): Promise<PoolClient> {
  return new Promise((resolve, reject) => {
    // By callback, since the error can come in one packet with the greeting, before a promise has told anybody.
    pool.connect((error, client) => {
      if (client) resolve(client.on('error', () => {}));
      else reject(new ConnectionLostError('There is no connection to Postgres', error));
    });
  });
}

/**
 * Remembers what the connection is set to (role, search_path, lock_timeout…). The function that it returns puts back what a
 * step has changed. What an application has invented (`app.user`) is let be.
 */
export async function keepSettings(client: PoolClient): Promise<() => Promise<void>> {
  const { rows } = await client.query(`
    SELECT json_object_agg(name, current_setting(name))::text AS kept FROM (
      VALUES ('session_authorization'), ('role') UNION ALL
      SELECT name FROM pg_settings WHERE context IN ('user', 'superuser')
        AND name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')) AS settings (name)`);
  const changed = 'FROM json_each_text($1) WHERE value <> current_setting(key)';
  return async () => void (await client.query(`SELECT set_config(key, value, false) ${changed}`, [rows[0]?.kept]));
}

/** Runs `body` between BEGIN and COMMIT, or leaves nothing of it. */
export async function atomically<T>(client: PoolClient, body: () => Promise<T>): Promise<T> {
  await client.query('BEGIN');
  try {
    const result = await body();
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // If that fails, so does the next statement, and the connection isn't used again.
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

type Patience = Required<LockOptions> & { readonly signal?: AbortSignal };

/**
 * Tries again what gave way to others. It pauses for at least as long as it waited, so that those who queued behind it
 * have the table half of the time or more. @throws LockTimeoutError
 */
export async function patiently<T>(run: Patience, what: string, body: () => Promise<T>): Promise<T> {
  const { lockTimeoutMs, lockAttempts, signal } = run;
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      return await body();
    } catch (error) {
      if (!gaveWay(error)) throw error;
      if (attempt >= lockAttempts) throw new LockTimeoutError(`${what} gave way ${attempt} times`, error);
    }
    await pause(lockTimeoutMs * (1 + Math.random()), signal);
  }
}

/** @throws the signal's reason, as soon as it aborts */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => signal?.throwIfAborted());
}

/** lock_not_available, deadlock_detected, serialization_failure. */
export const gaveWay = (error: unknown): boolean =>
  error instanceof DatabaseError && ['55P03', '40P01', '40001'].includes(error.code ?? '');
