import { type Contract, ContractError, isRecord, listOf, merged, recordOf, type Schema } from './operations.ts';

/** What a client may send in a moment of weakness, or of malice. */
export const HOSTILE: readonly string[] = [
  ...'¦ ¦0¦-1¦1¦1e3¦0x10¦1.5¦99999999999999999999¦NaN¦null¦true¦[]¦{}¦*¦.¦%¦_¦\\¦../../etc/passwd¦%00'.split('¦'),
  ...`"¦"1"¦W/"1"¦' OR 1=1 --¦<script>¦Grüße¦中文¦🦊¦\r\nX: y¦\u0000¦\ud800¦\u202e¦toString¦__proto__`.split('¦'),
  'a'.repeat(150),
];
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  -0,
  2 ** 53,
  [],
  {},
  [[]],
  'x'.repeat(2000),
  ...HOSTILE,
];
const LETTERS = [...'aZ7 -_%"\'\\<&\nü中🦊', '\u0000', '\ud83d'];

/** The number of a parameter whose schema asks for one. */
export const isWritten = ({ type }: Schema, text: string): boolean =>
  (type === 'integer' || type === 'number') && /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$/.test(text);

/** Makes values by a schema, and spoils them, from one seed. */
export class Maker {
  readonly #contract: Contract;
  #state: number;
  /** By the name of a field: values that answers had there. */
  readonly #seen = new Map<string, unknown[]>();

  constructor(contract: Contract, seed: number) {
    this.#contract = contract;
    this.#state = seed >>> 0;
  }

  /** From 0 to below 1: mulberry32. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  chance(p: number): boolean {
    return this.#next() < p;
  }

  int(from: number, to: number): number {
    return from + Math.floor(this.#next() * (to - from + 1));
  }

  pick<T>(from: readonly T[]): T {
    const one = from[this.int(0, from.length - 1)];
    if (one === undefined) throw new ContractError('There is nothing to choose from: an enum or a list is empty.');
    return one;
  }

  /** Keeps what an answer has given. */
  learn({ headers, body }: { readonly headers: Readonly<Record<string, unknown>>; readonly body: string }): void {
    for (const name of ['if-match', 'if-none-match']) if (headers['etag']) this.#keep(name, headers['etag']);
    const walk = (value: unknown, name: string): void => {
      if (Array.isArray(value)) for (const each of value) walk(each, name);
      else if (isRecord(value)) for (const [key, each] of Object.entries(value)) walk(each, key);
      else if (value !== null) this.#keep(name, value);
    };
    try {
      walk(JSON.parse(body), '');
    } catch {
      // No JSON, nothing to learn.
    }
  }

  #keep(name: string, value: unknown): void {
    this.#seen.set(name, [value, ...(this.#seen.get(name) ?? [])].slice(0, 20));
  }

  /** What the schema allows, three times out of four what was seen under this name. */
  value(name: string, given: Schema, depth = 0): unknown {
    if (depth > 100) throw new ContractError(`${name || 'A value'} never ends: let what holds itself be left out.`);
    const schema = merged(this.#contract, given);
    const seen = this.#seen.get(name);
    if (seen && this.chance(3 / 4)) return this.pick(seen);
    const { anyOf, oneOf = anyOf, enum: values } = schema;
    if (Array.isArray(values)) return this.pick(values);
    if (Object.hasOwn(schema, 'const')) return schema['const'];
    if (Array.isArray(oneOf)) {
      const ends = depth > 6 ? oneOf.filter((each) => isLeaf(merged(this.#contract, recordOf(each)))) : oneOf;
      return this.value(name, recordOf(this.pick(ends.length > 0 ? ends : oneOf)), depth + 1);
    }
    switch (this.pick([schema['type'] ?? 'null'].flat())) {
      case 'object':
        return this.#object(schema, depth);
      case 'array': {
        const least = sizeOf(name, schema['minItems'], 1000);
        const most = Math.min(numberOf(schema['maxItems'], least + 3), least + 3);
        const length = depth > 6 ? least : this.int(least, most);
        return Array.from({ length }, () => this.value(name, recordOf(schema['items']), depth + 1));
      }
      case 'string':
        return this.#text(name, schema);
      case 'integer':
      case 'number': {
        const from = numberOf(schema['minimum'], -1000);
        const to = Math.max(numberOf(schema['maximum'], 1000), from);
        return this.chance(1 / 4) ? this.pick([from, to]) : this.int(from, Math.min(to, from + 1000));
      }
      case 'boolean':
        return this.chance(1 / 2);
      default:
        return null;
    }
  }

  #object(schema: Schema, depth: number): unknown {
    const required = listOf(schema['required']);
    const fields = Object.entries(recordOf(schema['properties'])).filter(
      ([name]) => required.includes(name) || (depth < 6 && this.chance(1 / 2)),
    );
    return Object.fromEntries(fields.map(([name, field]) => [name, this.value(name, recordOf(field), depth + 1)]));
  }

  /** A pattern is met by trying, and else by an example. */
  #text(name: string, schema: Schema): string {
    const least = sizeOf(name, schema['minLength'], 100_000);
    const most = Math.max(least, Math.min(numberOf(schema['maxLength'], 300), 10_000));
    const pattern = patternOf(schema['pattern']);
    for (let turn = 0; turn < 10; turn++) {
      const length = this.chance(1 / 8) ? most : this.int(least, Math.min(most, least + 12));
      const text = this.chance(1 / 3) ? this.pick(HOSTILE) : Array.from({ length }, () => this.pick(LETTERS)).join('');
      if ([...text].length >= least && [...text].length <= most && pattern.test(text)) return text;
    }
    const examples = listOf(schema['examples']).map(String);
    if (examples.length > 0) return this.pick(examples);
    if (schema['pattern'] === undefined) return 'a'.repeat(least);
    throw new ContractError(`${name || 'A text'} has the pattern ${schema['pattern']}: give it an example, too.`);
  }

  /** The same with one thing in it gone, or another in its place. */
  spoil(value: unknown): unknown {
    const entries = typeof value === 'object' && value !== null ? Object.entries(value) : [];
    if (entries.length === 0 || this.chance(1 / 5)) return this.pick(VALUES);
    const [key, inner] = this.pick(entries);
    if (Array.isArray(value)) return value.map((each, n) => (`${n}` === key ? this.spoil(inner) : each));
    if (this.chance(1 / 4)) return Object.fromEntries(entries.filter(([name]) => name !== key));
    if (this.chance(1 / 6)) return { ...Object.fromEntries(entries), unknown: 1 };
    return { ...Object.fromEntries(entries), [key]: this.spoil(inner) };
  }
}

const isLeaf = ({ type, anyOf, oneOf = anyOf }: Schema): boolean =>
  oneOf === undefined && type !== 'object' && type !== 'array' && type !== undefined;

/** A least length that can still be sent. */
function sizeOf(name: string, given: unknown, most: number): number {
  const least = numberOf(given, 0);
  if (least > most)
    throw new ContractError(`${name || 'A value'} is ${least} long at least: no request is made so large.`);
  return least;
}

function patternOf(given: unknown): RegExp {
  try {
    return typeof given === 'string' ? new RegExp(given, 'u') : /^/;
  } catch (cause) {
    throw new ContractError(`The pattern ${given} is none: ${cause}`, { cause });
  }
}

const numberOf = (given: unknown, otherwise: number): number => (typeof given === 'number' ? given : otherwise);
