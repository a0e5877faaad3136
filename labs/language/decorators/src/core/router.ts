import type { IncomingHttpHeaders } from 'node:http';
import { BadRequestError, MisuseError, RouteConflictError } from './errors.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;
export type Method = (typeof METHODS)[number];

type ParamNames<Path extends string> = Path extends `${infer Head}/${infer Rest}`
  ? ParamNames<Head> | ParamNames<Rest>
  : Path extends `:${infer Name}`
    ? Name
    : never;

/** The parameters of a path, known to the compiler: `{ id: string }` for `'/orders/:id'`. */
export type Params<Path extends string> = { readonly [Name in ParamNames<Path>]: string };

/** What a routed method is called with. */
export interface RouteRequest<Path extends string = string> {
  readonly method: string;
  /** As it came, with its query. */
  readonly url: string;
  /** Decoded. */
  readonly params: string extends Path ? Readonly<Record<string, string>> : Params<Path>;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Parsed JSON; undefined without a body. Nobody has looked at it yet. */
  readonly body: unknown;
  /** Aborts when the client has gone. Not for what `@cached` shares: it is the first asker's, all others fail with it. */
  readonly signal: AbortSignal;
}

export type Handler = (request: RouteRequest) => unknown;

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly handler: Handler;
  /** For messages: `Orders.list`. */
  readonly label: string;
}

/** `other-method`: the path is known under these methods only, which is not the same as an unknown path. */
export type Match =
  | { readonly kind: 'found'; readonly handler: Handler; readonly params: Readonly<Record<string, string>> }
  | { readonly kind: 'other-method'; readonly allow: readonly string[] };

interface Node {
  readonly statics: Map<string, Node>;
  param: Node | undefined;
  readonly routes: Map<string, { readonly route: Route; readonly names: readonly string[] }>;
}

const node = (): Node => ({ statics: new Map(), param: undefined, routes: new Map() });

/** Finds the handler of a verb and path: a tree with one level a segment, texts before parameters. */
export class Router {
  readonly #root = node();
  readonly #routes: Route[] = [];

  get routes(): readonly Route[] {
    return this.#routes;
  }

  /**
   * @throws RouteConflictError where another route has this verb and path, by whatever parameter names.
   * @throws MisuseError on a path that isn't one.
   */
  add(route: Route): void {
    checkRoute(route.method, route.path);
    const names: string[] = [];
    let at = this.#root;
    for (const segment of route.path.split('/').slice(1)) {
      if (segment.startsWith(':')) {
        names.push(segment.slice(1));
        at = at.param ??= node();
        continue;
      }
      const next = at.statics.get(segment) ?? node();
      at.statics.set(segment, next);
      at = next;
    }
    const other = at.routes.get(route.method)?.route;
    if (other) {
      throw new RouteConflictError(
        `${route.label} and ${other.label} both claim ${route.method} ${other.path}: give one of them another path`,
      );
    }
    at.routes.set(route.method, { route, names });
    this.#routes.push(route);
  }

  /**
   * The handler for a verb and a URL (its query is ignored); undefined where no route has this path. HEAD finds GET.
   * `/orders/` is not `/orders`.
   *
   * @throws BadRequestError on a percent sign that encodes nothing.
   */
  match(method: string, url: string): Match | undefined {
    const end = url.search(/[?#]/);
    const path = end < 0 ? url : url.slice(0, end);
    if (!path.startsWith('/')) return undefined;
    const segments = path.slice(1).split('/');
    if (path.includes('%')) for (const [index, segment] of segments.entries()) segments[index] = decode(segment);
    const allow = new Set<string>();
    const values: string[] = [];
    const found = find(this.#root, segments, 0, method === 'HEAD' ? 'GET' : method, values, allow);
    if (found) {
      const params: Record<string, string> = Object.create(null);
      for (const [index, name] of found.names.entries()) params[name] = values[index] ?? '';
      return { kind: 'found', handler: found.route.handler, params };
    }
    if (allow.size === 0) return undefined;
    if (allow.has('GET')) allow.add('HEAD');
    return { kind: 'other-method', allow: [...allow].sort() };
  }
}

/** @throws MisuseError on an unknown verb, a path without a leading slash, an unnamed or repeated parameter. */
export function checkRoute(method: Method, path: string): void {
  const wrong = (why: string) => new MisuseError(`@route('${method}', '${path}'): ${why}`);
  if (!METHODS.includes(method)) throw wrong(`the verb must be one of ${METHODS.join(', ')}`);
  if (!path.startsWith('/')) throw wrong('a path begins with /');
  if (/[?#%\s]/.test(path)) throw wrong('a path is written decoded, without query or spaces');
  const names = path.split('/').filter((segment) => segment.startsWith(':'));
  if (names.includes(':')) throw wrong('a parameter needs a name');
  if (new Set(names).size < names.length) throw wrong('two parameters have one name');
}

function find(
  at: Node,
  segments: readonly string[],
  depth: number,
  method: string,
  values: string[],
  allow: Set<string>,
): ReturnType<Node['routes']['get']> {
  const segment = segments[depth];
  if (segment === undefined) {
    const leaf = at.routes.get(method);
    if (!leaf) for (const known of at.routes.keys()) allow.add(known);
    return leaf;
  }
  const next = at.statics.get(segment);
  const found = next && find(next, segments, depth + 1, method, values, allow);
  if (found || !at.param || segment === '') return found;
  values.push(segment);
  const named = find(at.param, segments, depth + 1, method, values, allow);
  if (!named) values.pop();
  return named;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new BadRequestError(`the path has a percent sign that encodes nothing: ${segment}`);
  }
}
