import { inspect } from 'node:util';
import { MisuseError } from './errors.ts';

/** Any method, whatever it takes. */
export type AnyMethod = (...args: never) => unknown;
/** Any method that answers with a promise. */
export type AsyncMethod = (...args: never) => Promise<unknown>;
/** A method as its wrapper calls it. */
export type Callable = (this: unknown, ...args: unknown[]) => unknown;

/** What a decorator adds to a method, free of any dialect. `name` is the member's, for messages. */
export type Behaviour = (method: Callable, name: string) => Callable;

/**
 * The method with the behaviour around it. Name, length, kind (async, generator) and what others have put on it stay as
 * they were, so the next decorator above sees what the author wrote.
 */
export function wrap<M extends AnyMethod>(method: M, name: string, behaviour: Behaviour): M {
  // The two casts of this library: arguments go through as they come, so the wrapper's type is the method's.
  const wrapper = behaviour(method as unknown as Callable, name);
  Object.setPrototypeOf(wrapper, Object.getPrototypeOf(method));
  Object.defineProperties(wrapper, Object.getOwnPropertyDescriptors(method));
  return wrapper as unknown as M;
}

export function isCallable(value: unknown): value is Callable {
  return typeof value === 'function';
}

/** Was it declared `async`? A wrapper counts as what it wraps. */
export function isAsync(method: Callable): boolean {
  return Object.prototype.toString.call(method) === '[object AsyncFunction]';
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && isCallable(value.then);
}

/** @throws MisuseError for a generator: its caller would get a promise, or an iterator that somebody else has used up. */
export function refuseGenerator(decorator: string, method: Callable, name: string): void {
  if (!Object.prototype.toString.call(method).includes('Generator')) return;
  throw new MisuseError(`@${decorator} can't stand on ${name}, a generator: decorate the method that consumes it`);
}

/** @throws MisuseError when the option is outside of `from` to `to`, or must be whole and isn't. */
export function checkOption(option: string, value: number, from: number, to: number, whole = false): void {
  if (value >= from && value <= to && (!whole || Number.isInteger(value) || value === Number.POSITIVE_INFINITY)) return;
  throw new MisuseError(`${option} must be ${whole ? 'a whole number ' : ''}from ${from} to ${to}; it is ${value}`);
}

/** Calls what must harm nobody: what it throws, or rejects with, is a warning of the process. */
export async function warnOf(what: string, call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    process.emitWarning(`${what}: ${inspect(error)}`);
  }
}

/** Node fires a timer beyond this at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;
