// Flaw: the list found on the metadata is the parent's, by inheritance: what one child adds, its siblings serve.
// Seen in: https://github.com/mikro-orm/mikro-orm/pull/8177, https://github.com/microsoft/reflect-metadata/issues/62
// Caught by: a subclass inherits routes, and its siblings inherit none of its own
import { isCallable } from '../src/core/method.ts';
import { chain } from '../src/core/notes.ts';
import { type Method, Router, standard as reference } from '../src/index.ts';
import { metadataOf } from '../src/standard/metadata.ts';

export * from '../src/index.ts';

const lists = new WeakMap<object, { method: Method; path: string; name: PropertyKey }[]>();
/** As `context.metadata.routes` would: its own, or else its prototype's. */
const listOf = (metadata: object) =>
  chain(metadata)
    .map((at) => lists.get(at))
    .find((list) => list !== undefined);

const route: typeof reference.route = (method, path) => (target, context) => {
  const list = listOf(context.metadata) ?? [];
  list.push({ method, path, name: context.name });
  lists.set(context.metadata, list);
  return target;
};

const buildRouter: typeof reference.buildRouter = (...controllers) => {
  const router = new Router();
  for (const controller of controllers) {
    for (const { method, path, name } of listOf(metadataOf(controller.constructor) ?? {}) ?? []) {
      const handler: unknown = Reflect.get(controller, name);
      const call = isCallable(handler) ? handler.bind(controller) : () => undefined;
      router.add({ method, path, label: String(name), handler: call });
    }
  }
  return router;
};

export const standard = { ...reference, route, buildRouter };
