import { createHmac, timingSafeEqual } from 'node:crypto';
import { escapeIdentifier, type Pool, type PoolClient, type QueryResultRow } from 'pg';
import { Problem } from './problem.ts';

export interface KeysetOptions {
  /**
   * The columns that order the pages, with their Postgres types: `{ added: 'timestamptz', id: 'bigint' }`. Together they have to
   * be unique: end with the key. None may be null or change while somebody pages. An index on them makes each page quick.
   */
  readonly by: Readonly<Record<string, string>>;
  /** All of them in one. */
  readonly direction: 'asc' | 'desc';
  /** Seals the cursors: 32 random bytes, the same in each process. */
  readonly secret: string | Buffer;
  /** Rows a page, unless the client says. Default 20. */
  readonly defaultLimit?: number;
  /** Who asks for more gets that many. Default 100. */
  readonly maxLimit?: number;
}

export interface PageRequest {
  /** What the page before gave. */
  readonly cursor?: string | undefined;
  readonly limit?: number | undefined;
  /**
   * Whatever else decides which rows there are: filters, and the name of the list when another one has these columns and this
   * secret. A cursor is good for the same again.
   */
  readonly of?: string;
}

export interface Page<Row> {
  readonly rows: Row[];
  /** Of the next page; null at the end. */
  readonly cursor: string | null;
}

/**
 * Pages that begin behind the last row of the page before, and not at a count of rows: who inserts or deletes in the meantime
 * shifts nothing (Markus Winand, https://use-the-index-luke.com/no-offset). Each row that is there all the while is seen once.
 * A row that comes while somebody pages may be on a page that is behind him.
 */
export class Keyset {
  protected readonly names: readonly string[];
  protected readonly types: readonly string[];
  protected readonly direction: 'asc' | 'desc';
  readonly #secret: string | Buffer;
  readonly #defaultLimit: number;
  readonly #maxLimit: number;

  /** @throws RangeError */
  constructor({ by, direction, secret, defaultLimit = 20, maxLimit = 100 }: KeysetOptions) {
    this.names = Object.keys(by).map((name) => escapeIdentifier(name));
    this.types = Object.values(by);
    if (this.names.length === 0) throw new RangeError('by has no column: give those that order the pages.');
    if (secret.length < 16) throw new RangeError(`The secret has ${secret.length} bytes: give 32 random ones.`);
    if (
      !(
        Number.isSafeInteger(defaultLimit) &&
        defaultLimit >= 1 &&
        Number.isSafeInteger(maxLimit) &&
        maxLimit >= defaultLimit
      )
    ) {
      throw new RangeError(
        `The limits are ${defaultLimit} and ${maxLimit}: give 1 or more, the second not below the first.`,
      );
    }
    this.direction = direction;
    this.#secret = secret;
    this.#defaultLimit = defaultLimit;
    this.#maxLimit = maxLimit;
  }

  /**
   * @param select has the columns of `by` among its own, and no ORDER BY or LIMIT
   * @throws Problem 400 for a cursor that is not from here, or from another list; RangeError for a limit that is no number, and for
   *   a page that ends with a null in a column of `by`, behind which nobody could go on
   */
  async page<Row extends QueryResultRow>(
    db: Pool | PoolClient,
    select: { readonly text: string; readonly values?: readonly unknown[] },
    { cursor, limit: wanted, of = '' }: PageRequest,
  ): Promise<Page<Row>> {
    const limit = this.limit(wanted);
    const after = cursor === undefined ? undefined : this.open(cursor, of);
    const given = select.values ?? [];
    const where = after ? `WHERE ${this.behind(given.length + 1)}` : '';
    // As text: a Date has no microseconds, and a number no bigint.
    const position = this.names.map((name) => `${name}::text`).join(', ');
    const { rows } = await db.query<Row & { '~position': (string | null)[] }>(
      `SELECT rows.*, ARRAY[${position}] AS "~position" FROM (${select.text}) AS rows ${where}
       ORDER BY ${this.order()} LIMIT ${limit + 1}`,
      [...given, ...(after ?? [])],
    );
    // One more than a page: is there a next one?
    const end = rows.length > limit ? rows[limit - 1]?.['~position'] : undefined;
    if (end?.includes(null)) throw new RangeError(`A page ends with a null in ${this.names}: nothing comes behind it.`);
    const page = rows.slice(0, limit).map(({ '~position': _, ...row }) => row as unknown as Row);
    return { rows: page, cursor: end ? this.seal(end.map(String), of) : null };
  }

  /** What comes after a row whose values are the parameters from `$first` on. */
  protected behind(first: number): string {
    const values = this.types.map((type, n) => `$${first + n}::${type}`);
    return `(${this.names.join(', ')}) ${this.direction === 'asc' ? '>' : '<'} (${values.join(', ')})`;
  }

  protected order(): string {
    return this.names.map((name) => `${name} ${this.direction}`).join(', ');
  }

  protected limit(wanted = this.#defaultLimit): number {
    if (typeof wanted !== 'number' || Number.isNaN(wanted)) throw new RangeError(`The limit ${wanted} is no number.`);
    return Math.min(Math.max(Math.trunc(wanted), 1), this.#maxLimit);
  }

  /** A cursor that says where its page ends. */
  protected seal(position: readonly string[], of: string): string {
    const text = Buffer.from(JSON.stringify(position)).toString('base64url');
    return `${text}.${this.mac(text, of)}`;
  }

  /** @throws Problem 400 unless `seal` has made it for the same list */
  protected open(cursor: string, of: string): string[] {
    const dot = cursor.lastIndexOf('.');
    const text = cursor.slice(0, Math.max(dot, 0));
    // Texts are compared, not what they decode to: base64 has many texts for the same bytes.
    const [given, right] = [Buffer.from(cursor.slice(dot + 1)), Buffer.from(this.mac(text, of))];
    if (given.length !== right.length || !timingSafeEqual(given, right)) throw badCursor();
    return JSON.parse(`${Buffer.from(text, 'base64url')}`);
  }

  /** Only who has the secret can make it. */
  protected mac(text: string, of: string): string {
    const list = JSON.stringify([this.names, this.types, this.direction, of, text]);
    return createHmac('sha256', this.#secret).update(list).digest('base64url');
  }
}

export const badCursor = (): Problem =>
  new Problem(400, 'The cursor is not one that this list has given: begin at the first page, without a cursor.', {
    code: 'bad-cursor',
  });
