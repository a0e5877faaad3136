import { createHash } from 'node:crypto';
import { InvalidArgumentError } from './errors.ts';
import type { Db } from './vendor/optimistic-lock/index.ts';

/** What was done, by whom, when. `previous` is the hash of the entry before, so that each hash stands for all before it. */
export interface AuditEntry {
  readonly seq: number;
  /** By the clock of Postgres. */
  readonly at: string;
  readonly actor: string;
  readonly action: string;
  /** Canonical JSON. */
  readonly detail: string;
  readonly previous: string;
  readonly hash: string;
}

/** The newest entry that somebody has seen, kept where whoever can write the log can't: it tells of all before it. */
export type Anchor = Pick<AuditEntry, 'seq' | 'hash'>;

export type Verdict =
  | { readonly intact: true; readonly entries: number }
  | { readonly intact: false; readonly seq: number; readonly why: string };

/** Before the first. */
export const GENESIS = '0'.repeat(64);

/** A log in which no entry can be changed, taken away or moved without a trace. */
export class AuditLog {
  /** SHA-256 over everything that the entry says, and over its predecessor. */
  hash({ seq, at, actor, action, detail, previous }: Omit<AuditEntry, 'hash'>): string {
    return digestOf({ seq, at, actor, action, detail, previous });
  }

  /** @param entries all of them, by `seq` @param anchor see Anchor: without one, nobody misses the last entries */
  verify(entries: readonly AuditEntry[], anchor?: Anchor): Verdict {
    let previous = GENESIS;
    for (const [index, entry] of entries.entries()) {
      const seq = index + 1;
      if (entry.seq !== seq) return { intact: false, seq, why: 'it is missing' };
      if (entry.previous !== previous) return { intact: false, seq, why: 'it does not follow the one before' };
      if (entry.hash !== this.hash(entry)) return { intact: false, seq, why: 'it was changed' };
      previous = entry.hash;
    }
    if (anchor && anchor.seq > 0) {
      const seen = entries[anchor.seq - 1];
      if (!seen) return { intact: false, seq: anchor.seq, why: 'it was there, and is gone' };
      if (seen.hash !== anchor.hash) return { intact: false, seq: anchor.seq, why: 'it was another one' };
    }
    return { intact: true, entries: entries.length };
  }

  /**
   * In the transaction of what it tells: neither is there without the other. Others who write wait for its end.
   * @throws InvalidArgumentError for an actor that Postgres would keep as another text: the chain would be broken for ever
   */
  async append(tx: Db, actor: string, action: string, detail: object): Promise<void> {
    if (!actor.isWellFormed() || actor.includes('\0')) {
      throw new InvalidArgumentError(
        `The actor is ${JSON.stringify(actor)}: give text without U+0000 and half an emoji.`,
      );
    }
    await tx.query('LOCK TABLE ops_audit IN SHARE ROW EXCLUSIVE MODE');
    const { rows } = await tx.query<{ at: string; seq: string | null; hash: string | null }>(
      `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, last.seq, last.hash
        FROM (SELECT 1) AS one LEFT JOIN (SELECT seq, hash FROM ops_audit ORDER BY seq DESC LIMIT 1) AS last ON true`,
    );
    const [last] = rows;
    const entry = {
      seq: Number(last?.seq ?? 0) + 1,
      at: last?.at ?? '',
      actor,
      action,
      detail: canonical(detail),
      previous: last?.hash ?? GENESIS,
    };
    await tx.query('INSERT INTO ops_audit VALUES ($1, $2, $3, $4, $5, $6, $7)', [
      ...Object.values(entry),
      this.hash(entry),
    ]);
  }

  async entries(db: Db): Promise<readonly AuditEntry[]> {
    const { rows } = await db.query<AuditEntry & { seq: string }>('SELECT * FROM ops_audit ORDER BY ops_audit.seq');
    return rows.map((row) => ({ ...row, seq: Number(row.seq) }));
  }
}

/** SHA-256, as hex. */
export const digestOf = (value: unknown): string => createHash('sha256').update(canonical(value)).digest('hex');

/** One text for one value, in whatever order its names were written. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
