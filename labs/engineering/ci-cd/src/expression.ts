import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { ExpressionError } from './errors.ts';

/** What an expression can be made of. Objects come from outside: only their own properties count. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [key: string]: Value };
/** `skipped`: neither has anything failed nor has all of it run. */
export type Status = 'success' | 'failure' | 'cancelled' | 'skipped';

export interface Scope {
  /** By name: github, env, matrix, needs, steps, secrets, inputs, vars, strategy, runner, job. One that is missing here is empty. */
  readonly contexts: { readonly [name: string]: Value };
  /** How the job has gone so far: what success(), failure() and cancelled() answer. */
  readonly status: Status;
  /** Where hashFiles() looks. */
  readonly workspace: string;
}

type Thunk = (scope: Scope) => Value;

export interface Expression {
  evaluate(scope: Scope): Value;
  /** It asks how the job has gone, so the success() that stands before any other condition does not. */
  readonly asksStatus: boolean;
}

const CONTEXTS = [
  'github',
  'env',
  'matrix',
  'needs',
  'steps',
  'secrets',
  'inputs',
  'vars',
  'strategy',
  'runner',
  'job',
];
/** GitHub's own limits. */
const LONGEST = 21_000;
const DEEPEST = 50;

/** The results of `.*`: what follows is looked up in each of them. */
class Filtered extends Array<Value> {}

const isObject = (value: Value): value is { readonly [key: string]: Value } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const truthy = (value: Value) =>
  value !== null && value !== '' && value !== false && value !== 0 && !Number.isNaN(value);

/** As GitHub writes a value into a text: nothing for null, `Object` for an object. */
export function textOf(value: Value): string {
  if (value === null) return '';
  if (typeof value === 'object') return Array.isArray(value) ? 'Array' : 'Object';
  return Object.is(value, -0) ? '0' : String(value);
}

function numberOf(value: Value): number {
  if (value === null) return 0;
  if (typeof value === 'string') {
    const text = value.trim();
    return /^(?:[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|0x[\da-f]+|0o[0-7]+|[-+]?Infinity)?$/i.test(text)
      ? Number(text)
      : Number.NaN;
  }
  return typeof value === 'object' ? Number.NaN : Number(value);
}

const fold = (text: string) => text.toUpperCase();

function equal(a: Value, b: Value): boolean {
  if (typeof a === 'string' && typeof b === 'string') return fold(a) === fold(b);
  if (typeof a === 'object' && a !== null) return a === b;
  return a === b || (typeof a !== typeof b && numberOf(a) === numberOf(b));
}

function less(a: Value, b: Value): boolean {
  return typeof a === 'string' && typeof b === 'string' ? fold(a) < fold(b) : numberOf(a) < numberOf(b);
}

function property(of: Value, key: Value): Value {
  if (of instanceof Filtered)
    return Filtered.from(of.map((each) => property(each, key)).filter((each) => each !== null));
  if (Array.isArray(of)) return typeof key === 'string' ? null : (of[numberOf(key)] ?? null);
  if (!isObject(of)) return null;
  const wanted = fold(textOf(key));
  const name = Object.keys(of).find((each) => fold(each) === wanted);
  return name === undefined ? null : (of[name] ?? null);
}

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest();

/** SHA-256 over those of the files that match, inside of the workspace, in the order of their names; '' without any. */
function hashFiles({ workspace }: Scope, patterns: readonly string[]): string {
  const [wanted, exclude] = [
    patterns.filter((each) => !each.startsWith('!')),
    patterns.filter((each) => each.startsWith('!')),
  ];
  const files = globSync(wanted, { cwd: workspace, exclude: exclude.map((each) => each.slice(1)) })
    .map((file) => resolve(workspace, file))
    .filter(
      (file) => !relative(workspace, file).startsWith('..') && statSync(file, { throwIfNoEntry: false })?.isFile(),
    )
    .sort();
  if (files.length === 0) return '';
  return sha256(Buffer.concat(files.map((file) => sha256(readFileSync(file))))).toString('hex');
}

/** Compares two texts in any case; a list or an object is none. */
const text = (use: (a: string, b: string) => boolean) => (_: Scope, a: Value, b: Value) =>
  ![a, b].some((each) => typeof each === 'object' && each !== null) && use(fold(textOf(a)), fold(textOf(b)));
const filledIn = (template: string, values: readonly Value[]) =>
  template.replace(/\{\{|\}\}|\{(\d+)\}|[{}]/g, (found, index?: string) => {
    if (found === '{{' || found === '}}') return found.charAt(0);
    if (index === undefined || Number(index) >= values.length) throw new Error(`nothing belongs at ${found}.`);
    return textOf(values[Number(index)] ?? null);
  });
const status = (use: (status: Status) => boolean) => (scope: Scope) => use(scope.status);

/** By lower-case name: how many arguments, and what it does. */
const FUNCTIONS = new Map<string, [least: number, most: number, call: (scope: Scope, ...values: Value[]) => Value]>([
  [
    'contains',
    [
      2,
      2,
      (scope, a, b) =>
        Array.isArray(a)
          ? a.some((each) => equal(each, b ?? null))
          : text((x, y) => x.includes(y))(scope, a ?? null, b ?? null),
    ],
  ],
  ['startswith', [2, 2, (scope, a, b) => text((x, y) => x.startsWith(y))(scope, a ?? null, b ?? null)]],
  ['endswith', [2, 2, (scope, a, b) => text((x, y) => x.endsWith(y))(scope, a ?? null, b ?? null)]],
  ['tojson', [1, 1, (_, value) => JSON.stringify(value, null, 2)]],
  ['fromjson', [1, 1, (_, value) => JSON.parse(textOf(value ?? null))]],
  ['hashfiles', [1, 255, (scope, ...patterns) => hashFiles(scope, patterns.map(textOf))]],
  ['format', [1, 255, (_, template, ...values) => filledIn(textOf(template ?? null), values)]],
  [
    'join',
    [
      1,
      2,
      (_, list, by = ',') =>
        Array.isArray(list)
          ? list.map(textOf).join(typeof by === 'object' && by !== null ? ',' : textOf(by))
          : textOf(list ?? null),
    ],
  ],
  ['success', [0, 0, status((it) => it === 'success')]],
  ['failure', [0, 0, status((it) => it === 'failure')]],
  ['cancelled', [0, 0, status((it) => it === 'cancelled')]],
  ['always', [0, 0, () => true]],
]);
const STATUS = ['success', 'failure', 'cancelled', 'always'];

const TOKEN =
  /\s*(?:(?<number>[-+]?(?:0x[\da-fA-F]+|0o[0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))(?![\w.])|(?<string>'(?:[^']|'')*')|(?<name>[A-Za-z_][\w-]*)|(?<sign>[=!<>]=|&&|\|\||[!<>()[\],.*]))/y;

/**
 * Reads an expression of GitHub Actions, without its `${{ }}`.
 *
 * Source: https://docs.github.com/en/actions/reference/workflows-and-actions/expressions
 *
 * @throws ExpressionError on what is no expression, and on a function or a context that there isn't: whether or not it
 *   would ever be evaluated. `evaluate` throws it when fromJSON() or hashFiles() fails.
 */
export function compile(source: string): Expression {
  const fail = (problem: string): never => {
    throw new ExpressionError(source, problem);
  };
  if (source.length > LONGEST) fail(`it is longer than ${LONGEST} characters.`);
  const tokens: { kind: string; text: string }[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; source.slice(at).trim() !== ''; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const found = Object.entries(TOKEN.exec(source)?.groups ?? {}).find(([, value]) => value !== undefined);
    if (!found) return fail(`what is ${JSON.stringify(source.slice(at).trim().slice(0, 20))}?`);
    tokens.push({ kind: found[0], text: found[1] });
  }
  let next = 0;
  let depth = 0;
  let asksStatus = false;
  const take = (...signs: string[]) => {
    const token = tokens[next];
    if (token?.kind !== 'sign' || !signs.includes(token.text)) return undefined;
    next++;
    return token.text;
  };
  const expect = (sign: string) =>
    take(sign) ?? fail(`"${sign}" is missing after ${tokens[next - 1]?.text ?? 'nothing'}.`);

  const call = (name: string): Thunk => {
    const known = FUNCTIONS.get(name.toLowerCase());
    if (!known) return fail(`there is no function ${name}() here: ${[...FUNCTIONS.keys()].join(', ')}.`);
    const [least, most, run] = known;
    const args: Thunk[] = [];
    if (!take(')')) {
      do args.push(or());
      while (take(','));
      expect(')');
    }
    if (args.length < least || args.length > most)
      fail(`${name}() takes ${least} to ${most} arguments, not ${args.length}.`);
    asksStatus ||= STATUS.includes(name.toLowerCase());
    return (scope) => {
      try {
        return run(scope, ...args.map((arg) => arg(scope)));
      } catch (error) {
        if (error instanceof ExpressionError) throw error;
        return fail(`${name}() failed: ${error instanceof Error ? error.message : error}`);
      }
    };
  };
  const primary = (): Thunk => {
    if (++depth > DEEPEST) fail(`it is nested deeper than ${DEEPEST} levels.`);
    const token = tokens[next++] ?? fail('it ends too soon.');
    let thunk: Thunk;
    if (token.kind === 'number') thunk = () => Number(token.text);
    else if (token.kind === 'string') thunk = () => token.text.slice(1, -1).replaceAll("''", "'");
    else if (token.text === '(') {
      thunk = or();
      expect(')');
    } else if (token.text === '!') {
      const operand = primary();
      thunk = (scope) => !truthy(operand(scope));
    } else if (token.kind !== 'name') return fail(`a value is missing at "${token.text}".`);
    else if (take('(')) thunk = call(token.text);
    else if (['true', 'false', 'null'].includes(token.text)) thunk = () => JSON.parse(token.text);
    else {
      const name = token.text.toLowerCase();
      if (!CONTEXTS.includes(name)) fail(`there is no context ${token.text} here: ${CONTEXTS.join(', ')}.`);
      thunk = ({ contexts }) => (Object.hasOwn(contexts, name) ? (contexts[name] ?? null) : {});
    }
    depth--;
    return token.text === '!' ? thunk : lookups(thunk);
  };
  const lookups = (first: Thunk): Thunk => {
    let thunk = first;
    for (let sign = take('.', '['); sign; sign = take('.', '[')) {
      const of = thunk;
      const token = tokens[next];
      if (take('*')) {
        thunk = (scope) => {
          const value = of(scope);
          return Filtered.from(typeof value === 'object' && value !== null ? Object.values(value) : []);
        };
      } else if (sign === '[') {
        const key = or();
        thunk = (scope) => property(of(scope), key(scope));
      } else if (token?.kind === 'name') {
        next++;
        thunk = (scope) => property(of(scope), token.text);
      } else fail('a name is missing after the dot.');
      if (sign === '[') expect(']');
    }
    return thunk;
  };
  const chain = (operand: () => Thunk, signs: string[], apply: (sign: string, a: Thunk, b: Thunk) => Thunk) => () => {
    let thunk = operand();
    for (let sign = take(...signs); sign; sign = take(...signs)) thunk = apply(sign, thunk, operand());
    return thunk;
  };
  const compare = chain(primary, ['<', '<=', '>', '>='], (sign, a, b) => (scope) => {
    const [x, y] = sign.startsWith('<') ? [a(scope), b(scope)] : [b(scope), a(scope)];
    return less(x, y) || (sign.endsWith('=') && equal(x, y));
  });
  const equality = chain(
    compare,
    ['==', '!='],
    (sign, a, b) => (scope) => equal(a(scope), b(scope)) === (sign === '=='),
  );
  const and = chain(equality, ['&&'], (_, a, b) => (scope) => {
    const value = a(scope);
    return truthy(value) ? b(scope) : value;
  });
  const or: () => Thunk = chain(and, ['||'], (_, a, b) => (scope) => {
    const value = a(scope);
    return truthy(value) ? value : b(scope);
  });

  const evaluate = or();
  if (next < tokens.length) fail(`what does ${tokens[next]?.text} mean here?`);
  return { evaluate, asksStatus };
}

/** An expression within a text; quotes may hold braces. */
const WITHIN = /\$\{\{((?:'[^']*'|[^'])*?)\}\}/g;

/** The expressions in a text, each without its braces. @throws ExpressionError on one that is never closed. */
export function expressionsIn(template: string): string[] {
  const within = new RegExp(WITHIN, 'y');
  const found: string[] = [];
  for (let at = template.indexOf('${{'); at >= 0; at = template.indexOf('${{', within.lastIndex)) {
    within.lastIndex = at;
    const [, source] = within.exec(template) ?? [];
    if (source === undefined) throw new ExpressionError(template, 'it is never closed with }}.');
    found.push(source);
  }
  return found;
}

/**
 * Puts the values of its expressions into a text, once: a value that looks like an expression stays a text.
 * @throws ExpressionError
 */
export function interpolate(template: string, scope: Scope): string {
  expressionsIn(template);
  return template.replace(WITHIN, (_, source: string) => textOf(compile(source).evaluate(scope)));
}

/** The value of a setting: an expression alone keeps its type, anything else is a text. @throws ExpressionError */
export function settle(setting: Value, scope: Scope): Value {
  if (typeof setting === 'string') {
    const [only] = expressionsIn(setting);
    return only !== undefined && setting.trim() === `\${{${only}}}`
      ? compile(only).evaluate(scope)
      : interpolate(setting, scope);
  }
  if (Array.isArray(setting)) return setting.map((each) => settle(each, scope));
  if (!isObject(setting)) return setting;
  return Object.fromEntries(Object.entries(setting).map(([key, each]) => [key, settle(each, scope)]));
}

/** The condition of an `if:`, with or without `${{ }}`. @throws ExpressionError */
export function condition(source: string): Expression {
  const [only] = expressionsIn(source);
  if (only === undefined) return compile(source);
  if (source.trim() === `\${{${only}}}`) return compile(only);
  throw new ExpressionError(source, 'text around an expression is always true: write the condition as one expression.');
}
