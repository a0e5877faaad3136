import { ALWAYS, Compiler, type Condition, NEVER, type Scope } from './compiler.ts';
import type { Database, Statement } from './database.ts';
import { DoesNotExistError, InvalidQueryError, MultipleObjectsError, ValidationError } from './errors.ts';
import { kept, Q } from './expression.ts';
import { prefetch, reader } from './load.ts';
import { entityOf, keyOf, type ModelMeta, quote, Stored } from './meta.ts';
import type { EntityClass, Model } from './model.ts';
import type { Changes, ColumnPath, RefPath, RelationPath, Values, Where } from './types.ts';

/** New objects whose INSERT is on its way. */
const inserting = new WeakSet<Model>();

/** What a query asks for: at first all rows, as objects, in no order. Never changed: each step makes a new one. */
export class Query {
  readonly conditions: readonly Condition[] = [];
  readonly order: readonly string[] = [];
  readonly from: number = 0;
  readonly to: number = Number.POSITIVE_INFINITY;
  readonly related: readonly string[] = [];
  readonly prefetched: readonly string[] = [];
}

/** A query on one entity: each step is a new set and sends nothing. It has no `then`: async functions can return it. */
export class QuerySet<M extends Model> implements AsyncIterable<M> {
  protected readonly db: Database;
  protected readonly entity: EntityClass<M>;
  protected readonly asked: Query;
  #rows: Promise<readonly M[]> | undefined;

  constructor(db: Database, entity: EntityClass<M>, asked = new Query()) {
    this.db = db;
    this.entity = entity;
    this.asked = asked;
  }
  protected get meta(): ModelMeta {
    return this.entity.meta;
  }

  /** Rows for which all conditions hold. Through one relation to many they speak of one row, a Q.not of any. */
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
  slice(from: number, ...upTo: readonly [] | readonly [to: number]): QuerySet<M> {
    // Left out is the end of all rows; a limit that is undefined is not.
    const to = upTo.length === 0 ? Number.POSITIVE_INFINITY : upTo[0];
    const whole = Number.isSafeInteger(from) && (Number.isSafeInteger(to) || to === Number.POSITIVE_INFINITY);
    if (!whole || from < 0 || to < from)
      throw new InvalidQueryError(`A slice counts from the start, 0 ≤ from ≤ to; it is ${from} to ${to}.`);
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
    return this.with({ conditions: [...this.asked.conditions, kept(condition)] });
  }
  protected assertUnsliced(what: string): void {
    const { from, to } = this.asked;
    if (from > 0 || to < Number.POSITIVE_INFINITY)
      throw new InvalidQueryError(`A slice can't be ${what}: filter first, slice last.`);
  }

  /** All rows. Until this set creates or changes some, the second call, like a second iteration, sends nothing. */
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
    const [row, second] = await (conditions.length > 0 ? this.filter(...conditions) : this).slice(0, 2).fetch();
    if (row === undefined) throw new DoesNotExistError(`There is no such ${this.entity.name}.`);
    if (second !== undefined)
      throw new MultipleObjectsError(`More than one ${this.entity.name} is like that: filter by something unique.`);
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
    return empty ? 0 : Number((await this.db.query(`SELECT count(*) FROM (${sql}) AS counted`, params)).rows[0]?.[0]);
  }
  /** The statement and its parameters, to look at. Sends nothing. */
  toSql(): Statement {
    const { sql, params } = this.select();
    return { sql, params };
  }

  /** Makes an object and saves it. @throws ValidationError, with all that is wrong. */
  async create(values: Values<M>): Promise<M> {
    const saved = this.entity.of(values).save({ db: this.db });
    return saved.finally(() => (this.#rows = undefined));
  }
  /** Inserts many in one statement, checked all before; fills in generated keys. Throws where a trigger keeps one out. */
  async bulkCreate(rows: readonly (Values<M> | M)[]): Promise<readonly M[]> {
    const own = (row: Values<M> | M): row is M => row instanceof this.entity && entityOf(row) === this.entity;
    const objects = rows.map((row) => (own(row) ? row : this.entity.of(row as Values<M>)));
    const issues = objects.flatMap((object, row) =>
      object.validate().map((issue) => (objects.length > 1 ? { ...issue, row } : issue)),
    );
    if (issues.length > 0) throw new ValidationError(this.entity.name, issues);
    if (objects.length > 0) await this.#insert(objects).finally(() => (this.#rows = undefined));
    return objects;
  }
  /** One array a column: as many rows as you like, and no more parameters than columns (Postgres takes 65,535). */
  async #insert(objects: readonly M[]): Promise<void> {
    const { table, pk, columns } = this.meta;
    const keyless = objects.filter((object) => keyOf(object) === undefined).length;
    if (keyless > 0 && keyless < objects.length) throw new InvalidQueryError('Give all of the objects a key, or none.');
    const given = keyless > 0 ? columns.filter((column) => column !== pk) : columns;
    const names = given.map(({ column }) => quote(column)).join(', ');
    const arrays = given.map(({ type }, at) => `$${at + 1}::${type().array}[]`).join(', ');
    const sql = `INSERT INTO ${quote(table)} (${names}) SELECT * FROM unnest(${arrays}) RETURNING ${quote(pk.column)}`;
    const params = given.map((column) => objects.map((object) => column.encode(Reflect.get(object, column.name))));
    // Saved by two at once, or twice in the list, one object would be two rows.
    if (objects.some((object) => inserting.has(object)) || new Set(objects).size < objects.length)
      throw new InvalidQueryError(`One ${this.entity.name} is being inserted twice: await its first save.`);
    for (const object of objects) inserting.add(object);
    try {
      const { rows, count } = await this.db.query(sql, params);
      if (count < objects.length)
        throw new DoesNotExistError(`Of ${objects.length} rows ${count} were inserted: a trigger keeps some out.`);
      for (const [at, object] of objects.entries()) {
        const key = rows[at]?.[0];
        Reflect.set(object, pk.name, key);
        Stored.setBatch(object, { db: this.db, loads: new Map() }, key);
      }
    } finally {
      for (const object of objects) inserting.delete(object);
    }
  }
  /** Changes all rows in one statement, without loading them; their versions count up. Returns how many. */
  update(changes: Changes<M>, { everything }: { readonly everything?: boolean } = {}): Promise<number> {
    return this.#change('update', everything, (compiler, scope) => {
      const sets = Object.entries(changes).map(([name, value]) => compiler.assignment(scope, name, value));
      if (sets.length === 0) throw new InvalidQueryError('update() needs at least one field to change.');
      const { version } = this.meta;
      if (version) sets.push(`${quote(version.column)} = ${compiler.columnSql(scope, version)} + 1`);
      return `UPDATE ${scope.sql} SET ${sets.join(', ')}`;
    });
  }
  /** Deletes all rows; what refers to them does as its `onDelete` says. Returns how many. @throws ConstraintError. */
  delete({ everything }: { readonly everything?: boolean } = {}): Promise<number> {
    return this.#change('delete', everything, (_, { sql }) => `DELETE FROM ${sql}`);
  }
  async #change(verb: 'update' | 'delete', whole: unknown, what: (compiler: Compiler, scope: Scope) => string) {
    this.assertUnsliced(`${verb}d`);
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta);
    const head = what(compiler, scope);
    const where = compiler.where(scope, this.asked.conditions);
    if (whole !== true) this.assertNarrowed(where, verb);
    if (where === NEVER) return 0;
    // They have no LEFT JOIN: for one the rows are found first, and locked: it has to hold after a wait for a row, too.
    const key = compiler.columnSql(scope, this.meta.pk);
    const found = `${key} IN (SELECT ${key} FROM ${compiler.from(scope)} WHERE ${where} FOR NO KEY UPDATE OF ${scope.alias})`;
    const sent = this.db.query(`${head} WHERE ${scope.joins.size === 0 ? where : found}`, compiler.params);
    return (await sent.finally(() => (this.#rows = undefined))).count;
  }
  /** Also `exclude` of an empty list is no filter. */
  protected assertNarrowed(where: string, verb: string): void {
    if (where === ALWAYS)
      throw new InvalidQueryError(`${verb}() would reach every ${this.entity.name}: give { everything: true } for it.`);
  }

  protected compiler(): Compiler {
    return new Compiler();
  }

  protected async fetch(): Promise<readonly M[]> {
    const { sql, params, empty, read } = this.select();
    // Of no objects: nothing is sent, and a wrong name is known before anything is.
    if (this.asked.prefetched.length > 0) await prefetch(this.db, this.meta, [], this.asked.prefetched);
    if (empty) return [];
    const { rows } = await this.db.query(sql, params);
    const batch = { db: this.db, loads: new Map<string, number>() };
    // What the columns say is what M says, by the decorators; the compiler can't follow it through SQL.
    return this.finish(rows.map((row) => read(row, batch)) as M[]);
  }

  /** Loads what was to be prefetched, for all objects at once. */
  protected async finish(rows: readonly M[]): Promise<readonly M[]> {
    await prefetch(this.db, this.meta, rows, this.asked.prefetched);
    return rows;
  }

  protected select() {
    const { conditions, order, from, to, related } = this.asked;
    const compiler = this.compiler();
    const scope = compiler.scope(this.meta);
    const selected: string[] = [];
    const read = reader(compiler, scope, related, selected);
    const where = compiler.where(scope, conditions);
    const tail = `${compiler.order(scope, order)}${compiler.limit(from, to)}`;
    const sql = `SELECT ${selected.join(', ')} FROM ${compiler.from(scope)}${where === ALWAYS ? '' : ` WHERE ${where}`}${tail}`;
    return { sql, params: compiler.params, empty: where === NEVER || from === to, read };
  }
}
