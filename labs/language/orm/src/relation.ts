import { InvalidQueryError, NotLoadedError } from './errors.ts';
import type { FieldDecorator, FieldOptions } from './field.ts';
import { addColumn, addMany, Column, type OnDelete, snakeCase } from './meta.ts';
import type { EntityClass, Model } from './model.ts';
import { type Batch, entityOf, keyOf, Stored } from './stored.ts';
import type { PkOf, RefKey } from './types.ts';

/** One end of a foreign key: it knows the other row's key, and the object once that has been loaded. */
export class Ref<T extends Model> {
  readonly #target: () => EntityClass<T>;
  readonly #key: unknown;
  readonly #from: { readonly name: string; readonly batch: Batch } | undefined;
  #object: T | undefined;

  constructor(target: () => EntityClass<T>, key: unknown, from?: { readonly name: string; readonly batch: Batch }) {
    this.#target = target;
    this.#key = key;
    this.#from = from;
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
    const how = `add .selectRelated('${this.#from?.name}') to the query, or await load()`;
    throw new NotLoadedError(`${this.#target().name} ${String(this.#key)} is not loaded: ${how}.`);
  }
  /** The other object, by a query of its own unless it is loaded. In a loop this is N+1, which the database reports. */
  async load(): Promise<T> {
    if (this.#object) return this.#object;
    if (!this.#from) throw new InvalidQueryError('This reference knows no database: save or read its object first.');
    const { name, batch } = this.#from;
    batch.db.noteLoad(batch, name);
    const object = await this.#target().objects(batch.db).byKey(this.#key);
    this.set(object);
    return object;
  }
  set(object: T): void {
    this.#object = object;
  }
  toJSON(): unknown {
    return this.id;
  }
}

/** The other end: the objects that refer to one. */
export class Many<T extends Model> {
  readonly #name: string;
  #items: readonly T[] | undefined;

  constructor(name: string) {
    this.#name = name;
  }
  /** The objects. No query, since in a loop that would be N+1. @throws NotLoadedError unless they were prefetched. */
  get items(): readonly T[] {
    if (this.#items) return this.#items;
    throw new NotLoadedError(`${this.#name} is not loaded: add .prefetch('${this.#name}') to the query.`);
  }
  set(items: readonly T[]): void {
    this.#items = items;
  }
}

class KeyColumn extends Column {
  readonly target: () => EntityClass;
  readonly onDelete: OnDelete;

  constructor(name: string, options: ForeignKeyOptions, target: () => EntityClass) {
    super(name, { column: `${snakeCase(name)}_id`, ...options }, () => target().meta.pk.type);
    this.target = target;
    this.onDelete = options.onDelete;
  }
  override raw(value: unknown): unknown {
    // An object of another entity has a key too, of another table: it stays an object, which no column takes.
    const object = value instanceof Ref && value.isLoaded ? value.value : value;
    if (object instanceof Ref) return object.id;
    return object instanceof Stored && entityOf(object) === this.target() ? keyOf(object) : object;
  }
  override wrap(value: unknown, batch: Batch): unknown {
    return value === null ? null : new Ref(this.target, value, { name: this.name, batch });
  }
}

export interface ForeignKeyOptions extends Pick<FieldOptions<never>, 'null' | 'unique' | 'column'> {
  /** What becomes of this row when the other is deleted: it goes too, it forbids that, or it forgets (needs `null`). */
  readonly onDelete: OnDelete;
}

/** `@ForeignKey(() => Author, { onDelete: 'protect' }) declare author: Ref<Author>`. Indexed. */
export function ForeignKey<T extends Model, const O extends ForeignKeyOptions>(
  target: () => EntityClass<T>,
  options: O,
): FieldDecorator<O extends { readonly null: true } ? Ref<T> | null : Ref<T>> {
  return (owner: object, name: string) => addColumn(owner, new KeyColumn(name, options, target));
}

/** `@Reverse(() => Book, 'author') declare books: Many<Book>`: the objects whose foreign key `via` is this one. */
export function Reverse<T extends Model>(source: () => EntityClass<T>, via: RefKey<T>): FieldDecorator<Many<T>> {
  return (owner: object, name: string) => {
    addMany(owner, { name, source, via });
    const made = new WeakMap<Stored, Many<T>>();
    Object.defineProperty(owner, name, {
      get(this: Stored) {
        const many = made.get(this) ?? new Many<T>(name);
        made.set(this, many);
        return many;
      },
    });
  };
}
