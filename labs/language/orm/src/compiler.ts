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
/** One table in a FROM, with the joins that paths through foreign keys asked for: all tables of a FROM share them. */
export interface Scope {
  readonly meta: ModelMeta;
  readonly alias: string;
  /** How it stands in the FROM. */
  readonly sql: Sql;
  readonly joins: Map<string, Scope>;
}
/** Where a path ends: at a column with a lookup, or at a relation to many, with the rest of the path. */
type ColumnEnd = { readonly column: Column; readonly sql: Sql; readonly lookup: string };
type ManyEnd = { readonly scope: Scope; readonly many: ManyRelation; readonly rest: string };

const and = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== ALWAYS);
  return open.includes(NEVER) ? NEVER : open.length > 0 ? open.join(' AND ') : ALWAYS;
};
const or = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== NEVER);
  return open.includes(ALWAYS) ? ALWAYS : open.length > 0 ? `(${open.join(' OR ')})` : NEVER;
};
/** Objects and Qs that are joined by "and", however they were nested. */
const conjuncts = (condition: Condition): readonly Condition[] =>
  condition instanceof Q && condition.operator === 'and' ? condition.parts.flatMap(conjuncts) : [condition];
function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new InvalidQueryError(`${name} is true or false; it is a ${typeof value}.`);
}

const COMPARISONS = new Map(Object.entries({ exact: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' }));
const PATTERNS: ReadonlyMap<string, readonly [operator: string, before: string, after: string]> = new Map([
  ['contains', ['LIKE', '%', '%']],
  ['startswith', ['LIKE', '', '%']],
  ['endswith', ['LIKE', '%', '']],
  ['icontains', ['ILIKE', '%', '%']],
]);
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
    return this.#undone(() => and(conditions.map((condition) => this.#condition(scope, condition))));
  }

  #condition(scope: Scope, condition: Condition): Sql {
    return this.#undone(() => {
      if (!(condition instanceof Q) || condition.operator === 'and') return this.#all(scope, conjuncts(condition));
      const parts = condition.parts.map((part) => this.#condition(scope, part));
      return condition.operator === 'or' ? or(parts) : this.negate(and(parts));
    });
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
  #all(scope: Scope, conditions: readonly Condition[]): Sql {
    const parts = conditions.filter((each) => each instanceof Q).map((each) => this.#condition(scope, each));
    const related = new Map<string, { readonly end: ManyEnd; readonly inner: object[] }>();
    const plain = conditions.filter((each) => !(each instanceof Q));
    for (const [path, value] of plain.flatMap((each): [string, unknown][] => Object.entries(each))) {
      this.assertDefined(path, value);
      const end = this.walk(scope, path);
      if ('lookup' in end) {
        parts.push(this.lookup(end, value));
      } else if (end.rest === 'isnull') {
        parts.push(`${flag(path, value) ? 'NOT ' : ''}${this.#exists(end, [])}`);
      } else {
        const key = `${end.scope.alias}.${end.many.name}`;
        const group = related.get(key) ?? { end, inner: [] };
        related.set(key, group);
        group.inner.push({ [end.rest]: value });
      }
    }
    for (const { end, inner } of related.values()) parts.push(this.#exists(end, inner));
    return and(parts);
  }

  #exists({ scope, many }: ManyEnd, conditions: readonly object[]): Sql {
    const inner = this.scope(many.source().meta);
    const via = this.columnSql(inner, foreignKey(many, scope.meta));
    const match = and([`${via} = ${this.columnSql(scope, scope.meta.pk)}`, this.#all(inner, conditions)]);
    return match === NEVER ? NEVER : `EXISTS (SELECT FROM ${this.from(inner)} WHERE ${match})`;
  }

  protected assertDefined(path: string, value: unknown): void {
    if (value !== undefined) return;
    throw new InvalidQueryError(`${path} is undefined: leave the key out to ask for all, or say null to ask for NULL.`);
  }

  /** Follows `author__publisher__name__icontains` through the metadata, joining on the way. */
  walk(scope: Scope, path: string): ColumnEnd | ManyEnd {
    const { entity, properties } = scope.meta;
    const [step = '', ...steps] = path.split('__');
    const [next, rest] = [steps[0], steps.join('__')];
    const property = properties.get(step);
    if (!property) throw new UnknownFieldError(step, entity.name, properties.keys());
    if (!(property instanceof Column)) return { scope, many: property, rest };
    const lookup = next === undefined ? 'exact' : rest;
    // A lookup first: `author__in` is that, also where an author has a field named `in`.
    if (LOOKUPS.includes(lookup)) return { column: property, sql: this.columnSql(scope, property), lookup };
    if (property instanceof KeyColumn && property.target().meta.properties.has(next ?? ''))
      return this.walk(this.join(scope, property), rest);
    throw new UnknownFieldError(lookup, path, LOOKUPS);
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
      const list = value.map((each) => this.#encoded(column, name, each));
      return `${sql} = ANY(${this.bind(list)}::${column.type().array}[])`;
    }
    const [operator, before, after] = PATTERNS.get(lookup) ?? [];
    const fault = column.type().array === 'text' ? text().check(value) : 'looks into a text, which this is not';
    if (typeof value !== 'string' || fault) throw new InvalidQueryError(`${name} ${fault}.`);
    return `${sql} ${operator} ${this.bind(`${before}${this.literal(value)}${after}`)}`;
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
      const by = this.bind(this.#encoded(own, value.name, value.by));
      return `${quote(column.column)} = ${this.columnSql(scope, own)} + ${by}`;
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
