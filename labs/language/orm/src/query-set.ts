import { ALWAYS, Compiler, type Condition, NEVER, type Scope } from './compiler.ts';
import type { Database } from './database.ts';
import { DoesNotExistError, InvalidQueryError, MultipleObjectsError } from './errors.ts';
import { Q } from './expression.ts';
import { byHead, hydrator, prefetch, type Row, type Shape } from './load.ts';
import { isForeignKey, type ModelMeta, quote } from './meta.ts';
import type { EntityClass, Model } from './model.ts';
import type { Changes, ColumnPath, RefPath, RelationPath, Values, Where } from './types.ts';
import { assertValid, insertRows } from './write.ts';

/** What a query asks for. Never changed: each step makes a new one. */
export interface Query {
  readonly conditions: readonly Condition[];
  readonly order: readonly string[];
  readonly from: number;
  readonly to: number;
  readonly related: readonly string[];
  readonly prefetched: readonly string[];
}
/** All rows, as objects, in no order. */
export const EVERYTHING: Query = {
  conditions: [],
  order: [],
  from: 0,
  to: Number.POSITIVE_INFINITY,
  related: [],
  prefetched: [],
};

/**
 * A query on one entity: lazy, and immutable. Each step returns a new set and sends nothing; `all`, `get`, `first`,
 * `count` and the like send one statement, and so does iterating, once. It has no `then`: returned from an async
 * function it stays a query.
 */
export class QuerySet<M extends Model> implements AsyncIterable<M> {
  protected readonly db: Database;
  protected readonly entity: EntityClass<M>;
  protected readonly asked: Query;
  #rows: Promise<readonly M[]> | undefined;

  constructor(db: Database, entity: EntityClass<M>, asked: Query = EVERYTHING) {
    this.db = db;
    this.entity = entity;
    this.asked = asked;
  }
  protected get meta(): ModelMeta {
    return this.entity.meta;
  }

  /** Rows for which all conditions hold. Those through one relation to many, in one call, speak of the same related row. */
  filter(...conditions: readonly (Where<M> | Q<Where<M>>)[]): QuerySet<M> {
    return this.#where(conditions.length === 1 ? (conditions[0] as Condition) : Q.and<unknown>(...conditions));
  }
  /** Rows for which not all conditions hold; also where they are NULL. */
  exclude(...conditions: readonly (Where<M> | Q<Where<M>>)[]): QuerySet<M> {
    return this.#where(Q.not<unknown>(Q.and<unknown>(...conditions)));
  }
  /** `filter` for conditions that are known at run time only. A client must not name them: any relation can be walked. */
  filterDynamic(conditions: Readonly<Record<string, unknown>>): QuerySet<M> {
    return this.#where(conditions);
  }
  /** `'-price'` is descending. Replaces an earlier order. */
  orderBy(...names: readonly `${'' | '-'}${ColumnPath<M>}`[]): QuerySet<M> {
    return this.with({ order: names });
  }
  /** `orderBy` for names that are known at run time only: checked then. */
  orderDynamic(...names: readonly string[]): QuerySet<M> {
    return this.with({ order: names });
  }
  /** Rows from index `from` up to, not including, `to`: within an earlier slice. No filter after it. */
  slice(from: number, to = Number.POSITIVE_INFINITY): QuerySet<M> {
    const whole = (n: number) => Number.isSafeInteger(n) && n >= 0;
    if (!whole(from) || !(whole(to) || to === Number.POSITIVE_INFINITY) || to < from) {
      throw new InvalidQueryError(`A slice counts from the start, 0 ≤ from ≤ to; it is ${from} to ${to}.`);
    }
    const { from: start, to: end } = this.asked;
    return this.with({ from: Math.min(start + from, end), to: Math.min(start + to, end) });
  }
  /** Loads the objects at the ends of these foreign keys in the same statement, by a JOIN. */
  selectRelated(...paths: readonly RefPath<M>[]): QuerySet<M> {
    return this.with({ related: [...this.asked.related, ...paths] });
  }
  /** Loads the objects at the ends of these relations, in either direction, by one more statement each. */
  prefetch(...paths: readonly RelationPath<M>[]): QuerySet<M> {
    return this.with({ prefetched: [...this.asked.prefetched, ...paths] });
  }

  /** A new set. The only place where one is made from another. */
  protected with(change: Partial<Query>): QuerySet<M> {
    // Of the same class, also where that extends this one.
    const Same = this.constructor as typeof QuerySet;
    return new Same<M>(this.db, this.entity, { ...this.asked, ...change });
  }
  #where(condition: Condition): QuerySet<M> {
    this.assertUnsliced('filtered');
    return this.with({ conditions: [...this.asked.conditions, condition] });
  }
  protected assertUnsliced(what: string): void {
    const { from, to } = this.asked;
    if (from > 0 || to < Number.POSITIVE_INFINITY)
      throw new InvalidQueryError(`A slice can't be ${what}: filter first, slice last.`);
  }

  /** All rows. The second call, like a second iteration, sends nothing. */
  all(): Promise<readonly M[]> {
    this.#rows ??= this.fetch();
    // A failure isn't kept.
    this.#rows.catch(() => (this.#rows = undefined));
    return this.#rows;
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<M, void, undefined> {
    yield* await this.all();
  }
  /** The one row. @throws DoesNotExistError; MultipleObjectsError. */
  async get(...conditions: readonly (Where<M> | Q<Where<M>>)[]): Promise<M> {
    const wanted = conditions.length > 0 ? this.filter(...conditions) : this;
    const [row, second] = await wanted.slice(0, 2).fetch();
    if (row === undefined) throw new DoesNotExistError(`There is no such ${this.meta.name}.`);
    if (second !== undefined)
      throw new MultipleObjectsError(`More than one ${this.meta.name} is like that: filter by something unique.`);
    return row;
  }
  /** By primary key, for code that doesn't know the entity. @throws DoesNotExistError. */
  byKey(key: unknown): Promise<M> {
    return this.filterDynamic({ [this.meta.pk.name]: key }).get();
  }
  /** The first row in order, of the key where none was asked for; undefined where there is none. */
  async first(): Promise<M | undefined> {
    const ordered = this.asked.order.length > 0 ? this : this.orderDynamic(this.meta.pk.name);
    return (await ordered.slice(0, 1).fetch())[0];
  }
  async count(): Promise<number> {
    if (this.#rows) return (await this.#rows).length;
    const { sql, params, empty } = this.with({ order: [], related: [] }).select();
    if (empty) return 0;
    return Number((await this.db.query(`SELECT count(*) FROM (${sql}) AS counted`, params)).rows[0]?.[0]);
  }
  /** The statement and its parameters, to look at. Sends nothing. */
  toSql(): { readonly sql: string; readonly params: readonly unknown[] } {
    const { sql, params } = this.select();
    return { sql, params };
  }

  /** Makes an object and saves it. @throws ValidationError, with all that is wrong. */
  async create(values: Values<M>): Promise<M> {
    return this.entity.of(values).save({ db: this.db });
  }
  /** Inserts many in one statement, checked all before; generated keys are filled in. */
  async bulkCreate(rows: readonly (Values<M> | M)[]): Promise<readonly M[]> {
    const objects = rows.map((row) => (row instanceof this.entity ? row : this.entity.of(row as Values<M>)));
    assertValid(objects, this.meta, true);
    await insertRows(this.db, this.meta, objects);
    return objects;
  }
  /** Changes all rows in one statement, without loading them; their versions count up. Returns how many. */
  async update(changes: Changes<M>, options: { readonly everything?: boolean } = {}): Promise<number> {
    this.assertNarrowed('update', options);
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta);
    const sets = Object.entries(changes).map(([name, value]) => compiler.assignment(scope, name, value));
    if (sets.length === 0) throw new InvalidQueryError('update() needs at least one field to change.');
    const { version } = this.meta;
    if (version) sets.push(`${quote(version.column)} = ${compiler.columnSql(scope, version)} + 1`);
    return this.#change(compiler, scope, `UPDATE ${quote(this.meta.table)} AS ${scope.alias} SET ${sets.join(', ')}`);
  }
  /** Deletes all rows; what refers to them does as its `onDelete` says. Returns how many. @throws ConstraintError where that is 'protect'. */
  async delete(options: { readonly everything?: boolean } = {}): Promise<number> {
    this.assertNarrowed('delete', options);
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta);
    return this.#change(compiler, scope, `DELETE FROM ${quote(this.meta.table)} AS ${scope.alias}`);
  }

  protected assertNarrowed(what: string, { everything = false }: { readonly everything?: boolean }): void {
    this.assertUnsliced(`${what}d`);
    // Also `exclude` of an empty list is no filter.
    const compiler = this.compiler();
    if (everything || compiler.where(compiler.scope(this.meta), this.asked.conditions) !== ALWAYS) return;
    throw new InvalidQueryError(
      `${what}() without a filter would reach every ${this.meta.name}: say ${what}(…, { everything: true }).`,
    );
  }

  protected compiler(): Compiler {
    return new Compiler();
  }

  protected async fetch(): Promise<readonly M[]> {
    const { sql, params, empty, read } = this.select();
    return empty ? [] : this.finish(read((await this.db.query(sql, params)).rows));
  }

  /** Loads what was to be prefetched, for all objects at once. */
  protected async finish(rows: readonly M[]): Promise<readonly M[]> {
    const { prefetched } = this.asked;
    if (prefetched.length > 0) await prefetch(this.db, rows, prefetched);
    return rows;
  }

  protected select() {
    const { conditions, order, from, to, related } = this.asked;
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta);
    const selected: string[] = [];
    const shape = shapeOf(compiler, scope, scope, related, selected);
    const where = compiler.where(scope, conditions);
    const tail = `${compiler.order(scope, order)}${compiler.limit(from, to)}`;
    const sql = `SELECT ${selected.join(', ')} FROM ${compiler.from(scope)}${where === ALWAYS ? '' : ` WHERE ${where}`}${tail}`;
    // What the columns say is what M says, by the decorators; the compiler can't follow it through SQL.
    const read = (rows: readonly Row[]) =>
      rows.map(hydrator(shape, { db: this.db, size: rows.length, loads: new Map() })) as M[];
    return { sql, params: compiler.params, empty: where === NEVER || from === to, read };
  }

  /** UPDATE and DELETE have no LEFT JOIN: where a condition needs one, the rows are found first. */
  async #change(compiler: Compiler, scope: Scope, what: string): Promise<number> {
    const where = compiler.where(scope, this.asked.conditions);
    if (where === NEVER) return 0;
    const key = compiler.columnSql(scope, this.meta.pk);
    const found = `${key} IN (SELECT ${key} FROM ${compiler.from(scope)} WHERE ${where})`;
    return (await this.db.query(`${what} WHERE ${scope.joins.size === 0 ? where : found}`, compiler.params)).count;
  }
}

/** Selects the columns of `at`, and of what is to be joined to it. */
function shapeOf(compiler: Compiler, start: Scope, at: Scope, paths: readonly string[], selected: string[]): Shape {
  const first = selected.length;
  selected.push(...at.meta.columns.map((column) => compiler.columnSql(at, column)));
  const related = byHead(paths).map(([head, rest]) => {
    const column = at.meta.column(head);
    if (!isForeignKey(column)) throw new InvalidQueryError(`selectRelated follows foreign keys; ${head} is none.`);
    return { column, shape: shapeOf(compiler, start, compiler.join(start, at, column), rest, selected) };
  });
  return { meta: at.meta, at: first, related };
}
