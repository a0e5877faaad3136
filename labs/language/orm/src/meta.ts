import type { ColumnType } from './column-types.ts';
import { DefinitionError, UnknownFieldError } from './errors.ts';
import type { FieldOptions } from './field.ts';
import type { EntityClass } from './model.ts';
import type { Batch } from './stored.ts';

/**
 * An identifier, quoted, so that `order` and `a"b` are names like any other. Only names of the metadata come here: what
 * a user sends is looked up there first.
 * @throws DefinitionError beyond 63 bytes (Postgres would cut it off, silently), on the empty name and on NUL.
 */
export function quote(name: string): string {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > 63 || name.includes('\0') || !name.isWellFormed())
    throw new DefinitionError(`${JSON.stringify(name)} is no name: Postgres takes 1 to 63 bytes of text without NUL.`);
  return `"${name.replaceAll('"', '""')}"`;
}

/** `createdAt` → `created_at`, `HTTPServer` → `http_server`. */
export const snakeCase = (name: string): string =>
  name.replace(/(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g, '_').toLowerCase();

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
    return this.options.primaryKey === true && this.type.sql === 'integer';
  }
  /** What is wrong with `value` for this column, as the end of a sentence. */
  fault(value: unknown): string | undefined {
    const raw = this.raw(value);
    if (raw === null || raw === undefined) return this.options.null ? undefined : 'is required';
    return this.type.check(raw) ?? this.options.validate?.(raw);
  }
  encode(value: unknown): unknown {
    const raw = this.raw(value) ?? null;
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

// What decorators wrote down about one class, by its prototype: it must never reach the base, nor a sibling through it.
const columns = new WeakMap<object, readonly Column[]>();
const relations = new WeakMap<object, readonly ManyRelation[]>();
const entities = new WeakMap<EntityClass, string>();

/**
 * Makes a table of a class that extends Model; its name is the class's in snake_case. A class without `@Entity()` is
 * abstract: its fields belong to those that extend it.
 */
export const Entity =
  (options: { readonly table?: string } = {}) =>
  (entity: EntityClass): void =>
    void entities.set(entity, options.table ?? snakeCase(entity.name));

/** What decorators wrote down about one prototype's own columns. */
export const columnsOf = (target: object): readonly Column[] => columns.get(target) ?? [];
const relationsOf = (target: object): readonly ManyRelation[] => relations.get(target) ?? [];
export const addColumn = (target: object, column: Column): void =>
  void columns.set(target, [...columnsOf(target), column]);
export const addMany = (target: object, relation: ManyRelation): void =>
  void relations.set(target, [...relationsOf(target), relation]);

/** What `of` finds on a class and on those that it extends, base first; a redeclared name replaces the base's. */
function collected<T extends { readonly name: string }>(
  entity: EntityClass,
  of: (prototype: object) => readonly T[],
): Map<string, T> {
  const chain: object[] = [];
  for (let at: object | null = entity.prototype; at; at = Object.getPrototypeOf(at)) chain.unshift(at);
  return new Map(chain.flatMap(of).map((each) => [each.name, each]));
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

  /** @throws DefinitionError when no table can be made from the class. */
  constructor(entity: EntityClass) {
    const table = entities.get(entity);
    if (table === undefined) throw new DefinitionError(`${entity.name} has no table: put @Entity() above it.`);
    this.entity = entity;
    this.name = entity.name;
    this.table = table;
    this.fields = this.collect();
    this.many = collected(entity, relationsOf);
    this.columns = [...this.fields.values()];
    this.pk = this.#only('primaryKey') ?? this.#refuse('it has no field with { primaryKey: true }');
    this.version = this.#only('version');
    this.checkDefinition();
  }

  protected collect(): ReadonlyMap<string, Column> {
    return collected(this.entity, columnsOf);
  }

  protected checkDefinition(): void {
    for (const name of [this.table, ...this.columns.map(({ column }) => column)]) quote(name);
    const spoilt = [...this.fields.keys(), ...this.many.keys()].find((name) => name.includes('__'));
    if (spoilt !== undefined) this.#refuse(`${spoilt} has "__" in it, which separates the steps of a lookup`);
    if (this.pk.type.sql.startsWith('timestamp'))
      this.#refuse(`its key ${this.pk.name} is ${this.pk.type.sql}: two that are equal are two objects here`);
    const twice = this.columns.find((one) => this.columns.some((two) => two !== one && two.column === one.column));
    if (twice) this.#refuse(`two fields have the column ${twice.column}`);
    if (!this.columns.some((column) => column !== this.pk && column !== this.version))
      this.#refuse('it has no field but its key');
    const blank = new this.entity();
    const hidden = [...this.fields.keys(), ...this.many.keys()].find((name) => Object.hasOwn(blank, name));
    if (hidden !== undefined)
      this.#refuse(`its class sets ${hidden} itself, over what a row holds: write "declare ${hidden}: …", without "!"`);
  }

  /** @throws UnknownFieldError, which lists the choices. */
  column(name: string): Column {
    const found = this.fields.get(name);
    if (!found) throw new UnknownFieldError(name, this.name, this.fields.keys());
    return found;
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
