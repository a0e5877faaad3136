import { isDeepStrictEqual } from 'node:util';
import { type Contract, deref, listOf, type Operation, operationsOf, recordOf, type Schema } from './operations.ts';

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

/** All that a client sends, as one object: `{ path, query, header, body, token }`. */
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
 * types, values, limits, fields, items and alternatives. Of a pattern, a format and the like it knows only whether it is the same.
 * @param answer words it for who reads an answer, and judges it so: he ignores what he doesn't know, and misses what is gone
 */
export function notWithin(
  [subContract, subGiven]: Within,
  [wholeContract, wholeGiven]: Within,
  answer: boolean,
  seen: readonly (readonly [Schema, Schema])[] = [],
): BreakingChange[] {
  const [sub, whole] = [deref(subContract, subGiven), deref(wholeContract, wholeGiven)];
  if (seen.some(([a, b]) => a === sub && b === whole)) return [];
  const inside = (a: unknown, b: unknown) =>
    notWithin([subContract, recordOf(a)], [wholeContract, recordOf(b)], answer, [...seen, [sub, whole]]);
  const found: BreakingChange[] = [];
  const say = (inAnswer: string, inRequest: string, where = ''): void =>
    void found.push({ where, what: answer ? inAnswer : inRequest });

  const [alternatives, choices] = [alternativesOf(sub), alternativesOf(whole)];
  if (alternatives) return alternatives.flatMap((each) => inside(each, whole));
  if (choices) {
    const tried = choices.map((each) => inside(sub, each));
    return tried.find((each) => each.length === 0) ?? tried[0] ?? [];
  }

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
  for (const key of ['pattern', 'format', 'multipleOf', 'uniqueItems']) {
    if (whole[key] === undefined || isDeepStrictEqual(sub[key], whole[key])) continue;
    say(`has another ${key}`, `now asks for the ${key} ${whole[key]}`);
  }
  if (types.includes('array')) found.push(...below('0', inside(sub['items'], whole['items'])));
  if (!types.includes('object')) return found;

  const [mine, theirs] = [recordOf(sub['properties']), recordOf(whole['properties'])];
  for (const name of listOf(whole['required']).map(String)) {
    if (listOf(sub['required']).includes(name) || (answer && !Object.hasOwn(mine, name))) continue;
    say('may be missing now', 'is now required', `/${name}`);
  }
  for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const [inMine, inTheirs] = [Object.hasOwn(mine, name), Object.hasOwn(theirs, name)];
    if (inMine && inTheirs) found.push(...below(name, inside(mine[name], theirs[name])));
    else if (answer ? !inMine : !inTheirs && whole['additionalProperties'] === false) {
      say('is gone', 'is no longer taken', `/${name}`);
    }
  }
  return found;
}

const isOneOf = (known: readonly unknown[], type: unknown): boolean =>
  known.includes(type) || (type === 'integer' && known.includes('number'));

const below = (name: string, found: readonly BreakingChange[]): BreakingChange[] =>
  found.map(({ where, what }) => ({ where: `/${name}${where}`, what }));

const alternativesOf = ({ anyOf, oneOf = anyOf }: Schema): readonly unknown[] | undefined =>
  Array.isArray(oneOf) ? oneOf : undefined;
const typesOf = ({ type }: Schema): readonly unknown[] => (type === undefined ? [] : [type].flat());
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
];
