import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { inspect } from 'node:util';
import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import type { z } from 'zod';
import { Call } from './call.ts';
import { Connections } from './connections.ts';
import {
  ClientGoneError,
  DeclarationError,
  HttpError,
  MalformedRequestError,
  ResponseInvalidError,
  ShuttingDownError,
  StillAtWorkError,
  ValidationError,
  WebApiError,
} from './errors.ts';
import { type Issue, issue, type Place, parseQuery, type Raw, readJsonOnly, unstorable } from './input.ts';
import type { Route } from './route.ts';
import { type Dependency, type Maker, type Override, Scope, type ScopeOptions } from './scope.ts';

export interface DrainOptions {
  /** Milliseconds that a connection may have nothing to do before it is closed: as long as a request may be under way. Default 200. */
  readonly idleMs?: number;
  /** Milliseconds after which requests still at work are cut off. Default 10,000. */
  readonly limitMs?: number;
  /** Milliseconds that what was cut off, and then each of `closing`, is waited for. Default 2000. */
  readonly cutMs?: number;
}

export interface ApiOptions {
  readonly routes: readonly Route[];
  /** In tests. */
  readonly overrides?: readonly Override[];
  /** What close() ends when no request is left, the last one first: `[() => pool.end(), …]`, in the order of opening. */
  readonly closing?: readonly (() => unknown)[];
  readonly drain?: DrainOptions;
  /** Bytes of a body. Default 1 MiB; a larger one is a 413. */
  readonly bodyLimit?: number;
  /** Told of each error whose answer is a 5xx, and of what fails where nobody waits for it. `where` is the method and the URL's pattern. */
  readonly onError: (error: unknown, where: string) => void;
}

/** Of how many faults a 422 tells; the rest is counted. */
const TOLD = 50;

/**
 * Routes whose types are kept at run time: what comes in and what goes out is held against its schema, dependencies live as
 * long as their request, and what a client was told is what has become of it. `app` is Fastify's, to listen and for plugins.
 */
export class Api implements AsyncDisposable {
  readonly app: FastifyInstance;
  protected readonly connections: Connections;
  /** Those at work, and those not yet taken back. */
  protected readonly calls = new Set<Call>();
  protected readonly drainOptions: Required<DrainOptions>;
  readonly #overrides = new Map<Dependency<unknown>, Maker<unknown>>();
  readonly #scopes = new WeakMap<Call, Scope>();
  readonly #onError: ApiOptions['onError'];
  #stopping = false;

  constructor({ routes, overrides = [], closing = [], drain = {}, bodyLimit = 2 ** 20, onError }: ApiOptions) {
    this.#onError = onError;
    this.drainOptions = { idleMs: 200, limitMs: 10_000, cutMs: 2000, ...drain };
    for (const [name, ms] of Object.entries(this.drainOptions)) {
      if (!(ms >= 0)) throw new DeclarationError(`drain.${name} is ${ms}: give milliseconds from 0.`);
    }
    for (const { dependency, make } of overrides) {
      if (this.#overrides.has(dependency))
        throw new DeclarationError(`${dependency.name} has two overrides: keep one.`);
      this.#overrides.set(dependency, make);
    }
    this.app = fastify({
      bodyLimit,
      // One server, whose connections can be counted: for localhost Fastify would make a second one beside it.
      serverFactory: (handler) => createServer({ requestTimeout: 30_000, keepAliveTimeout: 72_000 }, handler),
      // It is a limit to close(), too, which has its own.
      pluginTimeout: 0,
      return503OnClosing: false,
      exposeHeadRoutes: false,
      frameworkErrors: (error, request, reply) => void this.#refuse(error, request, reply),
    });
    readJsonOnly(this.app);
    this.connections = new Connections(this.app.server);
    this.app.setErrorHandler((error, request, reply) => this.#refuse(error, request, reply));
    this.app.setNotFoundHandler((request, reply) => this.#refuse(notFound, request, reply));
    this.app.addHook('onSend', async (_, reply) => {
      if (this.#stopping) reply.header('connection', 'close');
    });
    // A stop may come while the server is still looking up its address.
    this.app.addHook('onListen', async () => {
      if (this.#stopping) this.connections.refuseNew();
    });
    this.app.addHook('preClose', async () => {
      this.#stopping = true;
      await this.drain();
    });
    this.app.addHook('onClose', () => this.#end(closing));
    for (const route of routes) {
      const { method, url } = route;
      this.app.route({ method, url, handler: (request, reply) => this.#serve(route, request, reply) });
    }
  }

  /** Takes no new connections, finishes what is at work or cuts it off at the limit, then ends what `closing` names. Throws nothing. */
  async close(): Promise<void> {
    await this.app.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What came, as the schemas say. @throws ValidationError with every fault of all places */
  protected read(route: Route, raw: Raw): Raw {
    const issues: Issue[] = [];
    const read = (place: Place): unknown => {
      const schema = route[place];
      if (!schema) return undefined;
      for (const each of unstorable(place, raw[place])) issues.push(each);
      const { success, data, error } = schema.safeParse(raw[place]);
      if (success) return data;
      for (const { path, message } of error.issues) issues.push(issue(place, path, message));
      return undefined;
    };
    const input = { params: read('params'), query: read('query'), body: read('body') };
    if (issues.length > 0) throw new ValidationError(issues);
    return input;
  }

  /** The JSON that may leave: what the schema names, and nothing else. @throws ResponseInvalidError */
  protected write(schema: z.ZodType, value: unknown): string | undefined {
    const { success, data, error } = schema.safeParse(value);
    if (success) return JSON.stringify(data);
    const paths = error.issues.map(({ path, message }) => `${path.join('.') || '(all of it)'}: ${message}`);
    throw new ResponseInvalidError(`The response does not fit its schema. ${paths.join('; ')}`);
  }

  /**
   * Does the work, and then takes back its dependencies: what it did is permanent, or undone, before anybody is told. Whoever
   * is cut off is answered at once; what he had is taken back when the work has ended, because it is still in its hands.
   * @throws what the work throws, what its dependencies throw, and the reason of whoever cut it off
   */
  protected settle<T>(call: Call, work: () => Promise<T>): Promise<T> {
    const settled = async (): Promise<T> => {
      let value: T;
      try {
        value = await work();
        call.decide();
      } catch (error) {
        await this.takeBack(call, { error });
        throw error;
      }
      await this.takeBack(call);
      return value;
    };
    return Promise.race([call.cutOff, settled()]);
  }

  /** Writes as fast as the reader reads, and holds one line at most beside the socket's buffer. Ends `lines` when the reader goes. */
  protected async pump(call: Call, lines: AsyncIterable<string>, out: ServerResponse): Promise<void> {
    for await (const line of lines) {
      call.signal.throwIfAborted();
      call.progress();
      if (!out.write(line)) await once(out, 'drain', { signal: call.signal });
      call.progress();
    }
  }

  /** Until no connection is open and no call at work. */
  protected async drain(): Promise<void> {
    const { idleMs, limitMs, cutMs } = this.drainOptions;
    const began = performance.now();
    this.connections.refuseNew();
    while (this.connections.size > 0 || this.calls.size > 0) {
      this.connections.closeIdle(idleMs);
      const ms = performance.now() - began;
      if (ms > limitMs) for (const call of this.calls) call.cut(new ShuttingDownError());
      if (ms > limitMs + cutMs) {
        if (this.calls.size > 0) this.report(new StillAtWorkError(`${this.calls.size} requests are`, cutMs), 'close');
        return this.connections.closeAll();
      }
      await delay(5);
    }
  }

  protected newScope(options: ScopeOptions): Scope {
    return new Scope(options);
  }

  protected scopeOf(call: Call): Scope {
    const scope = this.#scopes.get(call);
    if (!scope) throw new DeclarationError('A call of another Api.');
    return scope;
  }

  /** The end of a call: its dependencies are taken back. With `failure`, it throws nothing. @throws what a dependency throws */
  protected async takeBack(call: Call, failure?: { readonly error: unknown }): Promise<void> {
    const { aborted, reason } = call.signal;
    try {
      await this.scopeOf(call).close(failure && aborted ? { error: reason } : failure);
    } finally {
      call.end();
      this.calls.delete(call);
    }
  }

  protected report(error: unknown, where: string): void {
    const told = async () => this.#onError(error, where);
    told().catch((worse: unknown) => process.emitWarning(`onError of Api has thrown ${inspect(worse)}`));
  }

  async #serve(route: Route, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const where = whereOf(request);
    const call = new Call(reply.raw, route.deadlineMs);
    const { signal } = call;
    const onError = (error: unknown) => this.report(error, where);
    const scope = this.newScope({ signal, headers: request.headers, overrides: this.#overrides, onError });
    this.#scopes.set(call, scope);
    this.calls.add(call);
    const work = async (): Promise<string | undefined> => {
      const { url = '' } = request.raw;
      const input = this.read(route, { params: request.params, query: parseQuery(url), body: request.body });
      const values = Object.entries(route.deps).map(async ([name, it]) => [name, await scope.inject(it)] as const);
      const deps = Object.fromEntries(await Promise.all(values));
      signal.throwIfAborted();
      const result = await route.handler({ ...input, deps, signal, request });
      if (!route.streams) return this.write(route.response, result);
      await this.pump(call, this.#lines(route, call, result, reply), reply.raw);
      return undefined;
    };
    // What fails after the answer is out, or has its answer taken by a deadline while it is taken back: nobody waits for it.
    const watched = () =>
      work().catch((error: unknown) => {
        const tell = () => onError(error);
        if (signal.aborted && !isOf(error, signal.reason)) tell();
        if (!signal.aborted && answerStatus(error) >= 500) signal.addEventListener('abort', tell, { once: true });
        throw error;
      });
    try {
      const text = await this.settle(call, watched);
      if (route.streams) reply.raw.end();
      else reply.status(route.status).type('application/json; charset=utf-8').send(text);
    } catch (error) {
      if (!reply.raw.headersSent) throw error;
      // A clean end would say that this was all.
      reply.raw.destroy();
      if (answerStatus(error) >= 500) onError(error);
    }
    return reply;
  }

  async *#lines(route: Route, call: Call, items: unknown, reply: FastifyReply): AsyncGenerator<string, void, void> {
    const begin = (): void => {
      call.signal.throwIfAborted();
      if (reply.raw.headersSent) return;
      reply.hijack();
      if (this.#stopping) reply.header('connection', 'close');
      reply.type('application/x-ndjson; charset=utf-8');
      for (const [name, value = ''] of Object.entries(reply.getHeaders())) reply.raw.setHeader(name, value);
      reply.raw.writeHead(route.status);
    };
    if (!isAsyncIterable(items)) throw new DeclarationError(`${route.url} has to return an async iterable.`);
    for await (const item of items) {
      const text = this.write(route.response, item);
      if (text === undefined) throw new ResponseInvalidError(`An item of ${route.url} is nothing that JSON can write.`);
      begin();
      yield `${text}\n`;
    }
    begin();
  }

  #refuse(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    // Node's error for a body that breaks off is nobody's failure but the client's.
    const error = request.raw.readableAborted ? new ClientGoneError() : thrown;
    const status = answerStatus(error);
    if (status >= 500) this.report(error, whereOf(request));
    return reply.status(status).send(bodyOf(error, status));
  }

  async #end(closing: readonly (() => unknown)[]): Promise<void> {
    const { cutMs } = this.drainOptions;
    for (const close of closing.toReversed()) {
      const late = new AbortController();
      const tooLate = async (): Promise<void> => {
        await delay(cutMs, undefined, { signal: late.signal });
        throw new StillAtWorkError(`${close.name || 'One'} of closing is`, cutMs);
      };
      const waited = tooLate();
      waited.catch(() => {});
      await Promise.race([(async () => await close())(), waited]).catch((error: unknown) =>
        this.report(error, 'close'),
      );
      late.abort();
    }
  }
}

const notFound = new HttpError(404, 'NOT_FOUND', 'There is nothing under this method and URL.');

const whereOf = ({ method, routeOptions }: FastifyRequest): string => `${method} ${routeOptions.url ?? '(unknown)'}`;

const isAsyncIterable = (value: unknown): value is AsyncIterable<unknown> =>
  typeof value === 'object' && value !== null && Symbol.asyncIterator in value;

/** Node's own functions wrap the reason of a signal into an AbortError. */
const isOf = (error: unknown, reason: unknown): boolean =>
  error === reason || (error instanceof Error && error.cause === reason);

const ofFastify = [
  errorCodes.FST_ERR_BAD_URL,
  errorCodes.FST_ERR_CTP_BODY_TOO_LARGE,
  errorCodes.FST_ERR_CTP_EMPTY_JSON_BODY,
  errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH,
  errorCodes.FST_ERR_CTP_INVALID_MEDIA_TYPE,
  errorCodes.FST_ERR_MAX_PARAM_LENGTH,
];

/** By class: an upstream's error that has a `statusCode` of its own is not our answer. */
function answerStatus(error: unknown): number {
  if (error instanceof WebApiError) return error.status;
  return ofFastify.some((each) => error instanceof each) && isHttp(error) ? error.statusCode : 500;
}

const isHttp = (error: unknown): error is { readonly statusCode: number } =>
  error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number';

function bodyOf(error: unknown, status: number): object {
  if (status === 500) return { code: 'INTERNAL', message: 'It failed on our side.' };
  if (error instanceof ValidationError) {
    const { code, message, issues } = error;
    return { code, message, issues: issues.slice(0, TOLD) };
  }
  if (error instanceof WebApiError) return { code: error.code, message: error.message };
  const { code, message } = new MalformedRequestError(400, messages.get(status) ?? 'The request cannot be read.');
  return { code, message };
}

const messages = new Map([
  [413, 'The body is too large.'],
  [414, 'A part of the path is too long.'],
  [415, 'Send JSON: content-type: application/json.'],
]);
