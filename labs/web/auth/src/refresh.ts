import { hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { checkTimes, checkUser } from './checks.ts';
import { RefreshRefusedError } from './errors.ts';
import { allOrNothing, hash, newSecret, query } from './store.ts';

export interface RefreshOptions {
  readonly pool: Pool;
  /** Milliseconds within which a token must be used. Default 14 days. */
  readonly idleMs?: number;
  /** Milliseconds after the login at which the family ends, however often it was used. Default 90 days. */
  readonly absoluteMs?: number;
  /**
   * Milliseconds for which a used token is answered once more, with the same successor, as long as that is good and unused: for an
   * answer that was lost. A thief who is as quick as that gets the successor too, until one of both uses it second. Default 0.
   */
  readonly graceMs?: number;
}

export interface Refreshed {
  /** For the next time. The one that was used is good for nothing now. */
  readonly token: string;
  readonly sub: string;
}

/** What the store has of a token. */
export interface Row {
  readonly family: string;
  readonly sub: string;
  /** The family was ended: by a logout, or by a second use. */
  readonly ended: boolean;
  /** Its own time is over, or the family's. */
  readonly expired: boolean;
  /** Of the successor; null while the token is unused. */
  readonly salt: Buffer | null;
  /** Milliseconds since it was used. */
  readonly usedMs: number;
}

/**
 * Refresh tokens that are good once (RFC 9700, section 4.14.2). Each use gives a successor. All that descend from one login are a
 * family: a second use of one means that two have it, the owner and a thief, and nobody can tell which is which. So the family
 * ends. The times are the database's, so that processes need not agree on theirs.
 */
export class RefreshTokens {
  protected readonly options: Required<RefreshOptions>;

  constructor({ pool, idleMs = 14 * 86_400_000, absoluteMs = 90 * 86_400_000, graceMs = 0 }: RefreshOptions) {
    checkTimes({ idleMs, absoluteMs, graceMs });
    this.options = { pool, idleMs, absoluteMs, graceMs };
  }

  /** The first token of a new family: for a user who has just logged in. */
  async issue(sub: string): Promise<string> {
    checkUser(sub);
    return allOrNothing(this.options.pool, async (tx) => {
      const family = randomUUID();
      const ends = [family, sub, this.options.absoluteMs];
      await query(tx, `INSERT INTO auth_families VALUES ($1, $2, now() + $3 * interval '1 ms')`, ends);
      const token = newSecret();
      await this.add(tx, token, family);
      return token;
    });
  }

  /**
   * Uses a token up.
   * @throws {RefreshRefusedError} it is unknown, expired, revoked, or was used before: then nobody of its family comes in again
   * @throws {StoreUnavailableError} it may have been used
   */
  async rotate(token: string): Promise<Refreshed> {
    const answer = await allOrNothing(this.options.pool, (tx) => this.use(tx, token));
    // Thrown inside, it would undo the family's end.
    if (answer instanceof RefreshRefusedError) throw answer;
    return answer;
  }

  protected async use(tx: PoolClient, token: string): Promise<Refreshed | RefreshRefusedError> {
    const row = await this.row(tx, token, 'FOR UPDATE');
    if (row === undefined) return new RefreshRefusedError('unknown');
    const { family, sub, salt } = row;
    if (row.ended) return new RefreshRefusedError('revoked');
    if (salt === null) {
      if (row.expired) return new RefreshRefusedError('expired');
      const fresh = randomBytes(32);
      const next = this.successor(token, fresh);
      await this.markUsed(tx, token, fresh);
      await this.add(tx, next, family);
      return { token: next, sub };
    }
    const next = this.successor(token, salt);
    const heir = await this.row(tx, next);
    const good = heir?.salt === null && !heir.expired;
    if (row.usedMs < this.options.graceMs && good) return { token: next, sub };
    await this.end(tx, family);
    return new RefreshRefusedError('reused');
  }

  /** Ends the family of a token, at a logout. An unknown one is no error: it lets nobody in. */
  async revoke(token: string): Promise<void> {
    await allOrNothing(this.options.pool, async (tx) => {
      const row = await this.row(tx, token, 'FOR UPDATE');
      if (row) await this.end(tx, row.family);
    });
  }

  /** Ends every family of a user: his password was changed, or his card was lost. */
  async revokeAll(sub: string): Promise<void> {
    checkUser(sub);
    await query(this.options.pool, 'UPDATE auth_families SET ended_at = now() WHERE sub = $1 AND ended_at IS NULL', [
      sub,
    ]);
  }

  /** With `FOR UPDATE` nobody else reads the token or its family for update before this transaction ends. */
  protected async row(tx: PoolClient, token: string, lock: 'FOR UPDATE' | '' = ''): Promise<Row | undefined> {
    // From a body that nobody has looked at.
    if (typeof token !== 'string') return undefined;
    // Both rows are locked: of one that isn't, a query that has waited gets the old version.
    const rows = await query<Row>(
      tx,
      `SELECT family, sub, ended_at IS NOT NULL AS ended, salt,
         least(r.expires_at, f.expires_at) <= clock_timestamp() AS expired,
         extract(epoch FROM clock_timestamp() - used_at)::float8 * 1000 AS "usedMs"
       FROM auth_refresh r JOIN auth_families f ON f.id = r.family WHERE hash = $1 ${lock}`,
      [hash(token)],
    );
    return rows[0];
  }

  protected async add(tx: PoolClient, token: string, family: string): Promise<void> {
    const sql = `INSERT INTO auth_refresh VALUES ($1, $2, now() + $3 * interval '1 ms')`;
    await query(tx, sql, [hash(token), family, this.options.idleMs]);
  }

  protected async markUsed(tx: PoolClient, token: string, salt: Buffer): Promise<void> {
    const sql = 'UPDATE auth_refresh SET used_at = clock_timestamp(), salt = $2 WHERE hash = $1';
    await query(tx, sql, [hash(token), salt]);
  }

  protected async end(tx: PoolClient, family: string): Promise<void> {
    await query(tx, 'UPDATE auth_families SET ended_at = now() WHERE id = $1', [family]);
  }

  /**
   * The one successor of a token: whoever has the token and the store's salt can derive it again (RFC 5869), and neither alone
   * will do. So the store need not keep it.
   */
  protected successor(token: string, salt: Buffer): string {
    return Buffer.from(hkdfSync('sha256', token, salt, 'refresh token', 32)).toString('base64url');
  }
}
