import type { Pool } from 'pg';
import type { Bus, Cemetery } from './bus.ts';
import { NoDeadLetterError, UnreadableEventError } from './errors.ts';
import type { Envelope } from './event.ts';
import { identifier, isMigrated, MIGRATING } from './outbox.ts';
import { UNREADABLE, UUID } from './parse.ts';

/** An event that a group could not handle. */
export interface DeadLetter {
  readonly group: string;
  /** What was no event has the type "Unreadable", and its text in `data.text`. */
  readonly event: Envelope;
  /** The last try's error, and what stands behind it. */
  readonly reason: string;
  readonly attempts: number;
}

/** Where poison goes, so that others pass: kept with the reason, until somebody has mended the handler and replays it. */
export class DeadLetters implements Cemetery {
  readonly #pool: Pool;
  readonly #table: string;

  /** @param table Default "dead_letters". */
  constructor(pool: Pool, table = 'dead_letters') {
    this.#pool = pool;
    this.#table = identifier(table);
  }

  /** Creates the table where it is missing. Part of your migrations. */
  async migrate(): Promise<void> {
    if (await isMigrated(this.#pool, this.#table, 'json')) return;
    await this.#pool.query(`${MIGRATING}
      CREATE TABLE IF NOT EXISTS ${this.#table} ("group" text, id uuid, event json NOT NULL, reason text NOT NULL,
        attempts int NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY ("group", id));
      -- json keeps the text as it came; jsonb refuses U+0000 and half a surrogate pair, which anybody may publish.
      ALTER TABLE ${this.#table} ALTER COLUMN event TYPE json`);
  }

  /** Twice the same is one: a crash before the acknowledgement brings the event, and its death, again. */
  async add(group: string, event: Envelope, error: Error, attempts: number): Promise<void> {
    // PostgreSQL's text has no U+0000; an error may quote one.
    const reason = told(error).toWellFormed().replaceAll('\0', '\uFFFD');
    await this.#pool.query(
      `INSERT INTO ${this.#table} VALUES ($1, $2, $3, $4, $5)
       ON CONFLICT ("group", id) DO UPDATE SET reason = excluded.reason, attempts = excluded.attempts, at = now()`,
      [group, event.id, event, reason, attempts],
    );
  }

  /**
   * Oldest first. One that was replayed and died again counts as new: replay the later ones of its key after it.
   * @param group Default: of all groups.
   */
  async list(group?: string): Promise<DeadLetter[]> {
    const { rows } = await this.#pool.query<DeadLetter>(
      `SELECT "group", event, reason, attempts FROM ${this.#table} WHERE $1::text IS NULL OR "group" = $1 ORDER BY at`,
      [group],
    );
    return rows;
  }

  /**
   * Sends it to its group again, and to no other. Twice does no harm where the group has an inbox.
   * @throws NoDeadLetterError, UnreadableEventError for what is no event, or what the bus throws; then it is still here
   */
  async replay(group: string, id: string, bus: Pick<Bus, 'publish'>): Promise<void> {
    const row = UUID.test(id) ? await this.#find(group, id) : undefined;
    if (row === undefined)
      throw new NoDeadLetterError(`${group} has no dead letter ${id}: list() names those there are`);
    if (row.event.type === UNREADABLE) {
      throw new UnreadableEventError(`dead letter ${id} of ${group} is no event: mend its text, and publish it anew`);
    }
    await bus.publish([row.event], group);
    // Should it have died again meanwhile, that is a newer entry: it stays.
    await this.#pool.query(`DELETE FROM ${this.#table} WHERE "group" = $1 AND id = $2 AND at = $3`, [
      group,
      id,
      row.at,
    ]);
  }

  async #find(group: string, id: string) {
    const { rows } = await this.#pool.query<{ event: Envelope; at: string }>(
      `SELECT event, at::text FROM ${this.#table} WHERE "group" = $1 AND id = $2`,
      [group, id],
    );
    return rows[0];
  }
}

/** With its causes: of a host that is down, "fetch failed" is all that `fetch` itself says, and of two addresses nothing. */
function told(error: Error): string {
  const all = new Set([error]);
  // A set goes on to what is added meanwhile, and a chain without an end ends.
  for (const each of all) {
    const behind: unknown[] = each instanceof AggregateError ? [...each.errors, each.cause] : [each.cause];
    for (const cause of behind) if (cause instanceof Error) all.add(cause);
  }
  return [...all].map(({ name, message }) => `${name}: ${message}`).join('; ');
}
