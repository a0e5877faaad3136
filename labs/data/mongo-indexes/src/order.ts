import { BSONRegExp, type Document } from 'mongodb';
import { InvalidArgumentError } from './errors.ts';
import { isTree, shown } from './plan.ts';

export type Direction = 1 | -1;

const RANGES = new Set([
  ...['$gt', '$gte', '$lt', '$lte', '$ne', '$nin', '$not', '$exists', '$type', '$regex', '$mod', '$all', '$size'],
]);
/** From here on a sorted `$in` is read as a range, not as so many equalities. */
const MERGED_IN = 201;

/**
 * The fields of an index for one query: first what is compared by equality, then what it's sorted by, then ranges. The
 * sort then needs no memory, and the ranges still leave keys out. To be handed to `createIndex`, which keeps its order.
 * Source: https://www.mongodb.com/docs/manual/tutorial/equality-sort-range-guideline/
 * @throws InvalidArgumentError for what no single index serves: `$or`, `$where`, `$expr`, nothing at all
 */
export function indexFor(filter: Document, sort: Readonly<Record<string, Direction>> = {}): Map<string, Direction> {
  const equal: string[] = [];
  const ranges: string[] = [];
  if (!isOrdinary(sort)) throw new InvalidArgumentError(`The sort is ${shown(sort)}: it is a plain object.`);
  const sorted = Object.entries(sort);
  for (const [field, condition] of conditionsOf(filter)) {
    (isEquality(field, condition, sorted.length > 0) ? equal : ranges).push(field);
  }
  for (const [field, direction] of sorted) {
    if (direction !== 1 && direction !== -1) {
      throw new InvalidArgumentError(`The direction of ${field} is ${shown(direction)}: it is 1 or -1.`);
    }
    if (field.startsWith('$')) throw new InvalidArgumentError(`${field} is no field: no index sorts by it.`);
  }
  const index = new Map<string, Direction>();
  const add = (field: string, direction: Direction) => void (index.has(field) || index.set(field, direction));
  for (const field of equal) add(field, 1);
  for (const [field, direction] of sorted) add(field, direction);
  for (const field of ranges) add(field, 1);
  if (index.size === 0) throw new InvalidArgumentError('There is nothing to compare and nothing to sort by.');
  return index;
}

export function conditionsOf(filter: unknown): [string, unknown][] {
  if (!isOrdinary(filter)) throw new InvalidArgumentError(`The filter is ${shown(filter)}: it is a plain object.`);
  return Object.entries(filter).flatMap(([name, value]) => {
    if (name === '$and' && Array.isArray(value)) return value.flatMap(conditionsOf);
    if (name === '$comment') return [];
    if (!name.startsWith('$')) return [[name, value]];
    if (name === '$where' || name === '$expr') {
      throw new InvalidArgumentError(`${name} is run for each document: compare fields by operators.`);
    }
    throw new InvalidArgumentError(`${name} is served by no single index: ask for one for each of its parts.`);
  });
}

export function isEquality(field: string, condition: unknown, sorted: boolean): boolean {
  if (isRegex(condition)) return false;
  if (!isOperators(condition)) return true;
  const names = Object.keys(condition).filter((name) => name !== '$options');
  if (names.length === 1 && names[0] === '$eq') return true;
  const list = condition['$in'];
  if (names.length === 1 && Array.isArray(list)) {
    return !list.some(isRegex) && (!sorted || list.length < MERGED_IN);
  }
  const other = names.find((name) => !RANGES.has(name) && name !== '$eq' && name !== '$in');
  if (other !== undefined) throw new InvalidArgumentError(`${field}: ${other} is not known here.`);
  return names.includes('$eq');
}

/** `{ $gt: 5 }`, not a value that happens to be an object. */
function isOperators(value: unknown): value is Document {
  return isOrdinary(value) && Object.keys(value)[0]?.startsWith('$') === true;
}

/** An object of no class, of this realm or another: `{}`, or what a parser makes without a prototype. */
function isOrdinary(value: unknown): value is Document {
  if (!isTree(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isRegex(value: unknown): boolean {
  return value instanceof RegExp || value instanceof BSONRegExp;
}
