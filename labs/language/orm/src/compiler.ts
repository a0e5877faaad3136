import { text } from './column-types.ts';
import { InvalidQueryError, UnknownFieldError, ValidationError } from './errors.ts';
import { FieldExpression, Q } from './expression.ts';
import { Column, type ManyRelation, type ModelMeta, quote } from './meta.ts';
import { foreignKey, KeyColumn } from './relation.ts';

/** SQL text. Two of them are decided without asking: a condition that always holds, and one that never does. */
type Sql = string;
export const ALWAYS: Sql = 'true';
export const NEVER: Sql = 'false';

export type Condition = object | Q<Condition>;
/** A table as it stands in a FROM, and the joins that paths through foreign keys asked for: all of a FROM share them. */
export interface Scope {
  readonly meta: ModelMeta;
  readonly alias: string;
  readonly sql: Sql;
  readonly joins: Map<string, Scope>;
}
/** Where a path ends: at a column with a lookup, or at a relation to many, with the rest of the path. */
type ColumnEnd = { readonly column: Column; readonly sql: Sql; readonly lookup: string };
type ManyEnd = { readonly scope: Scope; readonly many: ManyRelation; readonly rest: string; readonly key: string };
/** By the key of a relation to many: the row of which its conditions speak, undefined for none. */
type Rows = ReadonlyMap<string, Scope | undefined>;

const and = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== ALWAYS);
  return open.includes(NEVER) ? NEVER : open.length > 0 ? open.join(' AND ') : ALWAYS;
};
const or = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== NEVER);
  return open.includes(ALWAYS) ? ALWAYS : open.length > 0 ? `(${open.join(' OR ')})` : NEVER;
};
type Conjunct = Q<Condition> | readonly [path: string, value: unknown];
/** Paths and Qs that are joined by "and", however they were nested. */
const conjuncts = (condition: Condition): readonly Conjunct[] => {
  if (!(condition instanceof Q)) return Object.entries(condition);
  return condition.operator === 'and' ? condition.parts.flatMap(conjuncts) : [condition];
};
function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new InvalidQueryError(`${name} is true or false; it is a ${typeof value}.`);
}

const COMPARISONS = new Map(Object.entries({ exact: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' }));
const PATTERNS = new Map(Object.entries({ contains: '%?%', startswith: '?%', endswith: '%?', icontains: '%?%' }));
const LOOKUPS = [...COMPARISONS.keys(), 'in', 'isnull', ...PATTERNS.keys()];

/** From a query to one statement: text comes from the metadata alone; every value, and nothing else, is a parameter. */
export class Compiler {
  readonly params: unknown[] = [];
  #aliases = 0;

  scope(meta: ModelMeta): Scope {
    const alias = `t${this.#aliases++}`;
    return { meta, alias, sql: `${quote(meta.table)} AS ${alias}`, joins: new Map() };
  }
  from(scope: Scope): Sql {
    return [scope, ...scope.joins.values()].map(({ sql }) => sql).join(' ');
  }
  columnSql({ alias }: Scope, column: Column): Sql {
    return `${alias}.${quote(column.column)}`;
  }

  /** The calls of `filter`, each of which must hold. */
  where(scope: Scope, conditions: readonly Condition[]): Sql {
    return this.#undone(() => and(conditions.map((each) => this.#undone(() => this.#all(scope, conjuncts(each))))));
  }

  /** What is decided without asking leaves the text, so its values leave the parameters: they were the last. */
  #undone(compile: () => Sql): Sql {
    const before = this.params.length;
    const sql = compile();
    if (sql === ALWAYS || sql === NEVER) this.params.length = before;
    return sql;
  }

  /** Not `NOT`: what is NULL isn't excluded, since nobody asked for it. */
  protected negate(sql: Sql): Sql {
    return sql === NEVER ? ALWAYS : sql === ALWAYS ? NEVER : `(${sql}) IS NOT TRUE`;
  }

  /** Conditions joined by "and". Those through one relation to many speak of the same related row: one EXISTS. */
  #all(scope: Scope, all: readonly Conjunct[], rows?: Rows): Sql {
    const ends = all.flatMap((each) => this.#ends(scope, each, rows).map((end) => ({ ...end, each })));
    const groups = [...Map.groupBy(ends, ({ key }) => key).values()];
    // A Q.or that is alone with its relation needs no row in common: each of its parts finds its own.
    const group = groups.find((of) => of.some(({ each }) => !(each instanceof Q) || each !== of[0]?.each)) ?? [];
    const [end] = group;
    const alone = (each: Conjunct) => this.#undone(() => this.#one(scope, each, rows));
    if (!end) return and(all.map(alone));
    const common = new Set((group.some(({ each }) => each instanceof Q) ? ends : group).map(({ each }) => each));
    const given = (row?: Scope) => this.#undone(() => this.#all(scope, [...common], new Map(rows).set(end.key, row)));
    const others = all.filter((each) => !common.has(each));
    // A Q.or that fits no rows at all is found by itself: all rows of several relations together are many to try.
    const before = groups.length > 1 ? [...common].filter((each) => each instanceof Q).map(alone) : [];
    return and([...before, or([this.#exists(end, given), given()]), this.#all(scope, others, rows)]);
  }

  #one(scope: Scope, condition: Conjunct, rows?: Rows): Sql {
    if (condition instanceof Q && condition.operator === 'or')
      return or(condition.parts.map((part) => this.#undone(() => this.#all(scope, conjuncts(part), rows))));
    if (condition instanceof Q) return this.negate(this.where(scope, condition.parts));
    const [path, value] = condition;
    this.assertDefined(path, value);
    const end = this.walk(scope, path, rows);
    if ('lookup' in end) return this.lookup(end, value);
    return end.rest === 'isnull' ? `${flag(path, value) ? 'NOT ' : ''}${this.#exists(end, () => ALWAYS)}` : NEVER;
  }

  /** The relations to many of whose rows a condition speaks; a Q.not speaks of any. */
  #ends(scope: Scope, each: Conjunct, rows?: Rows): readonly ManyEnd[] {
    if (each instanceof Q && each.operator === 'not') return [];
    if (each instanceof Q) return each.parts.flatMap(conjuncts).flatMap((part) => this.#ends(scope, part, rows));
    const end = this.walk(scope, each[0], rows);
    return 'lookup' in end || end.rest === 'isnull' || rows?.has(end.key) ? [] : [end];
  }

  #exists({ scope, many }: ManyEnd, holds: (row: Scope) => Sql): Sql {
    const row = this.scope(many.source().meta);
    const via = this.columnSql(row, foreignKey(many, scope.meta));
    const match = and([`${via} = ${this.columnSql(scope, scope.meta.pk)}`, holds(row)]);
    return match === NEVER ? NEVER : `EXISTS (SELECT FROM ${this.from(row)} WHERE ${match})`;
  }

  protected assertDefined(path: string, value: unknown): void {
    if (value !== undefined) return;
    throw new InvalidQueryError(`${path} is undefined: leave the key out to ask for all, or say null to ask for NULL.`);
  }

  /** Follows `author__publisher__name__icontains` through the metadata, joining on the way. */
  walk(scope: Scope, path: string, rows?: Rows): ColumnEnd | ManyEnd {
    const [step = '', ...steps] = path.split('__');
    const [[next = ''], rest] = [steps, steps.join('__')];
    const property = scope.meta.properties.get(step);
    if (!property) throw new UnknownFieldError(step, scope.meta.entity.name, scope.meta.properties.keys());
    const key = `${scope.alias}.${step}`;
    const row = rest === 'isnull' ? undefined : rows?.get(key);
    if (row) return this.walk(row, rest, rows);
    if (!(property instanceof Column)) return { scope, many: property, rest, key };
    const lookup = steps.length === 0 ? 'exact' : rest;
    // A lookup first: `author__in` is that, also where an author has a field named `in`.
    if (LOOKUPS.includes(lookup)) return { column: property, sql: this.columnSql(scope, property), lookup };
    const far = property instanceof KeyColumn ? [...property.target().meta.properties.keys()] : [];
    if (property instanceof KeyColumn && far.includes(next)) return this.walk(this.join(scope, property), rest, rows);
    throw new UnknownFieldError(lookup, path, [...far, ...LOOKUPS]);
  }

  join(scope: Scope, column: KeyColumn): Scope {
    const key = `${scope.alias}.${column.name}`;
    const found = scope.joins.get(key);
    if (found) return found;
    const other = this.scope(column.target().meta);
    const on = `${this.columnSql(other, other.meta.pk)} = ${this.columnSql(scope, column)}`;
    const joined = { ...other, sql: `LEFT JOIN ${other.sql} ON ${on}`, joins: scope.joins };
    scope.joins.set(key, joined);
    return joined;
  }

  protected lookup({ column, sql, lookup }: ColumnEnd, value: unknown): Sql {
    const name = `${column.name}__${lookup}`;
    if (lookup === 'isnull') return `${sql} IS ${flag(name, value) ? '' : 'NOT '}NULL`;
    if (value === null && lookup === 'exact') return `${sql} IS NULL`;
    const comparison = COMPARISONS.get(lookup);
    if (comparison) return `${sql} ${comparison} ${this.bind(this.#encoded(column, name, value))}`;
    if (lookup === 'in') {
      if (!Array.isArray(value)) throw new InvalidQueryError(`${name} takes a list; it is a ${typeof value}.`);
      if (value.length === 0) return NEVER;
      return `${sql} = ANY(${this.bind(value.map((each) => this.#encoded(column, name, each)))}::${column.type().array}[])`;
    }
    const [before, after] = PATTERNS.get(lookup)?.split('?') ?? [];
    const fault = column.type().array === 'text' ? text().check(value) : 'looks into a text, which this is not';
    if (typeof value !== 'string' || fault) throw new InvalidQueryError(`${name} ${fault}.`);
    return `${sql} ${lookup === 'icontains' ? 'ILIKE' : 'LIKE'} ${this.bind(`${before}${this.literal(value)}${after}`)}`;
  }

  /** A text in which `%`, `_` and `\` mean themselves in a LIKE. */
  protected literal(text: string): string {
    return text.replaceAll(/[\\%_]/g, '\\$&');
  }

  /** `SET column = value`, by the rules of a save; or an expression of the row's own columns. */
  assignment(scope: Scope, name: string, value: unknown): Sql {
    const column = scope.meta.column(name);
    this.assertDefined(name, value);
    if (column.options.version) throw new InvalidQueryError(`${name} counts by itself: leave it out.`);
    if (value instanceof FieldExpression) {
      const own = scope.meta.column(value.name);
      return `${quote(column.column)} = ${this.columnSql(scope, own)} + ${this.bind(this.#encoded(own, value.name, value.by))}`;
    }
    const fault = column.fault(value);
    if (fault) throw new ValidationError(scope.meta.entity.name, [{ field: name, message: fault }]);
    return `${quote(column.column)} = ${this.bind(column.encode(value))}`;
  }

  /** A value that is compared to a column. */
  #encoded(column: Column, name: string, value: unknown): unknown {
    const raw = column.raw(value);
    const fault = raw === undefined || raw === null ? `compares to no ${raw}` : column.type().check(raw);
    if (fault) throw new InvalidQueryError(`${name} ${fault}.`);
    return column.encode(value);
  }

  protected bind(value: unknown): Sql {
    return `$${this.params.push(value)}`;
  }

  order(scope: Scope, names: readonly string[]): Sql {
    const terms = names.map((name) => {
      const end = this.walk(scope, String(name).replace(/^-/, ''));
      if (!('lookup' in end) || end.lookup !== 'exact')
        throw new InvalidQueryError(`Rows cannot be ordered by ${name}.`);
      return name.startsWith('-') ? `${end.sql} DESC` : end.sql;
    });
    return terms.length > 0 ? ` ORDER BY ${terms.join(', ')}` : '';
  }

  limit(from: number, to: number): Sql {
    const rows = to === Number.POSITIVE_INFINITY ? '' : ` LIMIT ${this.bind(to - from)}`;
    return from > 0 ? `${rows} OFFSET ${this.bind(from)}` : rows;
  }
}
