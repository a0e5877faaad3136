import { createHash } from 'node:crypto';
import { countFor, quoted, textFor } from './check.ts';
import { InvalidArgumentError } from './errors.ts';

export interface BackfillPlan {
  readonly table: string;
  /** A column that is unique, never null and never changed meanwhile: batches go along it. */
  readonly key: string;
  /** Column → SQL expression over the same row. It must give the same each time, since a row may be met twice. */
  readonly transform: Readonly<Record<string, string>>;
  /** Rows of a batch. */
  readonly size: number;
  /** Milliseconds between two batches: replicas and vacuum need their turn. Default 0. */
  readonly pauseMs?: number;
  /** An SQL condition that each row must meet after its batch. The first batch is then a small one: 100 rows. */
  readonly check?: string;
}

export interface IndexPlan {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
  readonly unique?: boolean;
}

/** SQL as it is sent, a backfill in batches, or an index that is built while others write. */
export type Step = string | { readonly backfill: BackfillPlan } | { readonly index: IndexPlan };

export interface Migration {
  /** Unique in the list, and kept for ever: the database notes it. At most 200 bytes. */
  readonly name: string;
  /**
   * Default true: all steps and the note of them are one transaction. False, as backfills and indexes need it: each step by
   * itself, and all of them again if a run was cut off, so write what can be repeated (`IF NOT EXISTS`).
   */
  readonly transaction?: boolean;
  readonly up: readonly Step[];
  /** The way back, or why there is none and what to do instead. */
  readonly down: readonly Step[] | { readonly irreversible: string };
  /** A query for rows that are wrong. If it finds one, the migration is undone. */
  readonly verify?: string;
  /** On which way data is lost: the backup comes before that. */
  readonly destroys?: 'up' | 'down' | 'both';
}

/** `ALTER TABLE … DROP city` needs no word COLUMN. */
const LOSES =
  /\b(drop\s+(table|column|schema)|truncate|alter\s+table\b[^;]*\bdrop\s+(?!\s|(constraint|default|not|expression|identity)\b).)/i;

export type Way = 'up' | 'down';
export const destroys = (migration: Migration, way: Way) => [way, 'both'].includes(migration.destroys ?? '');

/** @throws InvalidArgumentError on what can't be run, or could not be undone if its verification failed */
export function defineMigration(given: Migration): Migration {
  const migration = structuredClone({ ...given, transaction: given.transaction ?? true });
  const { name, transaction, up, down, verify } = migration;
  textFor('The name of a migration', name, 200);
  const refuse = (why: string): never => {
    throw new InvalidArgumentError(`${name}: ${why}`);
  };
  if (up.length === 0) refuse('it has no step.');
  if (verify !== undefined) textFor('A verification', verify);
  if (!transaction && verify !== undefined && 'irreversible' in down) refuse('`verify` needs a `down` to undo it.');
  for (const [way, steps] of [['up', up] as const, ['down', 'irreversible' in down ? [] : down] as const]) {
    for (const step of steps) {
      const text = textOf(step);
      if (transaction && typeof step !== 'string') refuse(`say transaction: false for: ${text}`);
      if (LOSES.test(text) && !destroys(migration, way)) refuse(`say destroys: '${way}', or 'both', for: ${text}`);
    }
  }
  return migration;
}

/** A step as SQL: what `plan` shows, and what the checksum covers. Line endings are the editor's affair. */
export function textOf(step: Step): string {
  if (typeof step === 'string') return textFor('A step', step).replaceAll('\r\n', '\n').trim();
  if ('index' in step) {
    const { name, table, columns, unique = false } = step.index;
    if (columns.length === 0) throw new InvalidArgumentError(`The index ${name} needs a column at least.`);
    const what = `${unique ? 'UNIQUE ' : ''}INDEX CONCURRENTLY ${quoted(name)}`;
    return `CREATE ${what} ON ${quoted(table)} (${columns.map(quoted)})`;
  }
  const { table, key, size, pauseMs = 0, transform, check } = step.backfill;
  countFor('size', size, 1);
  countFor('pauseMs', pauseMs, 0);
  if (Object.hasOwn(transform, key)) throw new InvalidArgumentError(`A backfill along ${key} can't change it.`);
  const set = expressionsOf(transform).map(([column, expression]) => `${column} = ${expression}`);
  const checked = check === undefined ? '' : `, checked by ${textFor('check', check)}`;
  return `UPDATE ${quoted(table)} SET ${set.join(', ')} in batches along ${quoted(key)}${checked}`;
}

/** Each column, and its expression in brackets. */
export function expressionsOf(transform: BackfillPlan['transform']): readonly (readonly [string, string])[] {
  const columns = Object.entries(transform);
  if (columns.length === 0) throw new InvalidArgumentError('A transform needs a column at least.');
  return columns.map(([name, expression]) => [quoted(name), `(${textFor('An expression', expression)})`]);
}

/** Of what was done by `up`. The way back and the verification may be mended later. */
export const checksumOf = ({ name, transaction = true, up }: Migration): string =>
  digest(JSON.stringify([name, transaction, up.map(textOf)]));

export const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
