import { longText } from './column-types.ts';
import { InvalidQueryError, UnknownFieldError, ValidationError } from './errors.ts';
import { FieldExpression, Q } from './expression.ts';
import { type Column, type ForeignKeyColumn, isForeignKey, type ManyRelation, type ModelMeta, quote } from './meta.ts';

/** SQL text. Two of them are decided without asking: a condition that always holds, and one that never does. */
type Sql = string;
export const ALWAYS: Sql = 'true';
export const NEVER: Sql = 'false';

export type Condition = object | Q<unknown>;
/** One table in a FROM, with the joins that paths through its foreign keys asked for. */
export interface Scope {
  readonly meta: ModelMeta;
  readonly alias: string;
  readonly joins: Map<string, Scope>;
  readonly joinSql: Sql[];
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
const conjuncts = (condition: unknown): readonly unknown[] =>
  condition instanceof Q && condition.operator === 'and' ? condition.parts.flatMap(conjuncts) : [condition];
/** Of a plain object that says something: an empty or foreign one must never mean "all rows". */
function entries(condition: unknown): [string, unknown][] {
  const isObject = typeof condition === 'object' && condition !== null;
  const prototype: unknown = isObject ? Object.getPrototypeOf(condition) : undefined;
  const found = isObject && (prototype === Object.prototype || prototype === null) ? Object.entries(condition) : [];
  if (found.length > 0) return found;
  const what = isObject ? 'an empty or foreign object' : String(condition);
  throw new InvalidQueryError(`A condition is an object like { title: 'x' } or a Q; it is ${what}.`);
}
function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new InvalidQueryError(`${name} is true or false; it is a ${typeof value}.`);
}
/** Not `NOT`: what is NULL isn't excluded, since nobody asked for it. */
const not = (sql: Sql): Sql => (sql === NEVER ? ALWAYS : sql === ALWAYS ? NEVER : `(${sql}) IS NOT TRUE`);

const COMPARISONS: ReadonlyMap<string, string> = new Map(
  Object.entries({ exact: '=', gt: '>', gte: '>=', lt: '<', lte: '<=' }),
);
const PATTERNS: ReadonlyMap<string, readonly [operator: string, before: string, after: string]> = new Map([
  ['contains', ['LIKE', '%', '%']],
  ['startswith', ['LIKE', '', '%']],
  ['endswith', ['LIKE', '%', '']],
  ['icontains', ['ILIKE', '%', '%']],
]);
const LOOKUPS = [...COMPARISONS.keys(), 'in', 'isnull', ...PATTERNS.keys()];

/**
 * From a query's description to one statement. Text comes from the metadata alone; every value, and nothing else,
 * becomes a parameter.
 */
export class Compiler {
  readonly params: unknown[] = [];
  #aliases = 0;

  scope(meta: ModelMeta): Scope {
    return { meta, alias: `t${this.#aliases++}`, joins: new Map(), joinSql: [] };
  }
  from({ meta, alias, joinSql }: Scope): Sql {
    return [`${quote(meta.table)} AS ${alias}`, ...joinSql].join(' ');
  }
  columnSql({ alias }: Scope, column: Column): Sql {
    return `${alias}.${quote(column.column)}`;
  }

  /** The calls of `filter`, each of which must hold. */
  where(scope: Scope, conditions: readonly Condition[]): Sql {
    return this.#undone(() => and(conditions.map((condition) => this.#condition(scope, condition))));
  }

  #condition(scope: Scope, condition: unknown): Sql {
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

  protected negate(sql: Sql): Sql {
    return not(sql);
  }

  /** Conditions joined by "and". Those through one relation to many speak of the same related row: one EXISTS. */
  #all(scope: Scope, conditions: readonly unknown[]): Sql {
    const parts = conditions.filter((each) => each instanceof Q).map((each) => this.#condition(scope, each));
    const related = new Map<string, { readonly end: ManyEnd; readonly inner: object[] }>();
    for (const [path, value] of conditions.filter((each) => !(each instanceof Q)).flatMap(entries)) {
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
    const via = this.columnSql(inner, inner.meta.column(many.via));
    const match = and([`${via} = ${this.columnSql(scope, scope.meta.pk)}`, this.#all(inner, conditions)]);
    return match === NEVER ? NEVER : `EXISTS (SELECT FROM ${this.from(inner)} WHERE ${match})`;
  }

  protected assertDefined(path: string, value: unknown): void {
    if (value !== undefined) return;
    throw new InvalidQueryError(`${path} is undefined: leave the key out to ask for all, or say null to ask for NULL.`);
  }

  /** Follows `author__publisher__name__icontains` through the metadata, joining on the way. */
  walk(start: Scope, path: string): ColumnEnd | ManyEnd {
    const steps = path.split('__');
    let scope = start;
    for (let at = 0; ; at++) {
      const step = steps[at] ?? '';
      const many = scope.meta.many.get(step);
      if (many) return { scope, many, rest: steps.slice(at + 1).join('__') };
      const column = scope.meta.fields.get(step);
      if (!column)
        throw new UnknownFieldError(step, scope.meta.name, [...scope.meta.fields.keys(), ...scope.meta.many.keys()]);
      const next = steps[at + 1];
      if (isForeignKey(column) && next !== undefined) {
        const target = column.target().meta;
        if (target.fields.has(next) || target.many.has(next)) {
          scope = this.join(start, scope, column);
          continue;
        }
      }
      return { column, sql: this.columnSql(scope, column), lookup: this.#known(steps.slice(at + 1), path) };
    }
  }

  #known(steps: readonly string[], path: string): string {
    const lookup = steps.length === 0 ? 'exact' : steps.join('__');
    if (!LOOKUPS.includes(lookup)) throw new UnknownFieldError(lookup, path, LOOKUPS);
    return lookup;
  }

  join(start: Scope, scope: Scope, column: ForeignKeyColumn): Scope {
    const key = `${scope.alias}.${column.name}`;
    const found = start.joins.get(key);
    if (found) return found;
    const joined: Scope = { ...this.scope(column.target().meta), joins: start.joins, joinSql: start.joinSql };
    const on = `${this.columnSql(joined, joined.meta.pk)} = ${this.columnSql(scope, column)}`;
    start.joinSql.push(`LEFT JOIN ${quote(joined.meta.table)} AS ${joined.alias} ON ${on}`);
    start.joins.set(key, joined);
    return joined;
  }

  protected lookup({ column, sql, lookup }: ColumnEnd, value: unknown): Sql {
    const name = `${column.name}__${lookup}`;
    if (lookup === 'isnull') return `${sql} IS ${flag(name, value) ? '' : 'NOT '}NULL`;
    if (value === null) {
      if (lookup === 'exact') return `${sql} IS NULL`;
      throw new InvalidQueryError(`${name}: nothing compares to null. Ask for ${column.name}__isnull.`);
    }
    const comparison = COMPARISONS.get(lookup);
    if (comparison) return `${sql} ${comparison} ${this.#value(column, name, value)}`;
    if (lookup === 'in') {
      if (!Array.isArray(value)) throw new InvalidQueryError(`${name} takes a list; it is a ${typeof value}.`);
      if (value.length === 0) return NEVER;
      for (const each of value) this.#check(column, name, each);
      return `${sql} = ANY(${this.bind(value.map((each) => column.encode(each)))}::${column.type.array}[])`;
    }
    const [operator, before, after] = PATTERNS.get(lookup) ?? [];
    const fault = column.type.textual ? longText.check(value) : 'looks into a text, which this is not';
    if (typeof value !== 'string' || fault) throw new InvalidQueryError(`${name} ${fault}.`);
    return `${sql} ${operator} ${this.bind(`${before}${this.literal(value)}${after}`)}`;
  }

  /** A text in which `%`, `_` and `\` mean themselves in a LIKE. */
  protected literal(text: string): string {
    return text.replaceAll(/[\\%_]/g, '\\$&');
  }

  #value(column: Column, name: string, value: unknown): Sql {
    this.#check(column, name, value);
    return this.bind(column.encode(value));
  }

  /** `SET column = value`, by the rules of a save; or an expression of the row's own columns. */
  assignment(scope: Scope, name: string, value: unknown): Sql {
    const column = scope.meta.column(name);
    this.assertDefined(name, value);
    if (column.options.version) throw new InvalidQueryError(`${name} counts by itself: leave it out.`);
    if (value instanceof FieldExpression) {
      const own = scope.meta.column(value.name);
      return `${quote(column.column)} = ${this.columnSql(scope, own)} + ${this.#value(own, value.name, value.by)}`;
    }
    const fault = column.fault(value);
    if (fault) throw new ValidationError(scope.meta.name, [{ field: name, message: fault }]);
    return `${quote(column.column)} = ${this.bind(column.encode(value))}`;
  }

  #check(column: Column, name: string, value: unknown): void {
    const raw = column.raw(value);
    const fault = raw === undefined || raw === null ? `takes no ${raw} here` : column.type.check(raw);
    if (fault) throw new InvalidQueryError(`${name} ${fault}.`);
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
