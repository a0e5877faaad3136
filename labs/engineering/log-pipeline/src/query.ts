import { QueryError } from './errors.ts';

/** Kinds of fields, as OpenSearch calls them. */
export type FieldType = 'keyword' | 'text' | 'integer' | 'double' | 'boolean';

export interface Clause {
  readonly field: string;
  readonly op: ':' | '>' | '>=' | '<' | '<=';
  /** One of them must hold. */
  readonly values: readonly string[];
  readonly not: boolean;
}

/** A part of OpenSearch's query DSL. */
export type Dsl = Readonly<Record<string, unknown>>;

const LONGEST = 1_000;
const MOST_CLAUSES = 32;
const TOKEN = /(-?)(?:([A-Za-z_][\w.]*)(:|>=|<=|>|<))?("[^"]*"|[^\s",]+)((?:,(?:"[^"]*"|[^\s",]+))*)(?=\s|$)/y;

/**
 * Reads a query: `level:error,warn duration_ms>500 "payment timed out" -service:cron`. All clauses must hold; words without
 * a field are looked for in the message. A value is a value: it has no wildcards, operators or ranges in it.
 * @throws QueryError, with the column and the field
 */
export function parseQuery(text: string, fields: ReadonlyMap<string, FieldType>): Clause[] {
  if (typeof text !== 'string') throw new QueryError('a query is a text.', 1);
  if (text.length > LONGEST) throw new QueryError(`a query has at most ${LONGEST} characters.`, LONGEST + 1);
  const clauses: Clause[] = [];
  for (let at = 0; ; ) {
    at += /^\s*/.exec(text.slice(at))?.[0].length ?? 0;
    if (at >= text.length) return clauses;
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text);
    if (!match)
      throw new QueryError(
        `${JSON.stringify(text.slice(at, at + 30))} is no clause; quote what has blanks or commas.`,
        at + 1,
      );
    if (clauses.length === MOST_CLAUSES) throw new QueryError(`a query has at most ${MOST_CLAUSES} clauses.`, at + 1);
    const [whole, minus = '', field = 'message', op = ':', first = '', more = ''] = match;
    const values = [first, ...(more.match(/"[^"]*"|[^\s",]+/g) ?? [])].map((each) => each.replace(/^"(.*)"$/s, '$1'));
    const clause = { field, op: isOperator(op) ? op : ':', values, not: minus === '-' } as const;
    check(clause, fields, at + minus.length + 1);
    clauses.push(clause);
    at += whole.length;
  }
}

const isOperator = (text: string): text is Clause['op'] => [':', '>', '>=', '<', '<='].includes(text);

function check({ field, op, values }: Clause, fields: ReadonlyMap<string, FieldType>, column: number): void {
  const type = fields.get(field);
  if (!type)
    throw new QueryError(
      `there is no field ${JSON.stringify(field)}; there are ${[...fields.keys()].join(', ')}.`,
      column,
      field,
    );
  const number = type === 'integer' || type === 'double';
  if (op !== ':' && (!number || values.length > 1)) {
    throw new QueryError(
      `${field} can't be compared by ${op}: that is for one number, and it is a ${type}.`,
      column,
      field,
    );
  }
  for (const value of values) {
    const right = number
      ? isNumber(value, type)
      : type === 'boolean'
        ? /^(true|false)$/.test(value)
        : value !== '' && value.isWellFormed();
    if (!right) throw new QueryError(`${field} is a ${type}, and ${JSON.stringify(value)} is none.`, column, field);
  }
}

const isNumber = (value: string, type: FieldType) =>
  type === 'integer'
    ? /^-?\d{1,10}$/.test(value) && Math.abs(Number(value)) < 2 ** 31
    : /^-?\d{1,15}(\.\d{1,15})?$/.test(value);

/** The question in OpenSearch's words: whole values in `term`, `match_phrase` and `range`, and never `query_string`. */
export function toDsl(clauses: readonly Clause[], fields: ReadonlyMap<string, FieldType>): Dsl {
  const one = ({ field, op, values }: Clause): Dsl => {
    const name = PLAIN.has(field) ? field : `fields.${field}`;
    if (op !== ':') return { range: { [name]: { [COMPARED[op]]: Number(values[0]) } } };
    if (fields.get(field) !== 'text') return { terms: { [name]: values } };
    return { bool: { should: values.map((value) => ({ match_phrase: { [name]: value } })), minimum_should_match: 1 } };
  };
  const filter = clauses.filter(({ not }) => !not).map(one);
  return { bool: { filter, must_not: clauses.filter(({ not }) => not).map(one) } };
}

const COMPARED = { '>': 'gt', '>=': 'gte', '<': 'lt', '<=': 'lte' } as const;

/** Fields that each event has at its top; those of the application lie under `fields`. */
export const PLAIN: ReadonlyMap<string, FieldType> = new Map<string, FieldType>([
  ['message', 'text'],
  ['level', 'keyword'],
  ['service', 'keyword'],
  ['trace_id', 'keyword'],
  ['span_id', 'keyword'],
  ['host', 'keyword'],
  ['source', 'keyword'],
]);
