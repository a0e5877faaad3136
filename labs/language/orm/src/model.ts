import type { Database } from './database.ts';
import { deleteRows } from './deletion.ts';
import { DoesNotExistError, InvalidQueryError, type Issue, StaleObjectError } from './errors.ts';
import { quote } from './identifier.ts';
import { isForeignKey, ModelMeta } from './meta.ts';
import { QuerySet } from './query-set.ts';
import { Ref } from './relation.ts';
import { entityOf, keyOf, metaOf, Stored } from './stored.ts';
import type { Values } from './types.ts';
import { assertValid, faults, fillDefaults, insertRows, tryUpdate, updateRows } from './write.ts';

/** A class that extends Model and stands under `@Entity()`; its constructor takes nothing. */
export type EntityClass<M extends Model = Model> = (new () => M) & typeof Model;

export interface SaveOptions {
  /** Where to, for an object that is from no database yet. */
  readonly db?: Database;
  /** Only these fields, of a row that exists. Default: all. */
  readonly updateFields?: readonly string[];
  /** Default: a loaded object updates its row; a new one with a key updates, or else inserts; one without inserts. */
  readonly force?: 'insert' | 'update';
}

const metas = new WeakMap<object, ModelMeta>();

/**
 * An active record: an object is a row and knows how to save itself. There is no session that collects changes and no
 * identity map: two queries give two objects. What that could lose, a `version` field finds.
 *
 * After a rollback an object may hold what the database doesn't: `refresh()` it, or throw it away.
 */
export class Model extends Stored {
  // biome-ignore-start lint/complexity/noThisInStatic: these are for the classes that extend this one.
  /** What the decorators wrote down. @throws DefinitionError when no table can be made from the class. */
  static get meta(): ModelMeta {
    const meta = metas.get(this) ?? this.describe();
    metas.set(this, meta);
    return meta;
  }
  /** What `objects` makes; a class that extends QuerySet adds steps of your own to every entity below. */
  protected static readonly querySet: typeof QuerySet = QuerySet;
  protected static describe(): ModelMeta {
    return new ModelMeta(this);
  }

  /** All rows: where each query begins. */
  static objects<M extends Model>(this: EntityClass<M>, db: Database): QuerySet<M> {
    return new this.querySet<M>(db, this);
  }

  /** A new object, with defaults; `save({ db })` makes it a row. @throws UnknownFieldError. */
  static of<M extends Model>(this: EntityClass<M>, values: Values<M>): M {
    const object = new this();
    for (const [name, value] of Object.entries(values)) {
      const column = this.meta.column(name);
      if (value === undefined) throw new InvalidQueryError(`${name} is undefined: leave it out, or say null.`);
      Reflect.set(object, name, isForeignKey(column) ? asRef(column.target, value) : value);
    }
    fillDefaults(object, this.meta);
    return object;
  }

  // biome-ignore-end lint/complexity/noThisInStatic: as above.

  // Called around save() and delete() of one object, in their transaction. Bulk statements don't call them.
  beforeSave?(): unknown;
  afterSave?(created: boolean): unknown;
  beforeDelete?(): unknown;
  afterDelete?(): unknown;

  /** All that is wrong with this object. Extend it for rules over several fields: `[...super.validate(), …]`. */
  validate(): Issue[] {
    return faults(this, metaOf(this));
  }

  /**
   * @throws ValidationError with all that is wrong, before anything is sent; StaleObjectError when the row has been
   *   changed since it was loaded, where there is a version; DoesNotExistError when it is gone.
   */
  async save(options: SaveOptions = {}): Promise<this> {
    const db = options.db ?? this.#database();
    const hooked = this.beforeSave !== undefined || this.afterSave !== undefined;
    const save = async () => {
      await this.beforeSave?.();
      assertValid([this], metaOf(this), options.updateFields ? { fields: options.updateFields } : {});
      const created = await this.#write(db, options);
      Stored.setBatch(this, Stored.batchOf(this) ?? { db, size: 1, loads: new Map() });
      await this.afterSave?.(created);
    };
    await (hooked ? db.transaction(save) : save());
    return this;
  }

  /** True when it was an INSERT. */
  async #write(db: Database, { updateFields, force }: SaveOptions): Promise<boolean> {
    const meta = metaOf(this);
    const fields = updateFields ?? [...meta.fields.keys()];
    const loaded = Stored.batchOf(this) !== undefined;
    if (force === 'update' || updateFields || (loaded && force !== 'insert')) {
      await updateRows(db, meta, [this], fields);
      return false;
    }
    if (force !== 'insert' && keyOf(this) !== undefined && (await tryUpdate(db, meta, [this], fields)) > 0)
      return false;
    await insertRows(db, meta, [this]);
    return true;
  }

  /**
   * Deletes the row, and what refers to it as its `onDelete` says. Returns how many rows of each entity.
   * @throws ProtectedError; StaleObjectError; DoesNotExistError.
   */
  async delete(): Promise<Readonly<Record<string, number>>> {
    const db = this.#database();
    return db.transaction(async () => {
      await this.beforeDelete?.();
      const { name, version, table, pk } = metaOf(this);
      const checked = quote((version ?? pk).column);
      const sql = `SELECT ${checked} FROM ${quote(table)} WHERE ${quote(pk.column)} = $1 FOR UPDATE`;
      const [row] = (await db.query(sql, [pk.encode(keyOf(this))])).rows;
      if (!row) throw new DoesNotExistError(`${name} ${String(keyOf(this))} has been deleted before.`);
      if (version && row[0] !== Reflect.get(this, version.name)) {
        throw new StaleObjectError(
          `${name} ${String(keyOf(this))} has been changed since it was loaded: refresh() and decide again.`,
        );
      }
      const counts = await deleteRows(db, entityOf(this), [keyOf(this)]);
      await this.afterDelete?.();
      return counts;
    });
  }

  /** Reads the row again, over what this object holds. @throws DoesNotExistError. */
  async refresh(): Promise<this> {
    const [db, meta] = [this.#database(), metaOf(this)];
    const fresh = await entityOf(this).objects(db).byKey(keyOf(this));
    for (const { name } of meta.columns) Reflect.set(this, name, Reflect.get(fresh, name));
    return this;
  }

  #database(): Database {
    const batch = Stored.batchOf(this);
    if (!batch) throw new InvalidQueryError(`This ${metaOf(this).name} is from no database yet: save({ db }) it.`);
    return batch.db;
  }
}

function asRef(target: () => EntityClass, value: unknown): unknown {
  if (value === null || value instanceof Ref) return value;
  return value instanceof Model ? Ref.to(value) : new Ref(target, value);
}
