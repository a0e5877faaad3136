import { type RawBuilder, sql } from 'kysely';
import { InvalidArgumentError } from './errors.ts';
import type { Change } from './events.ts';
import type { Entity, Meta, Values } from './model.ts';
import type { Value } from './operators.ts';

export type Verb = 'Insert' | 'Update' | 'Delete';
/** What a flush does with one object; `changes` are against the row as it was read. */
export interface Task {
  readonly entity: Entity;
  readonly meta: Meta;
  readonly values: Values;
  readonly verb: Verb;
  readonly changes: readonly Change[];
}
export type Statement = RawBuilder<Record<string, unknown>>;

/** The columns that say which row is meant, in which version. */
export const identity = ({ key, version }: Meta) => (version === undefined ? [key] : [key, version]);

/** The columns that a task writes. */
function written({ meta, values, verb, changes }: Task): readonly string[] {
  if (verb !== 'Insert') return verb === 'Update' ? changes.map(({ column }) => column) : [];
  return [...meta.columns.keys()].filter((column) => values[column] !== undefined || column === meta.version);
}

/** One group for what one statement can do. What is referred to is inserted before what refers to it, and deleted after. */
export function batches(tasks: readonly Task[]): [Task, ...Task[]][] {
  const groups = new Map<string, [Task, ...Task[]]>();
  for (const task of tasks) {
    const group = `${task.verb} ${task.meta.order} ${written(task)}`;
    const known = groups.get(group);
    if (known) known.push(task);
    else groups.set(group, [task]);
  }
  const verbs: readonly Verb[] = ['Insert', 'Update', 'Delete'];
  const rank = ([{ verb, meta }]: [Task, ...Task[]]) => [
    verbs.indexOf(verb),
    verb === 'Delete' ? -meta.order : meta.order,
  ];
  const compare = ([a = 0, b = 0]: number[], [c = 0, d = 0]: number[]) => a - c || b - d;
  return [...groups.values()].sort((one, other) => compare(rank(one), rank(other)));
}

/** @throws InvalidArgumentError for a row without a key, or with another key or version than it had */
function rowOf(task: Task, columns: readonly string[]): object {
  const { meta, values, changes } = task;
  const fixed = identity(meta);
  if (values[meta.key] === undefined || values[meta.key] === null) {
    throw new InvalidArgumentError(
      `A new row of ${meta.table} needs its ${meta.key}, at the latest from beforeInsert.`,
    );
  }
  if (changes.some(({ column }) => fixed.includes(column))) {
    throw new InvalidArgumentError(`${fixed.join(' and ')} of a row in ${meta.table} stay: delete it, add another.`);
  }
  const row: Record<string, unknown> = {};
  for (const column of [...fixed, ...columns]) {
    const value = values[column] ?? (column === meta.version ? 1 : null);
    row[column] = typeof value === 'bigint' ? String(value) : value;
  }
  return row;
}

/** Counted by the database: who has read the row before finds out. */
const counted = ({ version }: Meta, from: string) =>
  version === undefined ? [] : [sql`${sql.ref(version)} = ${sql.ref(`${from}.${version}`)} + 1`];

/**
 * The statement for a batch. Rows travel as one parameter, however many, and Postgres takes their types from the table.
 * `match` says which row `t` a row `v` of ours means. All columns come back as they are then: what defaults, triggers and
 * the columns' types have made of them.
 */
export function statementFor(batch: readonly [Task, ...Task[]], match: (meta: Meta) => Statement): Statement {
  const [first] = batch;
  const { meta, verb } = first;
  const columns = written(first);
  const refs = (of: readonly string[], from: string) => sql.join(of.map((column) => sql.ref(`${from}${column}`)));
  const json = JSON.stringify(batch.map((task) => rowOf(task, columns)));
  const table = sql.table(meta.table);
  const rows = sql`json_populate_recordset(NULL::${table}, ${json}::json) AS v`;
  const returning = sql`RETURNING ${refs([...meta.columns.keys()], 't.')}`;
  if (verb === 'Insert') {
    return sql`INSERT INTO ${table} AS t (${refs(columns, '')}) SELECT ${refs(columns, 'v.')} FROM ${rows} ${returning}`;
  }
  if (verb === 'Delete') return sql`DELETE FROM ${table} AS t USING ${rows} WHERE ${match(meta)} ${returning}`;
  const set = columns.map((column) => sql`${sql.ref(column)} = ${sql.ref(`v.${column}`)}`);
  const all = sql.join([...set, ...counted(meta, 't')]);
  return sql`UPDATE ${table} AS t SET ${all} FROM ${rows} WHERE ${match(meta)} ${returning}`;
}

/** One UPDATE for all rows that `where` finds. */
export function bulkStatement(meta: Meta, set: Values, where: unknown): Statement {
  // The driver would write a Date in the machine's zone, whose offsets once had seconds.
  const plain = (value: Value) => (value instanceof Date ? value.toISOString() : value);
  const parts = Object.entries(set).map(([column, value]) => sql`${sql.ref(column)} = ${plain(value)}`);
  return sql`UPDATE ${sql.table(meta.table)} SET ${sql.join([...parts, ...counted(meta, meta.table)])} WHERE ${where}`;
}
