import { ALWAYS, type Annotations, Compiler, type Condition, NEVER, type Scope } from './compiler.ts';
import type { Database } from './database.ts';
import { deleteRows } from './deletion.ts';
import { DoesNotExistError, InvalidQueryError, MultipleObjectsError } from './errors.ts';
import { type Aggregate, type AggregateKind, Q } from './expression.ts';
import { hydrator, type Row, type Shape } from './hydrate.ts';
import { quote } from './identifier.ts';
import { isForeignKey, type ModelMeta } from './meta.ts';
import type { EntityClass, Model } from './model.ts';
import { prefetch } from './prefetch.ts';
import type { Batch } from './stored.ts';
import type {
  Aggregated,
  AggregatePath,
  AnnotationWhere,
  Changes,
  ColumnPath,
  ColumnValue,
  RefPath,
  RelationPath,
  Values,
  Where,
} from './types.ts';
import { assertValid, type Conflict, insertRows, updateRows } from './write.ts';

/** What a query asks for. Never changed: each step makes a new one. */
export interface Query {
  readonly conditions: readonly Condition[];
  readonly order: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly related: readonly string[];
  readonly prefetched: readonly string[];
  readonly annotations: Annotations;
  /** Plain rows of these columns in place of objects. */
  readonly columns?: readonly string[];
  readonly distinct: boolean;
  readonly lock: string;
}
/** All rows, as objects, in no order. */
export const EVERYTHING: Query = {
  conditions: [],
  order: [],
  from: 0,
  to: Number.POSITIVE_INFINITY,
  related: [],
  prefetched: [],
  annotations: {},
  distinct: false,
  lock: '',
};

/** Conditions on the entity's fields and on annotations. */
type Conditions<M, A> = Where<M> & AnnotationWhere<A>;
type Ordering<M, A> = `${'' | '-'}${ColumnPath<M> | (keyof A & string)}`;
type Aggregates<M> = Readonly<Record<string, Aggregate<AggregateKind, AggregatePath<M>>>>;

export interface BulkOptions<M> {
  /** Rows in one statement. Default 10,000. */
  readonly batchSize?: number;
  /** For rows that a unique constraint forbids: leave out the new one, or overwrite the fields `update` of the old one. */
  readonly onConflict?: Conflict<keyof Values<M> & string>;
}

/** One statement, and what its rows become. */
interface Selection {
  readonly sql: string;
  readonly params: readonly unknown[];
  readonly empty: boolean;
  read(rows: readonly Row[]): unknown[];
}

/**
 * A query on one entity: lazy, and immutable. Each step returns a new set and sends nothing; `all`, `get`, `first`,
 * `count` and the like send one statement, and so does iterating, once. It has no `then`: returned from an async
 * function it stays a query.
 *
 * `M` is the entity, `A` what `annotate` added, `R` what a row becomes.
 */
export class QuerySet<M extends Model, A = unknown, R = M & A> implements AsyncIterable<R> {
  protected readonly db: Database;
  protected readonly entity: EntityClass<M>;
  protected readonly asked: Query;
  #pending: Promise<readonly R[]> | undefined;
  #rows: readonly R[] | undefined;

  constructor(db: Database, entity: EntityClass<M>, asked: Query = EVERYTHING) {
    this.db = db;
    this.entity = entity;
    this.asked = asked;
  }
  protected get meta(): ModelMeta {
    return this.entity.meta;
  }

  // ── steps: nothing is sent ────────────────────────────────────────────────────────────────────────────────────────

  /** Rows for which all conditions hold. Conditions through one relation to many, in one call, speak of the same related row. */
  filter(...conditions: readonly (Conditions<M, A> | Q<Conditions<M, A>>)[]): QuerySet<M, A, R> {
    return this.#where(conditions);
  }
  /** Rows for which not all conditions hold; also where they are NULL. */
  exclude(...conditions: readonly (Conditions<M, A> | Q<Conditions<M, A>>)[]): QuerySet<M, A, R> {
    return this.#where([this.negated(conditions)]);
  }
  /** `filter` for conditions that are known at run time only, such as those of a request: checked then, by the same rules. */
  filterDynamic(conditions: Readonly<Record<string, unknown>>): QuerySet<M, A, R> {
    return this.#where([conditions]);
  }
  /** `'-price'` is descending. Replaces an earlier order. */
  orderBy(...names: readonly Ordering<M, A>[]): QuerySet<M, A, R> {
    return this.with({ order: names });
  }
  /** `orderBy` for names that are known at run time only: checked then. */
  orderDynamic(...names: readonly string[]): QuerySet<M, A, R> {
    return this.with({ order: names });
  }
  /** Rows from index `from` up to, not including, `to`: within an earlier slice. No filter after it. */
  slice(from: number, to = Number.POSITIVE_INFINITY): QuerySet<M, A, R> {
    const whole = (n: number) => Number.isSafeInteger(n) && n >= 0;
    if (!whole(from) || !(whole(to) || to === Number.POSITIVE_INFINITY) || to < from) {
      throw new InvalidQueryError(
        `A slice counts from the start, 0 ≤ from ≤ to; it is ${from} to ${to}. Reverse the order for the end.`,
      );
    }
    const { from: start, to: end } = this.asked;
    return this.with({ from: Math.min(start + from, end), to: Math.min(start + to, end) });
  }
  /** Plain rows of these columns, in place of objects. */
  values<const P extends ColumnPath<M> | (keyof A & string)>(
    ...columns: readonly [P, ...P[]]
  ): QuerySet<M, A, { [K in P]: K extends keyof A ? A[K] : ColumnValue<M, K> }> {
    return this.with({ columns });
  }
  /** Each row once; with `values`. */
  distinct(): QuerySet<M, A, R> {
    return this.with({ distinct: true });
  }
  /** Adds to each row what is counted or added up over its related rows: `annotate({ titles: Count('books') })`. */
  annotate<const N extends Aggregates<M>>(more: N): QuerySet<M, A & Aggregated<M, N>, R & Aggregated<M, N>> {
    for (const name of Object.keys(more)) {
      if (/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/i.test(name) && !this.meta.has(name) && !(name in this.entity.prototype))
        continue;
      throw new InvalidQueryError(
        `${JSON.stringify(name)} can't name an annotation: letters, digits, single "_", and not a name of ${this.meta.name}'s.`,
      );
    }
    const { annotations, columns } = this.asked;
    const added = columns && { columns: [...columns, ...Object.keys(more)] };
    return this.with({ annotations: { ...annotations, ...more }, ...added });
  }
  /** Loads the objects at the ends of these foreign keys in the same statement, by a JOIN. */
  selectRelated(...paths: readonly RefPath<M>[]): QuerySet<M, A, R> {
    return this.with({ related: [...this.asked.related, ...paths] });
  }
  /** Loads the objects at the ends of these relations, in either direction, by one more statement each. */
  prefetch(...paths: readonly RelationPath<M>[]): QuerySet<M, A, R> {
    return this.with({ prefetched: [...this.asked.prefetched, ...paths] });
  }
  /** Locks the rows until the transaction ends; `skipLocked` leaves out those that others have locked. */
  forUpdate(options: { readonly skipLocked?: boolean } = {}): QuerySet<M, A, R> {
    return this.with({ lock: ` FOR UPDATE OF t0${options.skipLocked ? ' SKIP LOCKED' : ''}` });
  }

  /** A new set. The only place where one is made from another. */
  protected with<A2, R2>(change: Partial<Query>): QuerySet<M, A2, R2> {
    // Of the same class, also where that extends this one; what A2 and R2 are is said by the step.
    const Same = this.constructor as typeof QuerySet;
    return new Same<M, A2, R2>(this.db, this.entity, { ...this.asked, ...change });
  }
  #where(conditions: readonly Condition[]): QuerySet<M, A, R> {
    this.assertUnsliced('filtered');
    return this.with({ conditions: [...this.asked.conditions, ...conditions] });
  }
  protected negated(conditions: readonly Condition[]): Condition {
    return Q.not<unknown>(Q.and<unknown>(...conditions));
  }
  protected assertUnsliced(what: string): void {
    const { from, to } = this.asked;
    if (from > 0 || to < Number.POSITIVE_INFINITY) {
      throw new InvalidQueryError(`A slice can't be ${what}: filter first, slice last.`);
    }
  }

  // ── results: one statement each, and one for each prefetch ────────────────────────────────────────────────────────

  /** All rows. The second call, like a second iteration, sends nothing. */
  all(): Promise<readonly R[]> {
    this.#pending ??= this.fetch().then(
      (rows) => (this.#rows = rows),
      (error: unknown) => {
        this.#pending = undefined;
        throw error;
      },
    );
    return this.#pending;
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<R, void, undefined> {
    yield* await this.all();
  }
  /** Rows as they come, `batchSize` at a time (default 500), for more than fits into memory. Not kept. */
  async *iterator(options: { readonly batchSize?: number } = {}): AsyncGenerator<R, void, undefined> {
    const { sql, params, empty, read } = this.select();
    if (empty) return;
    yield* this.db.cursor(sql, params, options.batchSize ?? 500, (rows) => this.finish(read(rows)));
  }
  /** The one row. @throws DoesNotExistError; MultipleObjectsError. */
  async get(...conditions: readonly (Conditions<M, A> | Q<Conditions<M, A>>)[]): Promise<R> {
    const wanted = conditions.length > 0 ? this.filter(...conditions) : this;
    const [row, second] = await wanted.slice(0, 2).fetch();
    if (row === undefined) throw new DoesNotExistError(`There is no such ${this.meta.name}.`);
    if (second !== undefined)
      throw new MultipleObjectsError(`More than one ${this.meta.name} is like that: filter by something unique.`);
    return row;
  }
  /** The first row in order, of the key where none was asked for; undefined where there is none. */
  async first(): Promise<R | undefined> {
    const { order, distinct, columns } = this.asked;
    const byDefault = distinct && columns ? columns : [this.meta.pk.name];
    const ordered = order.length > 0 ? this : this.orderDynamic(...byDefault);
    return (await ordered.slice(0, 1).fetch())[0];
  }
  async count(): Promise<number> {
    if (this.#rows) return this.#rows.length;
    return Number((await this.#scalar((rows) => `SELECT count(*) FROM (${rows}) AS counted`)) ?? 0);
  }
  async exists(): Promise<boolean> {
    if (this.#rows) return this.#rows.length > 0;
    return (await this.#scalar((rows) => `SELECT EXISTS (${rows})`)) === true;
  }
  /** Counts or adds up over all rows: `aggregate({ dearest: Max('price') })`. */
  async aggregate<const N extends Aggregates<M>>(wanted: N): Promise<Aggregated<M, N>> {
    this.assertUnsliced('aggregated');
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta, this.asked.annotations);
    const parts = Object.entries(wanted).map(([name, each]) => ({ name, ...compiler.aggregate(scope, each) }));
    const where = compiler.where(scope, this.asked.conditions);
    const sql = `SELECT ${parts.map((part) => part.sql).join(', ')} FROM ${compiler.from(scope)} WHERE ${where}`;
    const [row = []] = (await this.db.query(sql, compiler.params)).rows;
    const entries = parts.map(({ name, decode }, at) => [name, decode(row[at])]);
    return Object.fromEntries(entries) as Aggregated<M, N>;
  }
  /** Postgres' plan; `analyze` also runs the query. */
  async explain(options: { readonly analyze?: boolean } = {}): Promise<string> {
    const { sql, params } = this.select();
    const { rows } = await this.db.query(`EXPLAIN ${options.analyze ? '(ANALYZE, BUFFERS) ' : ''}${sql}`, params);
    return rows.flat().join('\n');
  }
  /** The statement and its parameters, to look at. Sends nothing. */
  toSql(): { readonly sql: string; readonly params: readonly unknown[] } {
    const { sql, params } = this.select();
    return { sql, params };
  }
  /** By primary key, for code that doesn't know the entity. @throws DoesNotExistError. */
  byKey(key: unknown): Promise<R> {
    return this.filterDynamic({ [this.meta.pk.name]: key }).get();
  }

  // ── changes ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Makes an object and saves it, with its hooks. @throws ValidationError, with all that is wrong. */
  async create(values: Values<M>): Promise<M> {
    return this.entity.of(values).save({ db: this.db });
  }
  /** Inserts many in one statement a batch, checked all before the first. Without hooks; keys are filled in, but not with `onConflict`. */
  async bulkCreate(rows: readonly (Values<M> | M)[], options: BulkOptions<M> = {}): Promise<readonly M[]> {
    const objects = rows.map((row) => (row instanceof this.entity ? row : this.entity.of(row as Values<M>)));
    assertValid(objects, this.meta, { numbered: true });
    await insertRows(this.db, this.meta, objects, options);
    return objects;
  }
  /** Saves these fields of many objects in one statement. Without hooks. @throws StaleObjectError: then none is saved. */
  async bulkUpdate(objects: readonly M[], fields: readonly (keyof Values<M> & string)[]): Promise<void> {
    assertValid(objects, this.meta, { fields, numbered: true });
    await this.db.transaction(() => updateRows(this.db, this.meta, [...new Set(objects)], fields));
  }
  /** Changes all rows in one statement, without loading them and without hooks; their versions count up. Returns how many. */
  async update(changes: Changes<M>, options: { readonly everything?: boolean } = {}): Promise<number> {
    this.assertNarrowed('update', options);
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta, this.asked.annotations);
    const sets = Object.entries(changes).map(([name, value]) => compiler.assignment(scope, name, value));
    if (sets.length === 0) throw new InvalidQueryError('update() needs at least one field to change.');
    const { version } = this.meta;
    if (version) sets.push(`${quote(version.column)} = ${compiler.columnSql(scope, version)} + 1`);
    const where = this.#target(compiler, scope);
    if (where === NEVER) return 0;
    const sql = `UPDATE ${quote(this.meta.table)} AS ${scope.alias} SET ${sets.join(', ')} WHERE ${where}`;
    return (await this.db.query(sql, compiler.params)).count;
  }
  /** Deletes all rows, and what refers to them as its `onDelete` says. Returns how many of each entity. Without hooks. */
  async delete(options: { readonly everything?: boolean } = {}): Promise<Readonly<Record<string, number>>> {
    this.assertNarrowed('delete', options);
    const doomed = this.with<A, unknown>({ columns: [this.meta.pk.name], lock: ' FOR UPDATE OF t0', distinct: false });
    const { sql, params, empty } = doomed.select();
    return this.db.transaction(async () => {
      const { rows } = empty ? { rows: [] } : await this.db.query(sql, params);
      return deleteRows(
        this.db,
        this.entity,
        rows.map(([key]) => key),
      );
    });
  }

  protected assertNarrowed(what: string, { everything = false }: { readonly everything?: boolean }): void {
    this.assertUnsliced(`${what}d`);
    // Also an empty condition, or `exclude` of an empty list, is no filter.
    const compiler = this.compiler();
    const where = compiler.where(compiler.scope(this.meta, this.asked.annotations), this.asked.conditions);
    if (everything || where !== ALWAYS) return;
    throw new InvalidQueryError(
      `${what}() without a filter would reach every ${this.meta.name}: say ${what}(…, { everything: true }).`,
    );
  }

  // ── statements ────────────────────────────────────────────────────────────────────────────────────────────────────

  protected compiler(): Compiler {
    return new Compiler();
  }

  protected async fetch(): Promise<readonly R[]> {
    const { sql, params, empty, read } = this.select();
    return empty ? [] : this.finish(read((await this.db.query(sql, params)).rows));
  }

  /** Loads what was to be prefetched, for all objects at once. */
  protected async finish(rows: readonly unknown[]): Promise<readonly R[]> {
    const { prefetched } = this.asked;
    if (prefetched.length > 0) await prefetch(this.db, this.meta, rows, prefetched);
    // What the columns say and what R says is the same by the types of the steps; the compiler can't follow it through SQL.
    return rows as readonly R[];
  }

  protected select(): Selection {
    const { columns, conditions, annotations, order, from, to, lock, distinct } = this.asked;
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta, annotations);
    const selected: string[] = [];
    const read = columns ? plain(compiler, scope, columns, selected) : this.#objects(compiler, scope, selected);
    const where = compiler.where(scope, conditions);
    const tail = `${compiler.order(scope, order)}${compiler.limit(from, to)}${lock}`;
    const sql = `SELECT ${distinct ? 'DISTINCT ' : ''}${selected.join(', ')} FROM ${compiler.from(scope)}${where === ALWAYS ? '' : ` WHERE ${where}`}${tail}`;
    return { sql, params: compiler.params, empty: where === NEVER || from === to, read };
  }

  /** Selects the entity's columns, those of what is to be joined, and the annotations. */
  #objects(compiler: Compiler, scope: Scope, selected: string[]): Selection['read'] {
    const { related, annotations } = this.asked;
    const shapeOf = (at: Scope, paths: readonly (readonly string[])[]): Shape => {
      const start = selected.length;
      selected.push(...at.meta.columns.map((column) => compiler.columnSql(at, column)));
      const heads = Map.groupBy(paths, ([head = '']) => head);
      const joined = [...heads].map(([head, each]) => {
        const column = at.meta.column(head);
        if (!isForeignKey(column))
          throw new InvalidQueryError(`selectRelated follows foreign keys; ${head} is none. See prefetch.`);
        const rest = each.map((path) => path.slice(1)).filter((path) => path.length > 0);
        return { column, shape: shapeOf(compiler.join(scope, at, column), rest) };
      });
      return { meta: at.meta, at: start, related: joined };
    };
    const shape = shapeOf(
      scope,
      related.map((path) => path.split('__')),
    );
    const added = Object.entries(annotations).map(([name, each]) => {
      const { sql, decode, perRow } = compiler.aggregate(scope, each);
      if (!perRow)
        throw new InvalidQueryError(`${name} adds up rows of its own: annotate() goes through a relation to many.`);
      return { name, decode, at: selected.push(sql) - 1 };
    });
    return (rows) => {
      const batch: Batch = { db: this.db, size: rows.length, loads: new Map() };
      const make = hydrator(shape, batch);
      if (added.length === 0) return rows.map(make);
      return rows.map((row) =>
        Object.assign(make(row), Object.fromEntries(added.map(({ name, decode, at }) => [name, decode(row[at])]))),
      );
    };
  }

  /** One value from all rows; undefined where there can't be any. */
  async #scalar(wrap: (rows: string) => string): Promise<unknown> {
    const { distinct, columns = [this.meta.pk.name] } = this.asked;
    const slim = this.with<A, R>(distinct ? { lock: '' } : { lock: '', columns, order: [], related: [] });
    const { sql, params, empty } = slim.select();
    return empty ? undefined : (await this.db.query(wrap(sql), params)).rows[0]?.[0];
  }

  /** UPDATE has no LEFT JOIN: where a condition needs one, the rows are found first. */
  #target(compiler: Compiler, scope: Scope): string {
    const where = compiler.where(scope, this.asked.conditions);
    if (where === NEVER || scope.joins.size === 0) return where;
    const key = compiler.columnSql(scope, this.meta.pk);
    return `${key} IN (SELECT ${key} FROM ${compiler.from(scope)} WHERE ${where})`;
  }
}

function plain(compiler: Compiler, scope: Scope, columns: readonly string[], selected: string[]): Selection['read'] {
  const slots = columns.map((name) => {
    const end = compiler.walk(scope, name);
    if (!('lookup' in end) || end.lookup !== 'exact') throw new InvalidQueryError(`${name} is no column to select.`);
    selected.push(end.sql);
    return { name, decode: end.decode };
  });
  return (rows) =>
    rows.map((row) =>
      Object.fromEntries(slots.map(({ name, decode }, at) => [name, decode ? decode(row[at]) : row[at]])),
    );
}
