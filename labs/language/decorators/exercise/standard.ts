import type {
  AnyMethod,
  AsyncMethod,
  CacheOptions,
  Method,
  RetryOptions,
  RouteRequest,
  Router,
  Timing,
} from '../src/core/index.ts';
import type { MemberDecorator, MethodDecoratorOf, ReaderDecorator } from '../src/standard/index.ts';
import { todo } from './todo.ts';

// A standard decorator gets what it stands on and a context (kind, name, static, private, metadata, addInitializer) and
// returns what takes its place. `wrap` in src/core/method.ts may help: it keeps name and length.

type Intersection<Bounds extends readonly unknown[]> = {
  [Index in keyof Bounds]: (each: Bounds[Index]) => void;
}[number] extends (all: infer All) => void
  ? All
  : never;

/** Several decorators as one, written from the top; the last is applied first. */
export function compose<Bounds extends readonly unknown[]>(
  ..._decorators: { readonly [Index in keyof Bounds]: MethodDecoratorOf<AnyMethod & Bounds[Index], void> }
): MethodDecoratorOf<AnyMethod & Intersection<Bounds>> {
  return todo('compose');
}

/**
 * Tells `sink` how long each call took: a promise until it is settled, a generator until its end. On methods, getters,
 * setters and accessors. A sink that throws becomes a warning of the process.
 *
 * @throws MisuseError where it stands on anything else; so do all below, on what they don't take.
 */
export function timed(_sink: (timing: Timing) => void): MemberDecorator {
  return todo('timed');
}

/**
 * Remembers results, for each instance its own: no longer than `ttlMs`, no more than `max`. Who asks while the first
 * call is on its way shares its promise; what throws or rejects is not remembered.
 *
 * @throws MisuseError on bad options, on a generator; from a call with an object as argument and no `key`.
 */
export function cached(_options: CacheOptions): ReaderDecorator {
  return todo('cached');
}

/**
 * Calls again what rejected, `attempts` calls in all; waits `delayMs`, then twice as long each time. The last error is
 * thrown as it came. `options.signal` and `currentSignal()` end the wait.
 *
 * @throws MisuseError on bad options, on a generator.
 */
export function retry(_options: RetryOptions): MethodDecoratorOf<AsyncMethod> {
  return todo('retry');
}

/**
 * Rejects with a TimeoutError when the method takes longer than `ms` milliseconds, and aborts `currentSignal()` in it.
 *
 * @throws MisuseError on a bad `ms`, on a generator.
 */
export function timeout(_ms: number): MethodDecoratorOf<AsyncMethod> {
  return todo('timeout');
}

/**
 * Lets only those call who have all the permissions (`currentPrincipal().can`), and nothing of the method runs before
 * that is known. An async method rejects, any other throws. A subclass that overrides the method and says nothing is
 * guarded too, as the nearest class says that does.
 *
 * @throws UnauthenticatedError, ForbiddenError from the call; MisuseError where it guards nothing, and where the
 *   principal answers with a promise and the method is not `async`.
 */
export function requires(..._permissions: readonly string[]): MemberDecorator {
  return todo('requires');
}

/**
 * Notes that the method serves this verb and path. A subclass inherits the note; one on its override replaces it.
 *
 * @throws MisuseError on a bad path (`checkRoute` in src/core/router.ts), on a static or private method.
 */
export function route<const Path extends string>(
  _method: Method,
  _path: Path,
): MethodDecoratorOf<(request: RouteRequest<Path>) => unknown> {
  return todo('route');
}

/**
 * A router for the decorated methods of these instances; what `@requires` guards up the class is guarded here too.
 *
 * @throws RouteConflictError (the Router does); MisuseError for an object without routes.
 */
export function buildRouter(..._controllers: readonly object[]): Router {
  return todo('buildRouter');
}
