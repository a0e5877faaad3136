import { DefinitionError, InvalidQueryError, NotLoadedError } from './errors.ts';
import type { FieldDecorator, FieldOptions, Value } from './field.ts';
import { Column, declareOn, entityOf, keyOf, type ManyRelation, type ModelMeta, Stored, snakeCase } from './meta.ts';
import type { EntityClass, Model } from './model.ts';
import type { PkOf, RefKey } from './types.ts';

/** One end of a foreign key: it knows the other row's key, and the object once that has been loaded. */
export class Ref<T extends Model> {
  readonly target: () => EntityClass<T>;
  readonly #key: unknown;
  readonly #name: string;
  readonly #owner: Stored | undefined;
  #object: T | undefined;

  /** `load` looks where the `owner` came from, whose property `name` it is. */
  constructor(target: () => EntityClass<T>, key: unknown, name = '', owner?: Stored) {
    this.target = target;
    this.#key = key;
    this.#name = name;
    this.#owner = owner;
  }

  /** A reference to an object. A new one has to be saved before the object that refers to it. */
  static to<T extends Model>(object: T): Ref<T> {
    // The entity of a T is the class of Ts.
    const ref = new Ref<T>(() => entityOf(object) as EntityClass<T>, undefined);
    ref.set(object);
    return ref;
  }

  /** The other row's key. No query. */
  get id(): PkOf<T> {
    // What the row held, or what the other object has as its key: the database made sure that it is one.
    return (this.#object ? keyOf(this.#object) : this.#key) as PkOf<T>;
  }
  get isLoaded(): boolean {
    return this.#object !== undefined;
  }
  /** The other object. No query. @throws NotLoadedError unless it was selected, prefetched or loaded before. */
  get value(): T {
    if (this.#object) return this.#object;
    const how = `add .selectRelated('${this.#name}') to the query, or await load()`;
    throw new NotLoadedError(`${this.target().name} ${String(this.#key)} is not loaded: ${how}.`);
  }
  /** The other object, by a query of its own unless it is loaded. In a loop this is N+1, which the database reports. */
  async load(): Promise<T> {
    if (this.#object) return this.#object;
    const batch = this.#owner && Stored.batchOf(this.#owner);
    if (!batch) throw new InvalidQueryError('This reference knows no database: save or read its object first.');
    batch.db.noteLoad(batch, this.#name, this.load);
    this.#object = await this.target().objects(batch.db).byKey(this.#key);
    return this.#object;
  }
  set(object: T | undefined): void {
    this.#object = object;
  }
  toJSON(): unknown {
    return this.id;
  }
}

export type OnDelete = 'cascade' | 'protect' | 'setNull';

export class KeyColumn extends Column {
  readonly target: () => EntityClass;
  readonly onDelete: OnDelete;

  constructor(name: string, options: ForeignKeyOptions, target: () => EntityClass) {
    super(name, { column: `${snakeCase(name)}_id`, ...options }, () => target().meta.pk.type());
    this.target = target;
    this.onDelete = options.onDelete;
  }
  override raw(value: unknown): unknown {
    // An object of another entity has a key too, of another table: it stays an object, which no column takes.
    if (value instanceof Ref && value.target() === this.target()) return value.id;
    return value instanceof Stored && entityOf(value) === this.target() ? keyOf(value) : value;
  }
  override wrap(value: unknown, owner: Stored): unknown {
    return value === null || value instanceof Ref ? value : new Ref(this.target, value, this.name, owner);
  }
}

/** The other end of a relation to many of `entity`. @throws DefinitionError where it refers to another, or to its base. */
export function foreignKey({ name, source, via }: ManyRelation, { entity }: ModelMeta): KeyColumn {
  const column = source().meta.column(via);
  if (column instanceof KeyColumn && column.target() === entity) return column;
  const other = column instanceof KeyColumn ? `refers to ${column.target().name}` : 'is no foreign key';
  throw new DefinitionError(`${name} leads nowhere from ${entity.name}: ${via} of ${source().name} ${other}.`);
}

export interface ForeignKeyOptions<N extends boolean = boolean>
  extends Pick<FieldOptions<never, N>, 'null' | 'unique' | 'column'> {
  /** What becomes of this row when the other is deleted: it goes too, it forbids that, or it forgets (needs `null`). */
  readonly onDelete: N extends true ? OnDelete : Exclude<OnDelete, 'setNull'>;
}

/** `@ForeignKey(() => Author, { onDelete: 'protect' }) declare author: Ref<Author>`. Indexed. */
export function ForeignKey<T extends Model, N extends boolean = false>(
  target: () => EntityClass<T>,
  options: ForeignKeyOptions<N>,
): FieldDecorator<Value<N, Ref<T>>> {
  return (owner: object, name: string) => declareOn(owner, new KeyColumn(name, options, target));
}

/** `@Reverse(() => Book, 'author') declare books: readonly Book[]`: the objects whose foreign key `via` is this one. */
export function Reverse<T extends Model>(source: () => EntityClass<T>, via: RefKey<T>): FieldDecorator<readonly T[]> {
  return (owner: object, name: string) => {
    declareOn(owner, { name, source, via });
    // A query here would be N+1 in a loop.
    const get = () => {
      throw new NotLoadedError(`${name} is not loaded: add .prefetch('${name}') to the query.`);
    };
    Object.defineProperty(owner, name, { get });
  };
}
