import type { AnyMethod, AsyncMethod, CacheOptions, Method, RetryOptions, Router, Timing } from '../src/core/index.ts';
import type { MemberDecorator, MethodDecoratorOf } from '../src/legacy/index.ts';
import { todo } from './todo.ts';

// A legacy decorator gets the prototype (or the class, for a static member), the name and a property descriptor, which it
// may change. What the compiler noted of types is in `Reflect.getMetadata('design:paramtypes', prototype, name)`.

type Intersection<Bounds extends readonly unknown[]> = {
  [Index in keyof Bounds]: (each: Bounds[Index]) => void;
}[number] extends (all: infer All) => void
  ? All
  : never;

/** Several decorators as one, written from the top; the last is applied first. */
export function compose<Bounds extends readonly unknown[]>(
  ..._decorators: { readonly [Index in keyof Bounds]: MethodDecoratorOf<AnyMethod & Bounds[Index]> }
): MethodDecoratorOf<AnyMethod & Intersection<Bounds>> {
  return todo('compose');
}

/**
 * As in the standard dialect, and so are those below. Other libraries keep metadata on the method itself: whoever
 * replaces it hands that on.
 */
export function timed(_sink: (timing: Timing) => void): MemberDecorator {
  return todo('timed');
}

export function cached(_options: CacheOptions): MemberDecorator {
  return todo('cached');
}

export function retry(_options: RetryOptions): MethodDecoratorOf<AsyncMethod> {
  return todo('retry');
}

export function timeout(_ms: number): MethodDecoratorOf<AsyncMethod> {
  return todo('timeout');
}

/**
 * As in the standard dialect, but for overrides: no decorator sees a subclass here, so `buildRouter` refuses the override
 * of a guarded method that says nothing.
 */
export function requires(..._permissions: readonly string[]): MemberDecorator {
  return todo('requires');
}

/**
 * Notes that the method serves this verb and path. It is called with what its `@param` and `@body` say, or without any,
 * with the request.
 */
export function route(_method: Method, _path: string): MethodDecoratorOf<AnyMethod> {
  return todo('route');
}

/** Fills a parameter from the path, as its declared type: string, number or boolean; else BadRequestError. */
export function param(_name: string): ParameterDecorator {
  return todo('param');
}

/** Fills a parameter with the body, checked against the `@field`s of its declared class; else BadRequestError. */
export function body(): ParameterDecorator {
  return todo('body');
}

/**
 * A field of a body, checked by its declared type: string, number, boolean or a class with fields.
 *
 * @throws MisuseError on a type that says nothing at run time.
 */
export function field(): (target: object, name: string) => void {
  return todo('field');
}

/**
 * A router for the decorated methods of these instances.
 *
 * @throws UnguardedOverrideError; MisuseError for parameters that can't be filled; else as in the standard dialect.
 */
export function buildRouter(..._controllers: readonly object[]): Router {
  return todo('buildRouter');
}
