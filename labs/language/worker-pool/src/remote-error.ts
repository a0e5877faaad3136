import { types } from 'node:util';
import { inWords, UncloneableError } from './errors.ts';

/** What was thrown, as it travels: structured clone alone loses an error's class, its `code` and other properties. */
export type RemoteError = { readonly value: unknown } | ErrorData;

interface ErrorData {
  /** The names of its classes, the most special first. */
  readonly classes: readonly string[];
  readonly stack: string | undefined;
  /** Its own properties and its `code`. */
  readonly properties: readonly (readonly [name: string, value: unknown])[];
  readonly message: string;
  readonly name: string;
  cause?: RemoteError;
  errors?: readonly RemoteError[];
}

export type ErrorClass = abstract new (...args: never) => Error;

const natives = [AggregateError, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError];
/** What the worker's own end has to say is an instance here, too. */
const always = [...natives, UncloneableError];
const apart = new Set(['name', 'message', 'stack', 'cause', 'code']);

/** `cloneable` says whether a value can travel; what can't is left out, or described in words. */
export function encodeError(thrown: unknown, cloneable: (value: unknown) => boolean): RemoteError {
  // An error may be its own cause.
  const seen = new Map<unknown, ErrorData>();
  const encode = (error: unknown): RemoteError => {
    if (!(error instanceof Error || types.isNativeError(error))) {
      return { value: cloneable(error) ? error : `a ${typeof error} that can't be cloned` };
    }
    const known = seen.get(error);
    if (known) return known;
    const own = Object.entries(error).filter(([name, value]) => !apart.has(name) && cloneable(value));
    const code = 'code' in error && cloneable(error.code) ? [['code', error.code] as const] : [];
    const data: ErrorData = {
      classes: classesOf(error),
      name: String(error.name),
      message: String(error.message),
      stack: typeof error.stack === 'string' ? error.stack : undefined,
      properties: [...own, ...code],
    };
    seen.set(error, data);
    if ('cause' in error) data.cause = encode(error.cause);
    if ('errors' in error && Array.isArray(error.errors)) data.errors = error.errors.map(encode);
    return data;
  };
  try {
    return encode(thrown);
  } catch (error) {
    return encodeError(new TypeError(`What was thrown can't be read: ${inWords(error)}`), cloneable);
  }
}

function classesOf(error: object): string[] {
  const prototype = Object.getPrototypeOf(error);
  return prototype === null ? [] : [String(prototype.constructor?.name), ...classesOf(prototype)];
}

/** The error again, an instance of the first of its classes that is native or among `known`. */
export function reviveError(remote: RemoteError, known: readonly ErrorClass[] = []): unknown {
  const seen = new Map<RemoteError, Error>();
  const revive = (data: RemoteError): unknown => {
    if ('value' in data) return data.value;
    const error = seen.get(data) ?? new Error(data.message);
    if (seen.has(data)) return error;
    seen.set(data, error);
    const set = (name: string, value: unknown, enumerable = false) =>
      Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true });
    // Before it has its class, whose getters may need what only its constructor makes.
    set('name', data.name);
    set('message', data.message);
    const classes = data.classes.map((name) => [...known, ...always].find((each) => each.name === name));
    Object.setPrototypeOf(error, (classes.find(Boolean) ?? Error).prototype);
    set('stack', data.stack);
    for (const [name, value] of data.properties) set(name, value, true);
    if (data.cause) set('cause', revive(data.cause));
    if (data.errors) set('errors', data.errors.map(revive));
    return error;
  };
  return revive(remote);
}
