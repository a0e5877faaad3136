import { random } from '@shared/testkit';
import { buildSchema, type DocumentNode, getIntrospectionQuery, parse, type ValidationRule, validate } from 'graphql';
import { expect, test } from 'vitest';
import { aliasLimit, costLimit, depthLimit, InvalidArgumentError, LimitExceededError } from '#lab';
import { typeDefs } from './schema.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const schema = buildSchema(typeDefs);
const refusedIn = (document: DocumentNode, rule: ValidationRule) => validate(schema, document, [rule]).length > 0;
const refused = (rule: ValidationRule, query: string) => refusedIn(parse(query), rule);

/** What a rule finds in a query: the least limit that lets it pass. */
function found(make: (max: number) => ValidationRule, query: string): number {
  const document = parse(query);
  const sizes = validate(schema, document, [make(0)]).map((error) =>
    error instanceof LimitExceededError ? error.found : Number.NaN,
  );
  const size = Math.max(0, ...sizes);
  if (size > 1e12) return Number.POSITIVE_INFINITY;
  expect([refusedIn(document, make(size)), size > 0 && refusedIn(document, make(size - 1))], query).toEqual([
    false,
    size > 0,
  ]);
  return size;
}
const cost = (query: string, variables?: Record<string, unknown>) =>
  found((max) => costLimit(max, { variables }), query);

// ── core ──

test('a query is as deep as its longest branch, and a fragment is as deep as its text would be', () => {
  const deep = '{ articles { title author { articles { author { name } } } comments { text } } }';
  expect(found(depthLimit, deep), `levels of ${deep}`).toBe(5);
  const spread = `{ articles { title ...A comments { text } } }
    fragment A on Article { author { ... on Author { articles { ...B } } } } fragment B on Article { author { name } }`;
  expect(found(depthLimit, spread), `levels of ${spread}`).toBe(5);
  const twice = '{ articles { ...A author { articles { ...A } } } } fragment A on Article { author { name } }';
  expect(found(depthLimit, twice), `levels of ${twice}`).toBe(5);
});

test('a query is measured in a time as long as its text; a fragment inside of itself is refused', () => {
  const levels = 14;
  const laughs = Array.from(
    { length: levels },
    (_, n) => `fragment F${n} on Author { articles { x: author { ...F${n + 1} } y: author { ...F${n + 1} } } }`,
  );
  const document = parse(
    `{ articles { author { ...F0 } } } ${laughs.join(' ')} fragment F${levels} on Author { name }`,
  );
  const last = document.definitions.at(-1);
  if (last?.kind !== 'FragmentDefinition') throw new Error('the last is a fragment');
  let reads = 0;
  const counted = { ...last };
  const look = () => {
    reads++;
    return last.selectionSet;
  };
  Object.defineProperty(counted, 'selectionSet', { get: look, enumerable: true });
  const definitions = [...document.definitions.slice(0, -1), counted];
  for (const make of [depthLimit, aliasLimit, costLimit]) {
    const errors = validate(schema, { ...document, definitions }, [make(5)]);
    expect(errors.length, `refusals by ${make.name}(5) of ${levels} fragments that double`).toBe(1);
  }
  expect(reads, `times that the innermost of ${levels} fragments was looked into`).toBeLessThan(20);

  const loop = '{ articles { ...A } } fragment A on Article { author { articles { ...A } } }';
  for (const make of [depthLimit, costLimit]) {
    expect(refused(make(1000), loop), `whether ${make.name}(1000) refuses ${loop}`).toBe(true);
  }
});

test('what lies below a list counts as often as it has objects: by a literal, a variable, its default or the schema’s', () => {
  expect(cost('{ articles(first: 20) { title } }'), 'first: 20').toBe(21);
  expect(cost('query ($n: Int) { articles(first: $n) { title } }', { n: 30 }), '$n, sent as 30').toBe(31);
  expect(cost('query ($n: Int = 40) { articles(first: $n) { title } }'), '$n, by default 40').toBe(41);
  expect(cost('{ articles { title } }'), 'first has the default 10 in the schema').toBe(11);
  expect(cost('{ articles(first: 5) { comments(first: 4) { text } title } }'), '4 in each of 5').toBe(31);
  expect(cost('{ articles(first: 5) { author { name } } }'), 'one in each of 5').toBe(11);
  expect(cost('{ articles(first: 1000000000) { title } }'), 'a billion').toBe(1_000_000_001);
});

// ── hardening ──

test('a list in a variable is never read, however many operations declare it, and is no size', () => {
  let reads = 0;
  const get = (target: object, name: PropertyKey): unknown => {
    reads++;
    return Reflect.get(target, name);
  };
  const list = new Proxy([], { get });
  const operation = (n: number) => `query Q${n}($list: [Int], $n: Int) { articles(first: $n) { title } }`;
  expect(cost(Array.from({ length: 50 }, (_, n) => operation(n)).join(' '), { list, n: 30 })).toBe(31);
  expect(cost('query ($list: [Int]) { articles(first: $list) { title } }', { list })).toBe(Infinity);
  expect(reads).toBe(0);
});

test('a long alias costs what it fills', () => {
  const alias = (length: number) => `{ articles(first: 20) { ${'a'.repeat(length)}: title } }`;
  expect([99, 100, 250, 100_000].map((length) => cost(alias(length)))).toEqual([21, 41, 61, 20_021]);
});

test('a size that is negative is refused, and pays for nothing beside it', () => {
  const credit = '{ a: articles(first: -1000000) { title } b: articles(first: 1000) { title } }';
  expect(refused(costLimit(100), credit), credit).toBe(true);
  const variable = 'query ($n: Int) { articles(first: $n) { title } }';
  expect([cost(variable, { n: -1 }), cost(variable, { n: null }), cost(variable)]).toEqual([Infinity, 11, 11]);
  expect(cost('{ articles(first: 0) { title } }')).toBe(1);
});

test('sizes whose product no number can hold are refused, a zero among them or not', () => {
  const nested = (first: number, depth: number): string =>
    depth ? `{ comments(first: ${first}) { article ${nested(first, depth - 1)} } }` : '{ title }';
  const huge = nested(2_000_000_000, 40);
  for (const query of [`{ articles ${huge} }`, `{ articles(first: 0) ${huge} }`]) {
    expect(refused(costLimit(1000), query), query.slice(0, 40)).toBe(true);
  }
});

test('each alias counts, wherever it is', () => {
  const names = Array.from({ length: 1000 }, (_, n) => `a${n}: takings`).join(' ');
  expect(found(aliasLimit, `{ ${names} }`)).toBe(1000);
  expect(found(aliasLimit, `{ ...A } fragment A on Query { ${names} }`)).toBe(1000);
  expect(
    found(aliasLimit, `{ ... { b: articles { ...A } articles { ...A } } } fragment A on Article { x: title }`),
  ).toBe(3);
});

test('a fragment, named or inline, measures what its text measures: 40 random queries', () => {
  const { next } = random(SEED);
  const pick = <T>(...of: [T, ...T[]]): T => of[Math.floor(next() * of.length)] ?? of[0];
  for (let round = 0; round < 40; round++) {
    const fragments: string[] = [];
    const set = (type: string, depth: number): { plain: string; spread: string } => {
      const leaf = { Article: 'title', Author: 'name', Comment: 'text' }[type] ?? '__typename';
      const below: readonly (readonly [string, string])[] =
        {
          Article: [['author', 'Author'] as const, ['comments(first: 3)', 'Comment'] as const],
          Author: [['articles(first: 2)', 'Article'] as const],
          Comment: [['author', 'Author'] as const, ['article', 'Article'] as const],
          Query: [['articles', 'Article'] as const],
        }[type] ?? [];
      const parts = Array.from({ length: 1 + Math.floor(next() * 3) }, (_, n) => {
        const [name, inner] = pick<readonly [string, string] | undefined>(undefined, ...below) ?? [leaf, ''];
        const alias = pick('', '', `${leaf}${depth}${n}: `);
        const { plain, spread } = inner && depth ? set(inner, depth - 1) : { plain: '', spread: '' };
        if (inner && !depth) return { plain: `${alias}${leaf}`, spread: `${alias}${leaf}` };
        return { plain: `${alias}${name} ${plain}`, spread: `${alias}${name} ${spread}` };
      });
      const plain = `{ ${parts.map((part) => part.plain).join(' ')} }`;
      const text = `{ ${parts.map((part) => part.spread).join(' ')} }`;
      const form = pick('plain', 'inline', 'named');
      if (form === 'plain') return { plain, spread: text };
      if (form === 'inline') return { plain, spread: `{ ... on ${type} ${text} }` };
      fragments.push(`fragment F${fragments.length} on ${type} ${text}`);
      return { plain, spread: `{ ...F${fragments.length - 1} }` };
    };
    const { plain, spread } = set('Query', 5);
    const whole = `${spread} ${fragments.join(' ')}`;
    expect(found(depthLimit, plain)).toBeGreaterThan(0);
    for (const make of [depthLimit, aliasLimit, costLimit]) expect(found(make, whole), whole).toBe(found(make, plain));
  }
});

test('each operation of a document is measured, and the chain of a thousand fragments too', () => {
  expect(refused(depthLimit(2), 'query A { takings } query B { articles { author { name } } }')).toBe(true);
  const chain = Array.from({ length: 5000 }, (_, n) => `fragment F${n} on Article { ...F${n + 1} }`).join(' ');
  const query = `{ articles { ...F0 } } ${chain} fragment F5000 on Article { title }`;
  expect(refused(depthLimit(1000), query)).toBe(true);
});

test('introspection is one level deep and a field each; a fragment or an alias of that name hides nothing', () => {
  const introspection = getIntrospectionQuery();
  expect(found(depthLimit, introspection)).toBe(1);
  expect(cost(introspection)).toBeLessThan(300);
  const again = [
    '{ a: __schema { types { name } } }',
    '{ __schema { ...S } } fragment S on __Schema { a: types { name } }',
  ];
  for (const query of again) expect(cost(query), query).toBe(Infinity);
  expect(cost('{ a: __typename __type(name: "Query") { a: name } }')).toBe(3);
  const hidden = `{ articles { ...__schema __schema: author { articles { title } } } }
    fragment __schema on Article { author { articles { author { name } } } }`;
  expect(found(depthLimit, hidden)).toBe(5);
  expect(cost(hidden)).toBeGreaterThan(100);
});

test('what the schema does not know is measured all the same, and left to graphql to refuse', () => {
  const unknown =
    '{ nothing { a: toString { __proto__ } } ...Gone articles(first: "x", last: 3) { title } ... on Nope { x } }';
  expect([found(depthLimit, unknown), found(aliasLimit, unknown)]).toEqual([3, 1]);
  expect(cost(unknown)).toBeLessThan(100);
});

test('a list without a size is taken for listSize, and names of sizes can be chosen', () => {
  const plain = buildSchema(
    `type Query { shelf: [Box!], top(limit: Int, ids: [ID!]! = []): [Box], one: Box, grid(first: Int): [[Box!]!]!, wall: [[[Box]]] }
    type Box { id: ID tags: [ID] }`,
  );
  const of = (options: object, query: string) =>
    found((max) => {
      const rule = costLimit(max, options);
      return (context) => rule(Object.create(context, { getSchema: { value: () => plain } }));
    }, query);
  expect(of({}, '{ shelf { id tags } }')).toBe(21);
  expect(of({ listSize: 3 }, '{ shelf { id } }')).toBe(4);
  expect(of({}, '{ top(limit: 7) { id } }')).toBe(11);
  expect(of({ sizeArguments: ['limit'] }, '{ top(limit: 7) { id } }')).toBe(8);
  expect(of({}, '{ one { id } }')).toBe(2);
  expect(of({}, '{ grid(first: 3) { id } }'), '3 lists of 10').toBe(31);
  expect([of({}, '{ grid { id } }'), of({ listSize: 2 }, '{ wall { id } }')]).toEqual([101, 9]);
  expect(of({ sizeArguments: ['limit'] }, '{ top(limit: 7, ids: {}) { id } }'), 'beside what is wrong').toBe(8);
});

test('a refusal says what was found and how much is allowed; a limit that is no count is none', () => {
  const [error] = validate(schema, parse('{ articles { author { name } } }'), [depthLimit(2)]);
  expect(error).toBeInstanceOf(LimitExceededError);
  expect(error).toMatchObject({
    message: 'The query is refused: it is 3 levels deep, of 2 at most. Ask for less.',
    extensions: { code: 'DEPTH_LIMIT', max: 2, http: { status: 400 } },
    locations: [{ line: 1, column: 1 }],
  });
  for (const max of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
    for (const make of [depthLimit, aliasLimit, costLimit]) expect(() => make(max)).toThrow(InvalidArgumentError);
    expect(() => costLimit(1, { listSize: max })).toThrow(InvalidArgumentError);
  }
});
