import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import { DeclarationError } from './errors.ts';
import type { Dependency } from './scope.ts';

export type Dependencies = Readonly<Record<string, Dependency<unknown>>>;
export type Injected<D extends Dependencies> = {
  readonly [K in keyof D]: D[K] extends Dependency<infer T> ? T : never;
};

/** What a handler is given. A place without a schema is undefined: what nobody has described reaches nobody. */
export interface Given<P, Q, B, D> {
  readonly params: P;
  readonly query: Q;
  readonly body: B;
  readonly deps: D;
  /** Aborts when nobody waits for the answer any more: the client is gone, the deadline has passed, the server stops. */
  readonly signal: AbortSignal;
  readonly request: FastifyRequest;
}

export interface Declaration<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  R extends z.ZodType,
  D extends Dependencies,
> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** Schemas are synchronous. `z.object` drops unknown fields, `z.strictObject` refuses them. */
  readonly params?: P;
  /** All its values are texts, or arrays of texts where a name came twice: see `integer()`. */
  readonly query?: Q;
  readonly body?: B;
  /** What may leave. */
  readonly response: R;
  /** Of an answer that is no error: a 2xx, and not 204 for a stream, which has a body. Default 200. */
  readonly status?: number;
  readonly deps?: D;
  /** Milliseconds until the answer; in a stream until the next item, and until the reader has taken it. Default 10,000. */
  readonly deadlineMs?: number;
  readonly handler: (given: Given<z.output<P>, z.output<Q>, z.output<B>, Injected<D>>) => unknown;
}

/** A route of any types, as the server keeps it. */
export interface Route {
  readonly method: string;
  readonly url: string;
  readonly params?: z.ZodType;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly response: z.ZodType;
  readonly status: number;
  readonly deps: Dependencies;
  readonly deadlineMs: number;
  readonly streams: boolean;
  // A method, so that one for any input can stand for one that knows its own: `read` has seen to it that it fits.
  handler(given: Given<unknown, unknown, unknown, Readonly<Record<string, unknown>>>): unknown;
}

type None = z.ZodUndefined;
type NoDependencies = Readonly<Record<never, Dependency<unknown>>>;

/** An endpoint that answers with one JSON value. Types follow from the schemas. @throws DeclarationError */
export function route<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
  D extends Dependencies = NoDependencies,
>(
  declaration: Declaration<P, Q, B, R, D> & {
    readonly handler: (
      given: Given<z.output<P>, z.output<Q>, z.output<B>, Injected<D>>,
    ) => Promise<z.input<R>> | z.input<R>;
  },
): Route {
  return declare(declaration, false);
}

/** An endpoint that answers with one line of JSON for each item (NDJSON); `response` is the schema of an item. @throws DeclarationError */
export function stream<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
  D extends Dependencies = NoDependencies,
>(
  declaration: Declaration<P, Q, B, R, D> & {
    readonly handler: (given: Given<z.output<P>, z.output<Q>, z.output<B>, Injected<D>>) => AsyncIterable<z.input<R>>;
  },
): Route {
  return declare(declaration, true);
}

function declare<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  R extends z.ZodType,
  D extends Dependencies,
>(declaration: Declaration<P, Q, B, R, D>, streams: boolean): Route {
  const { deadlineMs = 10_000, status = 200, deps = {}, method, url } = declaration;
  if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > 2 ** 31 - 1) {
    throw new DeclarationError(
      `deadlineMs of ${method} ${url} is ${deadlineMs}: give whole milliseconds from 1 to 2^31 - 1.`,
    );
  }
  if (!Number.isInteger(status) || status < 200 || status > 299 || (streams && status === 204)) {
    throw new DeclarationError(
      `status of ${method} ${url} is ${status}: give ${streams ? 'a 2xx with a body' : 'a 2xx'}.`,
    );
  }
  return { ...declaration, status, deps, deadlineMs, streams };
}
