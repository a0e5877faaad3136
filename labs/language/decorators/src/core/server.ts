import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isNativeError } from 'node:util/types';
import { BadRequestError, HttpError } from './errors.ts';
import { type Principal, runAs } from './guard.ts';
import { checkOption, LONGEST_TIMER_MS, warnOf } from './method.ts';
import type { Router } from './router.ts';

export interface ServeOptions {
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** In whose name a request's handler runs; undefined is nobody. Default: always nobody. */
  readonly identify?: (request: IncomingMessage) => Principal | undefined | Promise<Principal | undefined>;
  /** A longer body is refused with 413, unread. Default 1 MiB. */
  readonly maxBodyBytes?: number;
  /** Milliseconds that `close` waits for the answers on their way. Default 10,000. */
  readonly drainMs?: number;
  /** Told of each error that the client isn't: it gets a bare 500. Should it throw or reject, that is a warning. Default: console.error. */
  readonly onError?: (error: unknown) => void;
}

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** Takes no new connections, lets the answers on their way go out, and closes the rest after `drainMs`. */
  close(): Promise<void>;
}

/**
 * Serves the routes by HTTP. What a handler returns becomes JSON, undefined becomes 204, a `Response` is sent as it is,
 * when its body has ended. An HttpError is answered with its status, code and message; any other error with a bare 500.
 *
 * @throws what `listen` throws (a port in use); MisuseError on bad options.
 */
export async function serve(router: Router, options: ServeOptions = {}): Promise<RunningServer> {
  const {
    port = 0,
    host = '127.0.0.1',
    identify = () => undefined,
    maxBodyBytes = 2 ** 20,
    drainMs = 10_000,
  } = options;
  const { onError = (error: unknown) => console.error(error) } = options;
  checkOption('maxBodyBytes', maxBodyBytes, 0, Number.MAX_SAFE_INTEGER, true);
  checkOption('drainMs', drainMs, 0, LONGEST_TIMER_MS);
  let closing: Promise<void> | undefined;

  const answer = async (request: IncomingMessage, signal: AbortSignal): Promise<Answer> => {
    const { method = 'GET', url = '/', headers } = request;
    const match = router.match(method, url);
    if (!match) throw new HttpError(404, 'not-found', 'nothing is served here');
    if (match.kind === 'other-method') {
      const allow = [...match.allow, 'OPTIONS'].join(', ');
      if (method === 'OPTIONS') return { status: 204, headers: { allow } };
      return problem(new HttpError(405, 'method-not-allowed', `one can ${allow} here`), { allow });
    }
    const principal = await identify(request);
    const body = await readJson(request, maxBodyBytes);
    const query = new URLSearchParams(url.includes('?') ? url.slice(url.indexOf('?')) : undefined);
    const call = { method, url, params: match.params, query, headers, body, signal };
    // A toJSON and the stream of a Response are the handler's too.
    return runAs(principal, async () => {
      const result = await match.handler(call);
      if (result instanceof Response) return read(result);
      return result === undefined ? { status: 204 } : json(200, result);
    });
  };

  /** Requests on their way, for each connection; a browser also opens some that it never uses. */
  const open = new Map<Socket, number>();
  const count = (socket: Socket, by: number) => open.set(socket, (open.get(socket) ?? 0) + by);

  const server = createServer(async (request, response) => {
    const { socket } = request;
    count(socket, 1);
    response.once('close', () => {
      if (!open.has(socket)) return;
      count(socket, -1);
      if (closing && open.get(socket) === 0) socket.destroySoon();
    });
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the client has gone'));
    });
    const report = (error: unknown) => {
      // That the client has gone is no fault; what fails after it has gone may be one.
      const leaving: readonly unknown[] = [request.errored, gone.signal.reason].filter(Boolean);
      if (leaving.includes(error) || (isNativeError(error) && leaving.includes(error.cause))) return;
      void warnOf('onError failed', () => onError(error));
    };
    // Whoever started the server is not who calls.
    const result = await runAs(undefined, () => answer(request, gone.signal)).catch((error: unknown) => {
      // Whatever was thrown: of a revoked proxy, `instanceof` alone would throw, and nobody would answer.
      if (isNativeError(error) && error instanceof HttpError) return refusal(error);
      report(error);
      return problem(new HttpError(500, 'internal', 'something went wrong here'));
    });
    if (!request.complete && !request.destroyed) lingerOver(request);
    // Node ends a connection with the answer that says so, whoever waits behind it.
    if (closing && open.get(socket) === 1) response.setHeader('connection', 'close');
    try {
      send(response, result, request.method === 'HEAD');
    } catch (error) {
      report(error);
      response.destroy();
    }
  });

  server.on('connection', (socket) => {
    count(socket, 0);
    socket.once('close', () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  const close = async () => {
    // Node takes an answer that was handed over for one that has gone out, and would cut it.
    server.closeIdleConnections = () => {};
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    for (const [socket, requests] of open) if (requests === 0) socket.destroy();
    const late = setTimeout(() => server.closeAllConnections(), drainMs);
    await closed;
    clearTimeout(late);
  };
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    close: () => (closing ??= close()),
    [Symbol.asyncDispose]: () => (closing ??= close()),
  };
}

/** What is sent. */
interface Answer {
  readonly status: number;
  readonly headers?: Headers | Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** A copy of a handler's own Response, which may be cached. It is read before it is sent: else a fault would cut it off. */
async function read(response: Response): Promise<Answer> {
  if (response.status === 0) throw new TypeError('Response.error() is no answer');
  const headers = new Headers(response.headers);
  // They speak of a connection, and this one is ours; how long the body is says its length.
  const ours = ['connection', 'content-length', 'keep-alive', 'trailer', 'transfer-encoding', 'upgrade'];
  for (const name of ours) headers.delete(name);
  // What `fetch` gave is unpacked, and still says that it is packed; only a Response of fetch has a URL.
  if (response.url !== '') headers.delete('content-encoding');
  return { status: response.status, headers, body: Buffer.from(await response.clone().arrayBuffer()) };
}

/** @throws TypeError where JSON has no such value. */
function json(status: number, value: unknown, headers: Record<string, string> = {}): Answer {
  const body: unknown = JSON.stringify(value);
  if (typeof body !== 'string') throw new TypeError(`a ${typeof value} is nothing that JSON has`);
  return { status, headers: { 'content-type': 'application/json', ...headers }, body };
}

function problem({ status, code, message }: HttpError, headers: Record<string, string> = {}): Answer {
  return json(status, { error: { code, message } }, headers);
}

function refusal(error: HttpError): Answer {
  return problem(error, error.status === 401 ? { 'www-authenticate': 'Bearer' } : {});
}

/** Refuses what is no UTF-8, instead of putting � in its place. */
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/** @throws HttpError 413 or 415, BadRequestError */
async function readJson(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const { headers } = request;
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return undefined;
  const chunks: Buffer[] = [];
  let bytes = Number(headers['content-length'] ?? 0);
  if (bytes <= maxBytes) {
    bytes = 0;
    for await (const chunk of request.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      if (bytes > maxBytes) break;
      chunks.push(chunk);
    }
  }
  if (bytes > maxBytes) {
    throw new HttpError(413, 'too-large', `a body has ${maxBytes} bytes at most`);
  }
  if (bytes === 0) return undefined;
  const type = headers['content-type'] ?? '';
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new HttpError(415, 'not-json', 'a body must be application/json');
  }
  try {
    return JSON.parse(UTF8.decode(Buffer.concat(chunks)));
  } catch {
    throw new BadRequestError('the body is no JSON in UTF-8');
  }
}

/** How long, and for how many bytes, somebody may go on sending what has been refused. */
const LINGER_MS = 1_000;
const LINGER_BYTES = 2 ** 24;

/** The rest is thrown away as it comes, since a connection that is cut loses the answer, too; but not for ever. */
function lingerOver(request: IncomingMessage): void {
  let bytes = 0;
  const cut = setTimeout(() => request.socket.destroy(), LINGER_MS);
  for (const end of ['end', 'close']) request.once(end, () => clearTimeout(cut));
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES) request.pause();
  });
}

function send(response: ServerResponse, { status, headers = {}, body = '' }: Answer, isHead: boolean): void {
  response.statusCode = status;
  if (headers instanceof Headers) response.setHeaders(headers);
  else for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (status !== 204 && status !== 304) response.setHeader('content-length', Buffer.byteLength(body));
  response.end(isHead ? undefined : body);
}
