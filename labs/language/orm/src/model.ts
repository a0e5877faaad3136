import type { Database } from './database.ts';
import { DoesNotExistError, InvalidQueryError, type Issue, StaleObjectError, ValidationError } from './errors.ts';
import { Column, entityOf, keyOf, ModelMeta, metaOf, Stored } from './meta.ts';
import { QuerySet } from './query-set.ts';
import { Ref } from './relation.ts';
import type { Values } from './types.ts';

/** A class that extends Model and stands under `@Entity()`; its constructor takes nothing. */
export type EntityClass<M extends Model = Model> = (new () => M) & typeof Model;

const metas = new WeakMap<object, ModelMeta>();

/** A row that can save itself. What was rolled back it still holds, its version too: `refresh()` before the next save. */
export class Model extends Stored {
  // biome-ignore-start lint/complexity/noThisInStatic: these are for the classes that extend this one.
  /** What the decorators wrote down. @throws DefinitionError when no table can be made from the class. */
  static get meta(): ModelMeta {
    const meta = metas.get(this) ?? this.describe();
    metas.set(this, meta);
    return meta;
  }
  /** What `objects` makes: a class that extends QuerySet, to do one of its steps otherwise. */
  protected static readonly querySet: typeof QuerySet = QuerySet;
  protected static describe(): ModelMeta {
    return new ModelMeta(this);
  }

  /** All rows: where each query begins. */
  static objects<M extends Model>(this: EntityClass<M>, db: Database): QuerySet<M> {
    return new this.querySet<M>(db, this);
  }

  /** A new object, with defaults; `save({ db })` makes it a row. @throws UnknownFieldError; InvalidQueryError. */
  static of<M extends Model>(this: EntityClass<M>, values: Values<M>): M {
    if (values instanceof Stored)
      throw new InvalidQueryError(`A ${this.name} is made of values; this is an object of ${entityOf(values).name}.`);
    const object = new this();
    for (const { name, initial } of this.meta.columns) Reflect.set(object, name, initial);
    for (const [name, value] of Object.entries<unknown>(values)) {
      const column = this.meta.column(name);
      if (value === undefined) throw new InvalidQueryError(`${name} is undefined: leave it out, or say null.`);
      const held = value instanceof Model ? Ref.to(value) : value;
      Reflect.set(object, name, column.wrap ? column.wrap(held, object) : held);
    }
    return object;
  }

  // biome-ignore-end lint/complexity/noThisInStatic: as above.

  /** All that is wrong with this object. Extend it for rules over several fields: `[...super.validate(), …]`. */
  validate(): Issue[] {
    return metaOf(this).columns.flatMap((column) => {
      const value: unknown = Reflect.get(this, column.name);
      const message = column.generated && value === undefined ? undefined : column.fault(value);
      return message === undefined ? [] : [{ field: column.name, message }];
    });
  }

  /**
   * Inserts a new object, into `db`; updates the row of one that was loaded or saved before. @throws ValidationError;
   * InvalidQueryError where its key was changed; StaleObjectError; DoesNotExistError.
   */
  async save({ db }: { readonly db?: Database } = {}): Promise<this> {
    const rows = this.#rows(db);
    await (Stored.batchOf(this) ? this.#update(rows) : rows.bulkCreate([this]));
    return this;
  }
  async #update(rows: QuerySet<Model>): Promise<void> {
    const { entity, columns, pk, version } = metaOf(this);
    const issues = this.validate();
    if (issues.length > 0) throw new ValidationError(entity.name, issues);
    const changed = columns.filter((column) => column !== pk && column !== version);
    // The types of the columns are known at run time only, and were checked above.
    const changes = Object.fromEntries(changed.map(({ name }) => [name, Reflect.get(this, name)])) as object;
    await this.#change(rows, (row) => row.update(changes));
    if (version) Reflect.set(this, version.name, Number(Reflect.get(this, version.name)) + 1);
  }

  /** The condition that the row is this one, still at the version that was loaded. */
  protected sameRow(): Readonly<Record<string, unknown>> {
    const { pk, version = pk } = metaOf(this);
    return { [pk.name]: keyOf(this), [version.name]: Reflect.get(this, version.name) };
  }
  /** Changes the row of this object. One with a key that the object was given since is another. */
  async #change(rows: QuerySet<Model>, change: (row: QuerySet<Model>) => Promise<number>): Promise<void> {
    const { entity, version } = metaOf(this);
    const [now, key] = [keyOf(this), Stored.storedKey(this)];
    const row = `${entity.name} ${String(key)}`;
    if (now !== key)
      throw new InvalidQueryError(`${row} keeps its key, not ${String(now)}: make a new object, or update() the key.`);
    if ((await change(rows.filterDynamic(this.sameRow()))) > 0) return;
    if (!version) throw new DoesNotExistError(`${row} has been deleted since it was loaded.`);
    throw new StaleObjectError(`${row} has been changed or deleted since it was loaded: refresh() and decide again.`);
  }

  /** Deletes the row; what refers to it does as its `onDelete` says. @throws ConstraintError, and as `save`. */
  async delete(): Promise<void> {
    await this.#change(this.#rows(), (row) => row.delete());
  }

  /** Reads the row again, over what this object holds; relations are to be loaded again. @throws DoesNotExistError. */
  async refresh(): Promise<this> {
    const fresh = await this.#rows().byKey(Stored.storedKey(this));
    for (const [name, property] of metaOf(this).properties)
      if (property instanceof Column) Reflect.set(this, name, Reflect.get(fresh, name));
      else Reflect.deleteProperty(this, name);
    return this;
  }

  #rows(db = Stored.batchOf(this)?.db): QuerySet<Model> {
    if (db) return entityOf(this).objects(db);
    throw new InvalidQueryError(`This ${entityOf(this).name} is from no database yet: save({ db }) it.`);
  }
}
