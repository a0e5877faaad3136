import { isDeepStrictEqual } from 'node:util';
import {
  type Contract,
  deref,
  isRecord,
  listOf,
  merged,
  type Operation,
  operationsOf,
  recordOf,
  type Schema,
} from './operations.ts';

/** A promise of the old contract that the new one doesn't keep. */
export interface BreakingChange {
  /** `GET /books 200 /body/books/0/price`: the operation, then `request` or a status, then a JSON pointer into it. */
  readonly where: string;
  readonly what: string;
}

/**
 * What breaks a client that was written by `old`: a request that was fine is refused, or an answer isn't what was promised. What
 * is only added (paths, methods, statuses, optional fields of a request, fields of an answer) breaks nobody, as long as clients
 * ignore fields that they don't know, and treat a status that they don't know as its class (RFC 9110 §15).
 * @throws ContractError
 */
export function diffContracts(old: Contract, now: Contract): BreakingChange[] {
  const later = new Map(operationsOf(now).map((each) => [nameOf(each), each]));
  return operationsOf(old).flatMap((before) => {
    const where = nameOf(before);
    const after = later.get(where);
    if (!after) return [{ where, what: 'is gone' }];
    // Who sends must still be understood, who listens must still understand.
    const request = notWithin([old, requestOf(before)], [now, requestOf(after)], false);
    const changes = request.map((each) => ({ where: `${where} request ${each.where}`, what: each.what }));
    const answers = answersOf(after);
    for (const [status, promised] of answersOf(before)) {
      const given = answers.get(status);
      const broken = given ? notWithin([now, given], [old, promised], true) : [{ where: '', what: 'is gone' }];
      for (const each of broken) changes.push({ where: `${where} ${status} ${each.where}`.trimEnd(), what: each.what });
    }
    return changes;
  });
}

export const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;

/** All that a client sends, as one object: `{ path, query, header, cookie, body, token }`. */
export function requestOf({ parameters, body, secured }: Operation): Schema {
  const part = (place: string): Schema => {
    const own = parameters.filter((each) => each.in === place);
    return object(
      own.map(({ name, schema, required }) => [place === 'header' ? name.toLowerCase() : name, schema, required]),
    );
  };
  return object([
    ['path', part('path'), true],
    ['query', part('query'), true],
    ['header', part('header'), true],
    ['cookie', part('cookie'), true],
    ...(body ? [['body', body.schema, body.required] as const] : []),
    ['token', {}, secured],
  ]);
}

/** All that a client gets, one object a status: `{ header, body }`, and a body of another type under its name. */
export function answersOf({ responses }: Operation): Map<string, Schema> {
  return new Map(
    Array.from(responses, ([status, { headers, content }]) => {
      const header = object(headers.map((name) => [name.toLowerCase(), {}, true]));
      const bodies = Array.from(
        content,
        ([type, schema]) => [type === JSON_TYPE ? 'body' : type, schema, true] as const,
      );
      return [status, object([['header', header, true], ...bodies])];
    }),
  );
}

const JSON_TYPE = 'application/json';

const object = (fields: readonly (readonly [string, Schema, boolean])[]): Schema => ({
  type: 'object',
  properties: Object.fromEntries(fields),
  required: fields.filter(([, , required]) => required).map(([name]) => name),
  additionalProperties: false,
});

/** A schema, and the contract that its `$ref`s lead into. */
export type Within = readonly [Contract, Schema];

/**
 * Why a value that `sub` allows may be one that `whole` doesn't; nothing when all that `sub` allows is within `whole`. Looks at
 * types, values, limits, fields, items, alternatives and `allOf`. Of a pattern, a format and the like it knows only whether it is
 * the same; of values that are listed, only the list.
 * @param answer words it for who reads an answer, and judges it so: he ignores what he doesn't know, and misses what is gone
 */
export function notWithin(
  [subContract, subGiven]: Within,
  [wholeContract, wholeGiven]: Within,
  answer: boolean,
  seen = new Map<Schema, Map<Schema, readonly BreakingChange[]>>(),
): readonly BreakingChange[] {
  const [subSchema, wholeSchema] = [deref(subContract, subGiven), deref(wholeContract, wholeGiven)];
  // Each pair once: schemas that speak of each other have more ways through them than there is time.
  const compared = seen.get(subSchema) ?? new Map<Schema, readonly BreakingChange[]>();
  seen.set(subSchema, compared);
  const before = compared.get(wholeSchema);
  if (before) return before;
  compared.set(wholeSchema, []);
  const inside: Inside = (a, b) => notWithin([subContract, recordOf(a)], [wholeContract, recordOf(b)], answer, seen);
  const [sub, whole] = [merged(subContract, subSchema), merged(wholeContract, wholeSchema)];

  const choices = alternativesOf(whole);
  const alternatives = alternativesOf(sub) ?? (choices && partsOf(sub));
  let found: readonly BreakingChange[] | undefined;
  if (alternatives) found = alternatives.flatMap((each) => inside(each, wholeSchema));
  else if (choices) {
    const tried = choices.map((each) => inside(subSchema, each));
    found = tried.find((each) => each.length === 0) ?? tried[0] ?? [];
  } else found = compare(sub, whole, answer, inside);
  compared.set(wholeSchema, found);
  return found;
}

type Inside = (sub: unknown, whole: unknown) => readonly BreakingChange[];

/** Without alternatives. */
function compare(sub: Schema, whole: Schema, answer: boolean, inside: Inside): BreakingChange[] {
  const found: BreakingChange[] = [];
  const say = (inAnswer: string, inRequest: string, where = ''): void =>
    void found.push({ where, what: answer ? inAnswer : inRequest });

  const [types, known] = [typesOf(sub), typesOf(whole)];
  const strange = types.length === 0 ? ['anything'] : types.filter((type) => !isOneOf(known, type));
  if (known.length > 0 && strange.length > 0) {
    say(`may now be ${strange.join(' or ')}`, `no longer takes ${strange.join(' or ')}`);
    return found;
  }
  const [values, allowed] = [valuesOf(sub), valuesOf(whole)];
  const others = values?.filter((value) => !allowed?.some((one) => isDeepStrictEqual(one, value)));
  if (allowed && others?.length !== 0) {
    const which = others?.map((value) => JSON.stringify(value)).join(' or ') ?? 'any value';
    say(`may now be ${which}`, `no longer takes ${which}`);
  }
  if (values) return found;
  for (const [key, isLower] of LIMITS) {
    const [mine, limit] = [sub[key], whole[key]];
    if (typeof limit !== 'number' || (typeof mine === 'number' && (isLower ? mine >= limit : mine <= limit))) continue;
    say(`has no ${key} of ${limit} any more`, `now has a ${key} of ${limit}`);
  }
  for (const key of SAME) {
    const asked = whole[key];
    if (asked === undefined || isDeepStrictEqual(sub[key], asked)) continue;
    say(`has another ${key}`, `now asks for the ${key} ${typeof asked === 'string' ? asked : JSON.stringify(asked)}`);
  }
  if (isRecord(whole['items']) && (types.length === 0 || types.includes('array')))
    found.push(...below('0', inside(sub['items'], whole['items'])));
  if (types.length > 0 && !types.includes('object')) return found;

  const [rest, taken] = [sub['additionalProperties'], whole['additionalProperties']];
  const [mine, theirs] = [recordOf(sub['properties']), recordOf(whole['properties'])];
  for (const name of listOf(whole['required']).map(String)) {
    if (listOf(sub['required']).includes(name) || (answer && !Object.hasOwn(mine, name))) continue;
    say('may be missing now', 'is now required', `/${name}`);
  }
  for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const [inMine, inTheirs] = [Object.hasOwn(mine, name), Object.hasOwn(theirs, name)];
    if (inMine && inTheirs) found.push(...below(name, inside(mine[name], theirs[name])));
    else if (answer ? !inMine : !inTheirs && taken === false) {
      say('is gone', 'is no longer taken', `/${name}`);
    } else if (inMine && isRecord(taken)) found.push(...below(name, inside(mine[name], taken)));
  }
  if (isRecord(taken) && rest !== false) found.push(...below('*', inside(rest, taken)));
  else if (taken === false && rest !== false && !answer) say('', 'no longer takes other fields');
  return found;
}

const isOneOf = (known: readonly unknown[], type: unknown): boolean =>
  known.includes(type) || (type === 'integer' && known.includes('number'));

const below = (name: string, found: readonly BreakingChange[]): BreakingChange[] =>
  found.map(({ where, what }) => ({ where: `/${name}${where}`, what }));

const alternativesOf = ({ anyOf, oneOf = anyOf }: Schema): readonly unknown[] | undefined =>
  Array.isArray(oneOf) ? oneOf : undefined;
/** What stands in one list, each by itself. */
function partsOf(schema: Schema): readonly Schema[] | undefined {
  const values = valuesOf(schema);
  const parts =
    values?.map((value) => ({ const: value })) ?? typesOf(schema).map((type) => ({ ...schema, nullable: false, type }));
  return parts.length > 1 ? parts : undefined;
}

/** With 3.0's word for null, too. */
function typesOf(schema: Schema): readonly unknown[] {
  const { type, nullable } = schema;
  if (type !== undefined) return [...new Set([type, nullable === true ? 'null' : type].flat())];
  return [...new Set(valuesOf(schema)?.map(typeOf))];
}

const typeOf = (value: unknown): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
const valuesOf = (schema: Schema): readonly unknown[] | undefined =>
  Array.isArray(schema['enum']) ? schema['enum'] : Object.hasOwn(schema, 'const') ? [schema['const']] : undefined;

/** Keyword, and whether it is a lower limit. */
const LIMITS: readonly (readonly [string, boolean])[] = [
  ['minimum', true],
  ['minLength', true],
  ['minItems', true],
  ['maximum', false],
  ['maxLength', false],
  ['maxItems', false],
  ['exclusiveMinimum', true],
  ['exclusiveMaximum', false],
  ['minProperties', true],
  ['maxProperties', false],
];
/** Keywords that are only compared for being the same. */
const SAME =
  'pattern format multipleOf uniqueItems prefixItems propertyNames patternProperties contains not if then else'.split(
    ' ',
  );
