import 'reflect-metadata';
import type { ColumnType } from './column-types.ts';
import { DefinitionError, UnknownFieldError } from './errors.ts';
import type { FieldOptions } from './field.ts';
import { quote, snakeCase } from './identifier.ts';
import type { EntityClass } from './model.ts';
import type { Batch } from './stored.ts';

export interface ColumnOptions extends FieldOptions<unknown> {
  readonly version?: boolean;
}

/** One column of one table: what a decorator wrote down about a property. */
export class Column {
  readonly name: string;
  readonly options: ColumnOptions;
  readonly column: string;
  readonly #type: () => ColumnType;

  constructor(name: string, options: ColumnOptions, type: () => ColumnType) {
    this.name = name;
    this.options = options;
    this.column = options.column ?? snakeCase(name);
    this.#type = type;
  }

  get type(): ColumnType {
    return this.#type();
  }
  /** The database makes the value up when none is given. */
  get generated(): boolean {
    return this.options.primaryKey === true && ['integer', 'bigint', 'uuid'].includes(this.type.sql);
  }
  /** What is wrong with `value` for this column, as the end of a sentence. */
  fault(value: unknown): string | undefined {
    const raw = this.raw(value);
    if (raw === null || raw === undefined) return this.options.null ? undefined : 'is required';
    return this.type.check(raw) ?? this.options.validate?.(raw);
  }
  encode(value: unknown): unknown {
    const raw = this.raw(value);
    if (raw === null || raw === undefined) return null;
    return this.type.encode ? this.type.encode(raw) : raw;
  }
  /** The key in place of the object, where this is a relation. */
  raw(value: unknown): unknown {
    return value;
  }
  /** What the object holds in place of what the row holds, where this is a relation. */
  wrap?(value: unknown, batch: Batch): unknown;
}

export type OnDelete = 'cascade' | 'protect' | 'setNull';

/** The other end of a relation: many objects whose `via` is this one. */
export interface ManyRelation {
  readonly name: string;
  readonly source: () => EntityClass;
  readonly via: string;
}

export interface EntityOptions {
  /** Default: the class's name in snake_case. */
  readonly table?: string;
  /** Lists of fields: an index over several columns each. */
  readonly indexes?: readonly (readonly string[])[];
  readonly unique?: readonly (readonly string[])[];
}

const ENTITY = Symbol('orm:entity');
const COLUMNS = Symbol('orm:columns');
const MANY = Symbol('orm:many');
const entities = new Set<EntityClass>();

/** Makes a table of a class that extends Model. A class without it is abstract: its fields belong to those that extend it. */
export const Entity =
  (options: EntityOptions = {}) =>
  (entity: EntityClass): void => {
    Reflect.defineMetadata(ENTITY, options, entity);
    entities.add(entity);
  };

function append(key: symbol, target: object, value: unknown): void {
  // Own metadata only: what is added to a class must never reach its base, nor its siblings through the base.
  Reflect.defineMetadata(key, [...own(key, target), value], target);
}
export const addColumn = (target: object, column: Column): void => append(COLUMNS, target, column);
export const addMany = (target: object, relation: ManyRelation): void => append(MANY, target, relation);

const own = <T>(key: symbol, target: object): readonly T[] => Reflect.getOwnMetadata(key, target) ?? [];
/** What decorators wrote down about one prototype's own columns. */
export const columnsOf = (target: object): readonly Column[] => own(COLUMNS, target);

/** What decorators wrote down on a class and on those that it extends, base first; a redeclared name replaces the base's. */
function collected<T extends { name: string }>(key: symbol, entity: EntityClass): Map<string, T> {
  const chain: object[] = [];
  for (let at: object | null = entity.prototype; at; at = Object.getPrototypeOf(at)) chain.unshift(at);
  return new Map(chain.flatMap((target) => own<T>(key, target)).map((each) => [each.name, each]));
}

/** A relation's column; `relation.ts` makes them. */
export interface ForeignKeyColumn extends Column {
  readonly target: () => EntityClass;
  readonly onDelete: OnDelete;
}
export const isForeignKey = (column: Column | undefined): column is ForeignKeyColumn =>
  column !== undefined && 'target' in column;

/** Django's `_meta`: everything that the decorators of an entity wrote down, checked once. */
export class ModelMeta {
  readonly entity: EntityClass;
  readonly name: string;
  readonly table: string;
  readonly fields: ReadonlyMap<string, Column>;
  readonly many: ReadonlyMap<string, ManyRelation>;
  readonly columns: readonly Column[];
  readonly pk: Column;
  readonly version: Column | undefined;
  readonly options: EntityOptions;

  /** @throws DefinitionError when no table can be made from the class. */
  constructor(entity: EntityClass) {
    const options: EntityOptions | undefined = Reflect.getOwnMetadata(ENTITY, entity);
    if (!options) throw new DefinitionError(`${entity.name} has no table: put @Entity() above it.`);
    this.entity = entity;
    this.options = options;
    this.name = entity.name;
    this.table = options.table ?? snakeCase(entity.name);
    this.fields = this.collect();
    this.many = collected(MANY, entity);
    this.columns = [...this.fields.values()];
    this.pk = this.#only('primaryKey') ?? this.#refuse('it has no field with { primaryKey: true }');
    this.version = this.#only('version');
    this.checkDefinition();
  }

  protected collect(): ReadonlyMap<string, Column> {
    return collected(COLUMNS, this.entity);
  }

  protected checkDefinition(): void {
    for (const name of [this.table, ...this.columns.map(({ column }) => column)]) quote(name);
    const spoilt = [...this.fields.keys(), ...this.many.keys()].find((name) => name.includes('__'));
    if (spoilt !== undefined) this.#refuse(`${spoilt} has "__" in it, which separates the steps of a lookup`);
    if (['timestamp(3) with time zone', 'bytea', 'jsonb'].includes(this.pk.type.sql))
      this.#refuse(`its key ${this.pk.name} is ${this.pk.type.sql}: two that are equal are two objects here`);
    const twice = this.columns.find(
      ({ column }, at) => this.columns.findIndex((each) => each.column === column) !== at,
    );
    if (twice) this.#refuse(`two fields have the column ${twice.column}`);
    for (const name of [...(this.options.indexes ?? []), ...(this.options.unique ?? [])].flat()) this.column(name);
    const blank = new this.entity();
    const hidden = [...this.fields.keys(), ...this.many.keys()].find((name) => Object.hasOwn(blank, name));
    if (hidden !== undefined) {
      this.#refuse(
        `its class sets ${hidden} itself, over what a row holds: write "declare ${hidden}: …", without "!" and "="`,
      );
    }
  }

  has(name: string): boolean {
    return this.fields.has(name) || this.many.has(name);
  }
  /** @throws UnknownFieldError, which lists the choices. */
  column(name: string): Column {
    const found = this.fields.get(name);
    if (!found) throw new UnknownFieldError(name, this.name, this.fields.keys());
    return found;
  }

  /** The foreign keys of all entities that refer to this one. */
  get incoming(): { readonly entity: EntityClass; readonly column: ForeignKeyColumn }[] {
    return [...entities].flatMap((entity) =>
      [...collected<Column>(COLUMNS, entity).values()]
        .filter((column) => isForeignKey(column))
        .filter((column) => column.target() === this.entity)
        .map((column) => ({ entity, column })),
    );
  }

  #only(flag: 'primaryKey' | 'version'): Column | undefined {
    const [first, second] = this.columns.filter(({ options }) => options[flag]);
    if (second) this.#refuse(`both ${first?.name} and ${second.name} have { ${flag}: true }`);
    return first;
  }
  #refuse(why: string): never {
    throw new DefinitionError(`No table can be made from ${this.entity.name}: ${why}.`);
  }
}
