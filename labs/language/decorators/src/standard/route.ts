import { MisuseError } from '../core/errors.ts';
import { isCallable } from '../core/method.ts';
import { Notes } from '../core/notes.ts';
import { checkRoute, type Handler, type Method, type RouteRequest, Router } from '../core/router.ts';
import { checkKind, type MethodDecoratorOf } from './decorate.ts';
import { metadataOf } from './metadata.ts';
import { guarded } from './requires.ts';

const routes = new Notes<{ readonly method: Method; readonly path: string }>();

/**
 * Serves a method under a verb and path; `:name` in the path is a parameter, which the compiler knows too. A subclass
 * inherits the route, and serves its own override; a route on the override replaces the inherited.
 *
 * @throws MisuseError on a bad path, and on a static or private method, which no instance shows to the router.
 */
export function route<const Path extends string>(
  method: Method,
  path: Path,
): MethodDecoratorOf<(request: RouteRequest<Path>) => unknown> {
  checkRoute(method, path);
  return (target, context) => {
    checkKind('route', context, ['method']);
    const { name, metadata } = context;
    if (context.static || context.private) {
      const which = context.static ? 'static' : 'private';
      throw new MisuseError(
        `@route stands on the ${which} method ${String(name)}: the router calls those of an instance`,
      );
    }
    routes.add(metadata, name, { method, path });
    return target;
  };
}

/**
 * A router for the decorated methods of these instances. What `@requires` guards anywhere up the class is guarded here,
 * overridden or not.
 *
 * @throws RouteConflictError where two methods claim one verb and path; MisuseError for an object without routes.
 */
export function buildRouter(...controllers: readonly object[]): Router {
  const router = new Router();
  for (const controller of controllers) {
    const metadata = metadataOf(controller.constructor);
    const found = metadata && routes.all(metadata);
    if (!metadata || !found?.size) {
      throw new MisuseError(`${controller.constructor.name} has no @route: hand in instances of decorated classes`);
    }
    for (const [name, declared] of found) {
      const method: unknown = Reflect.get(controller, name);
      const label = `${controller.constructor.name}.${String(name)}`;
      if (!isCallable(method)) throw new MisuseError(`${label} has a @route and is no method any more`);
      const checked = guarded(method, name, metadata);
      const handler: Handler = (request) => Reflect.apply(checked, controller, [request]);
      for (const each of declared) router.add({ ...each, label, handler });
    }
  }
  return router;
}
