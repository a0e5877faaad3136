import type { ColumnType } from './column-types.ts';
import * as types from './column-types.ts';
import { InvalidQueryError, UnknownFieldError, ValidationError } from './errors.ts';
import { AGGREGATES, type Aggregate, type AggregateKind, FieldExpression, Q } from './expression.ts';
import { quote } from './identifier.ts';
import { Column, type ForeignKeyColumn, isForeignKey, type ManyRelation, type ModelMeta } from './meta.ts';
import { entityOf, keyOf, Stored } from './stored.ts';

/** SQL text. Two of them are decided without asking: a condition that always holds, and one that never does. */
type Sql = string;
export const ALWAYS: Sql = 'true';
export const NEVER: Sql = 'false';

export type Condition = object | Q<unknown>;
export type Annotations = Readonly<Record<string, Aggregate<AggregateKind, string>>>;

/** One table in a FROM, with the joins that paths through its foreign keys asked for. */
export interface Scope {
  readonly meta: ModelMeta;
  readonly alias: string;
  readonly joins: Map<string, Scope>;
  readonly joinSql: Sql[];
  readonly annotations: Annotations;
}
/** Where a path ends: at a column with a lookup, or at a relation to many. */
interface ColumnEnd {
  readonly column: Column;
  readonly sql: Sql;
  readonly lookup: string;
  /** From what the driver gives to what the types promise, where that differs. */
  readonly decode?: (value: unknown) => unknown;
}
interface ManyEnd {
  readonly scope: Scope;
  readonly many: ManyRelation;
  readonly rest: string;
}

const and = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== ALWAYS);
  return open.includes(NEVER) ? NEVER : open.length > 0 ? open.join(' AND ') : ALWAYS;
};
const or = (parts: readonly Sql[]): Sql => {
  const open = parts.filter((part) => part !== NEVER);
  return open.includes(ALWAYS) ? ALWAYS : open.length > 0 ? `(${open.join(' OR ')})` : NEVER;
};
/** Not `NOT`: what is NULL isn't excluded, since nobody asked for it. */
const not = (sql: Sql): Sql => (sql === NEVER ? ALWAYS : sql === ALWAYS ? NEVER : `(${sql}) IS NOT TRUE`);

const COMPARISONS: ReadonlyMap<string, string> = new Map([
  ['exact', '='],
  ['gt', '>'],
  ['gte', '>='],
  ['lt', '<'],
  ['lte', '<='],
]);
const PATTERNS: ReadonlyMap<string, readonly [operator: string, before: string, after: string]> = new Map([
  ['contains', ['LIKE', '%', '%']],
  ['startswith', ['LIKE', '', '%']],
  ['endswith', ['LIKE', '%', '']],
  ['icontains', ['ILIKE', '%', '%']],
  ['istartswith', ['ILIKE', '', '%']],
  ['iendswith', ['ILIKE', '%', '']],
  ['iexact', ['ILIKE', '', '']],
]);
const LOOKUPS = [...COMPARISONS.keys(), 'in', 'range', 'isnull', ...PATTERNS.keys(), 'regex', 'iregex', 'haskey'];

const wholeNumber: ColumnType = {
  sql: 'bigint',
  array: 'bigint',
  check: (value) => (Number.isSafeInteger(value) ? undefined : 'must be a whole number'),
};

/**
 * From a query's description to one statement. Text comes from the metadata alone; every value, and nothing else,
 * becomes a parameter.
 */
export class Compiler {
  readonly params: unknown[] = [];
  #aliases = 0;

  scope(meta: ModelMeta, annotations: Annotations = {}): Scope {
    return { meta, alias: `t${this.#aliases++}`, joins: new Map(), joinSql: [], annotations };
  }
  from({ meta, alias, joinSql }: Scope): Sql {
    return [`${quote(meta.table)} AS ${alias}`, ...joinSql].join(' ');
  }
  columnSql({ alias }: Scope, column: Column): Sql {
    return `${alias}.${quote(column.column)}`;
  }

  // ── conditions ────────────────────────────────────────────────────────────────────────────────────────────────────

  where(scope: Scope, conditions: readonly Condition[]): Sql {
    return and(conditions.map((condition) => this.#condition(scope, condition)));
  }

  #condition(scope: Scope, condition: unknown): Sql {
    if (!(condition instanceof Q)) return this.#all(scope, condition);
    const parts = condition.parts.map((part) => this.#condition(scope, part));
    if (condition.operator === 'not') return this.negate(and(parts));
    return condition.operator === 'or' ? or(parts) : and(parts);
  }

  protected negate(sql: Sql): Sql {
    return not(sql);
  }

  /** All entries of one object. Those through one relation to many speak of the same related row: one EXISTS. */
  #all(scope: Scope, condition: unknown): Sql {
    if (
      typeof condition !== 'object' ||
      condition === null ||
      Symbol.iterator in condition ||
      condition instanceof Date
    ) {
      throw new InvalidQueryError(`A condition is an object like { title: 'x' } or a Q; it is ${String(condition)}.`);
    }
    const parts: Sql[] = [];
    const related = new Map<string, { readonly end: ManyEnd; readonly inner: object[] }>();
    for (const [path, value] of Object.entries(condition)) {
      this.assertDefined(path, value);
      const end = this.walk(scope, path);
      if ('lookup' in end) {
        parts.push(this.lookup(scope, end, value));
      } else if (end.rest === 'isnull') {
        if (typeof value !== 'boolean')
          throw new InvalidQueryError(`${path} is true or false; it is ${String(value)}.`);
        const some = this.#exists(end, []);
        parts.push(value ? `NOT ${some}` : some);
      } else {
        const key = `${end.scope.alias}.${end.many.name}`;
        const group = related.get(key) ?? { end, inner: [{}] };
        related.set(key, group);
        if (end.rest !== '') Object.assign(group.inner[0] ?? {}, { [end.rest]: value });
        else group.inner.push(this.#itself(path, end.many.source().meta, value));
      }
    }
    for (const { end, inner } of related.values()) parts.push(this.#exists(end, inner));
    return and(parts);
  }

  /** The condition that a related row is this one. */
  #itself(path: string, { entity, pk }: ModelMeta, value: unknown): object {
    if (value === null) throw new InvalidQueryError(`${path} is never null: ask for ${path}__isnull.`);
    return { [pk.name]: value instanceof Stored && entityOf(value) === entity ? keyOf(value) : value };
  }

  #exists({ scope, many }: ManyEnd, conditions: readonly object[]): Sql {
    const inner = this.scope(many.source().meta);
    const via = this.columnSql(inner, inner.meta.column(many.via));
    const where = this.where(inner, conditions);
    const match = and([`${via} = ${this.columnSql(scope, scope.meta.pk)}`, where]);
    return match === NEVER ? NEVER : `EXISTS (SELECT FROM ${this.from(inner)} WHERE ${match})`;
  }

  protected assertDefined(path: string, value: unknown): void {
    if (value !== undefined) return;
    throw new InvalidQueryError(`${path} is undefined: leave the key out to ask for all, or say null to ask for NULL.`);
  }

  /** Follows `author__publisher__name__icontains` through the metadata, joining on the way. */
  walk(start: Scope, path: string): ColumnEnd | ManyEnd {
    const steps = path.split('__');
    const annotation = Object.hasOwn(start.annotations, steps[0] ?? '') ? start.annotations[steps[0] ?? ''] : undefined;
    if (annotation) {
      const { sql, type, decode } = this.aggregate(start, annotation);
      const column = new Column(steps[0] ?? '', { null: true }, () => type);
      return { column, sql, lookup: this.#known(steps.slice(1), path), decode };
    }
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
        if (next === target.pk.name) {
          // The key itself is on this side: no join.
          return { column, sql: this.columnSql(scope, column), lookup: this.#known(steps.slice(at + 2), path) };
        }
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

  protected lookup(scope: Scope, { column, sql, lookup }: ColumnEnd, value: unknown): Sql {
    const name = `${column.name}__${lookup}`;
    if (lookup === 'isnull') {
      if (typeof value !== 'boolean') throw new InvalidQueryError(`${name} is true or false; it is ${String(value)}.`);
      return `${sql} IS ${value ? '' : 'NOT '}NULL`;
    }
    if (value === null) {
      if (lookup === 'exact') return `${sql} IS NULL`;
      throw new InvalidQueryError(`${name}: nothing compares to null. Ask for ${column.name}__isnull.`);
    }
    const comparison = COMPARISONS.get(lookup);
    if (comparison) return `${sql} ${comparison} ${this.operand(scope, column, name, value)}`;
    if (lookup === 'in') {
      if (!Array.isArray(value)) throw new InvalidQueryError(`${name} takes a list; it is ${String(value)}.`);
      if (value.length === 0) return NEVER;
      for (const each of value) this.#check(column, name, each);
      return `${sql} = ANY(${this.bind(value.map((each) => column.encode(each)))}::${column.type.array}[])`;
    }
    if (lookup === 'range') {
      if (!Array.isArray(value) || value.length !== 2) throw new InvalidQueryError(`${name} takes [from, to].`);
      const [from, to] = value.map((each: unknown) => this.operand(scope, column, name, each));
      return `${sql} BETWEEN ${from} AND ${to}`;
    }
    if (column.type === types.json && lookup === 'contains')
      return `${sql} @> ${this.operand(scope, column, name, value)}`;
    const fault = types.longText.check(value);
    if (typeof value !== 'string' || fault) throw new InvalidQueryError(`${name} ${fault}.`);
    if (column.type === types.json && lookup === 'haskey') return `${sql} ? ${this.bind(value)}`;
    const text = column.type.textual ? sql : `${sql}::text`;
    const pattern = PATTERNS.get(lookup);
    if (pattern) return `${text} ${pattern[0]} ${this.bind(`${pattern[1]}${this.literal(value)}${pattern[2]}`)}`;
    return `${text} ${lookup === 'regex' ? '~' : '~*'} ${this.bind(value)}`;
  }

  /** A text in which `%`, `_` and `\` mean themselves in a LIKE. */
  protected literal(text: string): string {
    return text.replaceAll(/[\\%_]/g, '\\$&');
  }

  /** A value as a parameter, or an expression of the row's own columns. */
  operand(scope: Scope, column: Column, name: string, value: unknown): Sql {
    if (!(value instanceof FieldExpression)) {
      this.#check(column, name, value);
      return this.bind(column.encode(value));
    }
    const own = scope.meta.column(value.name);
    return value.terms.reduce(
      (sql, { operator, by }) => {
        this.#check(own, value.name, by);
        return `(${sql} ${operator} ${this.bind(own.encode(by))})`;
      },
      this.columnSql(scope, own),
    );
  }

  /** `SET column = value`, by the rules of a save. */
  assignment(scope: Scope, name: string, value: unknown): Sql {
    const column = scope.meta.column(name);
    this.assertDefined(name, value);
    if (column.options.version) throw new InvalidQueryError(`${name} counts by itself: leave it out.`);
    if (value instanceof FieldExpression)
      return `${quote(column.column)} = ${this.operand(scope, column, name, value)}`;
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

  // ── what is selected, and in which order ──────────────────────────────────────────────────────────────────────────

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

  /**
   * An aggregate over the rows of `scope`, or, through a relation to many, over each row's related rows: a subquery for
   * each, so that two of them don't multiply each other's rows.
   */
  aggregate(scope: Scope, { kind, path }: Aggregate<AggregateKind, string>) {
    if (!AGGREGATES.includes(kind)) throw new UnknownFieldError(String(kind), 'An aggregate', AGGREGATES);
    let end = this.walk(scope, String(path));
    let rows: Scope | undefined;
    let link = '';
    while (!('lookup' in end)) {
      const inner = this.scope(end.many.source().meta);
      const on = `${this.columnSql(inner, inner.meta.column(end.many.via))} = ${this.columnSql(end.scope, end.scope.meta.pk)}`;
      if (rows) rows.joinSql.push(`JOIN ${quote(inner.meta.table)} AS ${inner.alias} ON ${on}`);
      else link = on;
      const at: Scope = rows ? { ...inner, joins: rows.joins, joinSql: rows.joinSql } : inner;
      rows ??= inner;
      end = this.walk(at, end.rest || inner.meta.pk.name);
    }
    if (end.lookup !== 'exact') throw new InvalidQueryError(`There is no ${kind} of ${path}.`);
    const { type } = end.column;
    const of = kind === 'avg' ? `avg(${end.sql})::float8` : `${kind}(${end.sql})`;
    const decimal = type.array === 'numeric';
    const whole = kind === 'count' || (kind === 'sum' && type === types.int);
    return {
      perRow: rows !== undefined,
      sql: rows ? `(SELECT ${of} FROM ${this.from(rows)} WHERE ${link})` : of,
      type: whole ? wholeNumber : kind === 'avg' ? types.float : decimal && kind === 'sum' ? types.anyDecimal : type,
      decode: (value: unknown) =>
        value === null
          ? null
          : whole
            ? Number(value)
            : kind === 'sum' && type === types.bigint
              ? BigInt(String(value))
              : value,
    };
  }
}
