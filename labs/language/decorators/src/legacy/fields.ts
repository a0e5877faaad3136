import { BadRequestError, MisuseError } from '../core/errors.ts';
import { Notes } from '../core/notes.ts';
import { propertyType } from './metadata.ts';

const TYPES = new Map<unknown, string>([
  [String, 'string'],
  [Number, 'number'],
  [Boolean, 'boolean'],
]);

const fields = new Notes<unknown>();

/**
 * A field of a body, checked by its declared type (`design:type`): string, number, boolean, or a class with fields.
 * It must be there: of a `?`, nothing is known at run time. Nor of which texts: `'S' | 'M'` and an enum of texts are a string.
 * Write it as `@field() declare dish: string`: without `declare` the field wipes what the parent's constructor set.
 *
 * @throws MisuseError on a type that says nothing at run time (`string | number`, an interface, the elements of an array),
 *   and without `emitDecoratorMetadata`, which esbuild doesn't heed.
 */
export function field(): (target: object, name: string) => void {
  return (target, name) => {
    const type = propertyType(target, name);
    if (!TYPES.has(type) && !(typeof type === 'function' && hasFields(type))) {
      const nothing = 'says nothing at run time: use string, number, boolean or a class with @field';
      const why = type === undefined ? 'is unknown: compile with emitDecoratorMetadata' : nothing;
      throw new MisuseError(`the type of @field ${name} ${why}`);
    }
    fields.add(target, name, type);
  };
}

/** The prototype of a class with `@field`s, its own or inherited. */
export function hasFields(type: object): boolean {
  return 'prototype' in type && fields.all(type.prototype).size > 0;
}

/**
 * An instance of `type` with the declared fields of `value`, and no others. Its constructor doesn't run.
 *
 * @throws BadRequestError with all that is wrong.
 */
export function checkBody(type: object, value: unknown): object {
  const problems: string[] = [];
  const instance = read(type, value, 'the body', problems);
  if (problems.length > 0) throw new BadRequestError(problems.join('; '));
  return instance;
}

function read(type: object, value: unknown, at: string, problems: string[]): object {
  const prototype: unknown = 'prototype' in type ? type.prototype : undefined;
  const instance: object = Object.create(typeof prototype === 'object' ? prototype : null);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    problems.push(`${at} must be an object`);
    return instance;
  }
  for (const [name, [fieldType]] of fields.all(prototype)) {
    const given: unknown = Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined;
    const wanted = TYPES.get(fieldType);
    // JSON's 1e999 is a number, and comes out as Infinity.
    const fits = typeof given === wanted && given !== Number.POSITIVE_INFINITY && given !== Number.NEGATIVE_INFINITY;
    if (wanted !== undefined && !fits) problems.push(`${String(name)} must be a ${wanted}`);
    const checked =
      wanted === undefined && typeof fieldType === 'function' ? read(fieldType, given, String(name), problems) : given;
    Object.defineProperty(instance, name, { value: checked, writable: true, enumerable: true, configurable: true });
  }
  return instance;
}
