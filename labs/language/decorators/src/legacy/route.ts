import { MisuseError } from '../core/errors.ts';
import { type AnyMethod, isCallable } from '../core/method.ts';
import { Notes } from '../core/notes.ts';
import { checkRoute, type Method, Router } from '../core/router.ts';
import { checkPlace, type MethodDecoratorOf } from './decorate.ts';
import { argumentsOf } from './parameters.ts';
import { guarded } from './requires.ts';

const routes = new Notes<{ readonly method: Method; readonly path: string }>();

/**
 * Serves a method under a verb and path; `:name` in the path is a parameter. The method is called with what its
 * `@param` and `@body` say, or without any, with the request. A subclass inherits the route; a route on its override
 * replaces the inherited.
 *
 * @throws MisuseError on a bad path, and on a static method, which no instance shows to the router.
 */
export function route(method: Method, path: string): MethodDecoratorOf<AnyMethod> {
  checkRoute(method, path);
  return (target, name, descriptor) => {
    checkPlace('route', name, descriptor);
    if (typeof target === 'function') {
      throw new MisuseError(
        `@route stands on the static method ${String(name)}: the router calls those of an instance`,
      );
    }
    routes.add(target, name, { method, path });
  };
}

/**
 * A router for the decorated methods of these instances.
 *
 * @throws RouteConflictError where two methods claim one verb and path; UnguardedOverrideError, see `requires`;
 *   MisuseError for an object without routes, and for parameters that can't be filled.
 */
export function buildRouter(...controllers: readonly object[]): Router {
  const router = new Router();
  for (const controller of controllers) {
    const found = routes.all(controller);
    if (found.size === 0) {
      throw new MisuseError(`${controller.constructor.name} has no @route: hand in instances of decorated classes`);
    }
    for (const [name, declared] of found) {
      const method: unknown = Reflect.get(controller, name);
      const label = `${controller.constructor.name}.${String(name)}`;
      if (!isCallable(method)) throw new MisuseError(`${label} has a @route and is no method any more`);
      const handler = guarded(method, name, controller);
      for (const each of declared) {
        const fill = argumentsOf(controller, name, each.path, label);
        router.add({ ...each, label, handler: (request) => Reflect.apply(handler, controller, fill(request)) });
      }
    }
  }
  return router;
}
