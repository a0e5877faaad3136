import { InvalidArgumentError, told } from './errors.ts';

/** A name of a field: of `T`, or a path into one. */
export type Field<T> = (keyof T & string) | `${keyof T & string}.${string}`;

/** What a caller trusts as a filter: written by hand, with values from outside only through `equals`. */
export type Where = Readonly<Record<string, unknown>>;

const MAX_DEPTH = 100;
const INT64 = 2n ** 63n;

/**
 * The name of a field, or a path of them, as it came.
 * @throws InvalidArgumentError when a part of it is empty, begins with `$`, or is a text that BSON can't keep
 */
export function fieldName(name: string): string {
  if (typeof name !== 'string') throw new InvalidArgumentError(`${told(name)} is no field's name: it is no text.`);
  for (const part of name.split('.')) {
    if (part === '') throw new InvalidArgumentError(`"${name}" is no field's name: a part of it is empty.`);
    if (part.startsWith('$')) throw new InvalidArgumentError(`"${name}" would be read as an operator, not as a field.`);
    bsonText(part);
    if (part.includes('\0')) throw new InvalidArgumentError(`"${name}" has a U+0000, where BSON ends a name.`);
  }
  return name;
}

/** The value of that field, in an expression. @throws InvalidArgumentError as `fieldName` does */
export function fieldPath(name: string): `$${string}` {
  return `$${fieldName(name)}`;
}

/**
 * A value in an expression, whatever it is: there `'$cents'` would be a field and `{ $add: … }` a sum.
 * @throws InvalidArgumentError when BSON would keep it as another value, or not at all
 */
export function literal(value: unknown): { readonly $literal: unknown } {
  return { $literal: storable(value) };
}

/**
 * A filter: each field has that value, and an array has it among its own. `{ $ne: null }` from a request's body is a
 * value like any other; null is null, and not missing.
 * @throws InvalidArgumentError for a name or a value that is none; for undefined, which the driver may send as null
 */
export function equals(conditions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  if (!isPlainDocument(conditions)) throw new InvalidArgumentError('Conditions are a plain object, a field a key.');
  const same = (is: unknown) => (is === null ? { $type: 'null' } : { $eq: storable(is) });
  return Object.fromEntries(Object.entries(conditions).map(([name, is]) => [fieldName(name), same(is)]));
}

/** A filter: the field is a date. To the first `$type` a list of dates is one, too, which no stage takes for a time. */
export function isDate(name: string): Record<string, unknown> {
  return { $and: [{ [name]: { $type: 'date' } }, { $expr: { $eq: [{ $type: fieldPath(name) }, 'date'] } }] };
}

/** A copy that the caller can't change any more, of what BSON keeps as it is. */
export function storable(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new InvalidArgumentError(`A value is more than ${MAX_DEPTH} levels deep, or a circle.`);
  if (typeof value === 'string') return bsonText(value);
  if (typeof value === 'bigint' && (value >= INT64 || value < -INT64)) {
    throw new InvalidArgumentError(`${value} has more than 64 bits.`);
  }
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') {
    throw new InvalidArgumentError(`A value is ${typeof value}: say null where null is meant.`);
  }
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date && !Number.isFinite(value.getTime())) throw new InvalidArgumentError('A date is invalid.');
  if ('_bsontype' in value && !isPlainDocument(value)) return value;
  if (value instanceof Date) return new Date(value);
  if (value instanceof Uint8Array) return Uint8Array.from(value);
  if (value instanceof RegExp) return value;
  if (Array.isArray(value)) return Array.from(value, (each) => storable(each, depth + 1));
  if (!isPlainDocument(value))
    throw new InvalidArgumentError(`A ${value.constructor?.name ?? 'foreign object'} is no value.`);
  if ('_bsontype' in value)
    throw new InvalidArgumentError(`${told(value)} has a "_bsontype": the driver would take it for a type of its own.`);
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      if (bsonText(key).includes('\0'))
        throw new InvalidArgumentError(`"${key}" has a U+0000, where BSON ends a name.`);
      return [key, storable(each, depth + 1)];
    }),
  );
}

/** Whole numbers from `from` to `to`. @throws InvalidArgumentError */
export function safeIntegerWithin(what: string, value: number, from: number, to: number): number {
  if (Number.isSafeInteger(value) && value >= from && value <= to) return value;
  throw new InvalidArgumentError(`${what} is ${told(value)}: it is a whole number from ${from} to ${to}.`);
}

/** A text that no stage reads as something else: a collection's name, a time zone. @throws InvalidArgumentError */
export function plainText(what: string, text: unknown): string {
  if (typeof text === 'string' && /^[^$\0]+$/.test(text) && text.isWellFormed()) return text;
  throw new InvalidArgumentError(
    `${what} is ${told(text)}: it is a text with something in it, and without $ and U+0000.`,
  );
}

function isPlainDocument(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const proto = Object.getPrototypeOf(value);
  return proto === null || Object.getPrototypeOf(proto) === null;
}

function bsonText(text: string): string {
  if (text.isWellFormed()) return text;
  throw new InvalidArgumentError(`${JSON.stringify(text)} has half a surrogate pair, which UTF-8 can't keep.`);
}
