import type { ColumnType } from './column-types.ts';
import type { Database } from './database.ts';
import { DefinitionError, UnknownFieldError } from './errors.ts';
import type { FieldOptions } from './field.ts';
import type { EntityClass } from './model.ts';

/** A name of the metadata, quoted: `order` and `a"b` are names like any other. @throws DefinitionError. */
export function quote(name: string): string {
  // Postgres would cut off what is longer, silently.
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > 63 || name.includes('\0') || !name.isWellFormed())
    throw new DefinitionError(`${JSON.stringify(name)} is no name: Postgres takes 1 to 63 bytes of text without NUL.`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** `createdAt` → `created_at`, `HTTPServer` → `http_server`. */
export const snakeCase = (name: string): string =>
  name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_').toLowerCase();

export type ColumnOptions = FieldOptions<unknown> & { readonly version?: boolean };

/** One column of one table: what a decorator wrote down about a property. */
export class Column {
  readonly name: string;
  readonly options: ColumnOptions;
  readonly column: string;
  /** Of a foreign key it is the other key's, whose class may not exist yet. */
  readonly type: () => ColumnType;

  constructor(name: string, options: ColumnOptions, type: () => ColumnType) {
    this.name = name;
    this.options = options;
    this.column = options.column ?? snakeCase(name);
    this.type = type;
  }

  /** The database makes the value up when none is given. */
  get generated(): boolean {
    return this.options.primaryKey === true && this.type().sql === 'integer';
  }
  /** What a new object has: undefined where a value is required or comes from the database. */
  get initial(): unknown {
    const { default: value, version, null: nullable } = this.options;
    if (value !== undefined) return typeof value === 'function' ? value() : structuredClone(value);
    return version ? 1 : nullable ? null : undefined;
  }
  /** What is wrong with `value` for this column, as the end of a sentence. */
  fault(value: unknown): string | undefined {
    const raw = this.raw(value);
    if (raw === null && this.options.null) return undefined;
    if (raw === null || raw === undefined)
      return value === raw ? 'is required' : 'refers to an object that has not been saved';
    return this.type().check(raw) ?? this.options.validate?.(raw);
  }
  encode(value: unknown): unknown {
    const raw = this.raw(value) ?? null;
    return this.type().encode?.(raw) ?? raw;
  }
  /** The key in place of the object, where this is a relation. */
  raw(value: unknown): unknown {
    return value;
  }
  /** What the object holds in place of what the row holds, where this is a relation. */
  wrap?(value: unknown, owner: Stored): unknown;
}

/** The other end of a relation: many objects whose `via` is this one. */
export interface ManyRelation {
  readonly name: string;
  readonly source: () => EntityClass;
  readonly via: string;
}

/** What a decorator wrote down about a property. */
export type Declared = Column | ManyRelation;
/** By the prototype of one class: it must never reach the base, nor a sibling through it. */
const declared = new WeakMap<object, readonly Declared[]>();
export const declaredBy = (prototype: object): readonly Declared[] => declared.get(prototype) ?? [];
export const declareOn = (prototype: object, property: Declared): void =>
  void declared.set(prototype, [...declaredBy(prototype), property]);

const entities = new WeakMap<EntityClass, string>();

/** Makes a table of a class, named as that in snake_case. Without it the fields are for the classes that extend it. */
export const Entity =
  (options: { readonly table?: string } = {}) =>
  (entity: EntityClass): void =>
    void entities.set(entity, options.table ?? snakeCase(entity.name));

/** Django's `_meta`: everything that the decorators of an entity wrote down, checked once. */
export class ModelMeta {
  readonly entity: EntityClass;
  readonly table: string;
  /** Columns and relations to many, by the names of their properties. */
  readonly properties: ReadonlyMap<string, Declared>;
  readonly columns: readonly Column[];
  readonly pk: Column;
  readonly version: Column | undefined;

  /** @throws DefinitionError when no table can be made from the class. */
  constructor(entity: EntityClass) {
    this.entity = entity;
    this.table = entities.get(entity) ?? this.#refuse('put @Entity() above it');
    this.properties = this.collect();
    this.columns = [...this.properties.values()].filter((each) => each instanceof Column);
    this.pk = this.#only('primaryKey') ?? this.#refuse('it has no field with { primaryKey: true }');
    this.version = this.#only('version');
    this.checkDefinition();
  }

  /** From the class and those that it extends, base first; a redeclared name replaces the base's. */
  protected collect(): ReadonlyMap<string, Declared> {
    const chain: object[] = [];
    for (let at: object | null = this.entity.prototype; at; at = Object.getPrototypeOf(at)) chain.unshift(at);
    return new Map(chain.flatMap(declaredBy).map((each) => [each.name, each]));
  }

  protected checkDefinition(): void {
    for (const name of [this.table, ...this.columns.map(({ column }) => column)]) quote(name);
    const blank = new this.entity();
    for (const name of this.properties.keys()) {
      if (`${name}_`.includes('__'))
        this.#refuse(`${name} has "__" in it or ends with "_", and "__" separates the steps of a lookup`);
      if (Object.hasOwn(blank, name))
        this.#refuse(`its class sets ${name} itself, over what a row holds: write "declare ${name}: …", without "!"`);
    }
    const { name, type } = this.pk;
    if (type().sql.startsWith('timestamp'))
      this.#refuse(`its key ${name} is ${type().sql}: two that are equal are two objects here`);
    const twice = this.columns.find((one) => this.columns.some((two) => two !== one && two.column === one.column));
    if (twice) this.#refuse(`two fields have the column ${twice.column}`);
    if (this.columns.every((one) => [this.pk, this.version].includes(one))) this.#refuse('it has no field but its key');
  }

  /** @throws UnknownFieldError, which lists the choices. */
  column(name: string): Column {
    const found = this.properties.get(name);
    if (found instanceof Column) return found;
    const choices = this.columns.map((column) => column.name);
    throw new UnknownFieldError(name, this.entity.name, choices);
  }

  #only(flag: 'primaryKey' | 'version'): Column | undefined {
    const [first, second] = this.columns.filter(({ options }) => options[flag]);
    if (second) this.#refuse(`both ${first?.name} and ${second.name} have { ${flag}: true }`);
    if (first?.options.null) this.#refuse(`${first.name} has { ${flag}: true } and may be NULL`);
    return first;
  }
  #refuse(why: string): never {
    throw new DefinitionError(`No table can be made from ${this.entity.name}: ${why}.`);
  }
}

/** Objects that came from one query. Loading a relation one by one on many of them is what N+1 means. */
export interface Batch {
  readonly db: Database;
  readonly loads: Map<string, number>;
}

/** Where an object came from: undefined until it is first saved or loaded. */
export class Stored {
  #batch: Batch | undefined;
  #key: unknown;

  static readonly batchOf = (object: Stored): Batch | undefined => object.#batch;
  /** The key of the row, whatever becomes of the property. */
  static readonly storedKey = (object: Stored): unknown => object.#key;
  static setBatch(object: Stored, batch: Batch, key: unknown): void {
    object.#batch = batch;
    object.#key = key;
  }
}

/** Entities are classes that extend Model, and `constructor` is theirs: the compiler only knows that it's a function. */
export const entityOf = (object: Stored): EntityClass => object.constructor as EntityClass;
export const metaOf = (object: Stored): ModelMeta => entityOf(object).meta;
export const keyOf = (object: Stored): unknown => Reflect.get(object, metaOf(object).pk.name);
