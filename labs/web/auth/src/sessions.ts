import type { Pool } from 'pg';
import { checkTimes, checkUser } from './checks.ts';
import { readCookie, setCookie } from './cookies.ts';
import { hash, newSecret, query } from './store.ts';

export interface SessionsOptions {
  readonly pool: Pool;
  /** Milliseconds without a request after which a session ends. Default 30 minutes. */
  readonly idleMs?: number;
  /** Milliseconds after the login at which it ends. Default 12 hours. */
  readonly absoluteMs?: number;
}

/** Sessions in Postgres: a look at the store for each request, and one that is ended is ended with the next request. */
export class Sessions {
  protected readonly cookie = '__Host-session';
  protected readonly options: Required<SessionsOptions>;

  constructor({ pool, idleMs = 30 * 60_000, absoluteMs = 12 * 3_600_000 }: SessionsOptions) {
    checkTimes({ idleMs, absoluteMs });
    this.options = { pool, idleMs, absoluteMs };
  }

  /**
   * A new session, under a new id: the one that the browser came with ends, whoever gave it to it (session fixation).
   * @returns the Set-Cookie header
   */
  async start(sub: string, cookie: string | undefined): Promise<string> {
    checkUser(sub);
    await this.end(cookie);
    const id = newSecret();
    await this.add(id, sub);
    return setCookie(this.cookie, id, this.options.absoluteMs);
  }

  /** Whose session it is, undefined when there is none. A request moves the idle end, at most ten times in its length. */
  async find(cookie: string | undefined): Promise<string | undefined> {
    const id = readCookie(cookie, this.cookie);
    if (id === undefined) return undefined;
    const { pool, idleMs } = this.options;
    const [row] = await query<{ sub: string; worn: boolean }>(
      pool,
      `SELECT sub, seen_at < now() - $2 * interval '0.1 ms' AS worn FROM auth_sessions
       WHERE hash = $1 AND expires_at > now() AND seen_at > now() - $2 * interval '1 ms'`,
      [hash(id), idleMs],
    );
    if (row?.worn) await query(pool, 'UPDATE auth_sessions SET seen_at = now() WHERE hash = $1', [hash(id)]);
    return row?.sub;
  }

  /** Ends the session at once. @returns the Set-Cookie header that takes the cookie away */
  async end(cookie: string | undefined): Promise<string> {
    const id = readCookie(cookie, this.cookie);
    if (id !== undefined) await this.remove(id);
    return setCookie(this.cookie, '', 0);
  }

  /** Ends every session of a user. */
  async endAll(sub: string): Promise<void> {
    checkUser(sub);
    await query(this.options.pool, 'DELETE FROM auth_sessions WHERE sub = $1', [sub]);
  }

  protected async add(id: string, sub: string): Promise<void> {
    const sql = `INSERT INTO auth_sessions VALUES ($1, $2, now() + $3 * interval '1 ms', now())`;
    await query(this.options.pool, sql, [hash(id), sub, this.options.absoluteMs]);
  }

  protected async remove(id: string): Promise<void> {
    await query(this.options.pool, 'DELETE FROM auth_sessions WHERE hash = $1', [hash(id)]);
  }
}
