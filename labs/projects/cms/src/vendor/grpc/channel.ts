import { type ClientHttp2Stream, constants, type OutgoingHttpHeaders } from 'node:http2';
import { Code, ConnectError, type Interceptor, type Transport } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { BadRpcOptionError, countWithin, LONGEST_TIMEOUT_MS, LONGEST_WAIT_MS, numberWithin, retold } from './errors.ts';
import { timeoutOf, withTimeLeft } from './retry.ts';
import { DEFAULT_READ_MAX_BYTES } from './server.ts';

export interface ChannelOptions {
  /** The first is the outermost. */
  readonly interceptors?: Interceptor[];
  /** Milliseconds for a call that names no deadline, 27 hours at most. Default 10 000. */
  readonly defaultTimeoutMs?: number;
  /** An answer beyond it ends its call with RESOURCE_EXHAUSTED. Default 4 MiB. */
  readonly readMaxBytes?: number;
  /** Milliseconds between two signs of life on a connection with calls on it; a dead one is given up. Default 20 000. */
  readonly pingIntervalMs?: number;
}

/** One server, as clients see it: `createClient(PriceService, channel.transport)`. */
export interface Channel extends Disposable {
  readonly transport: Transport;
  /** Calls under way, and later ones, end with CANCELED; one that an interceptor holds, when it is let go. */
  close(): void;
}

/**
 * A connection to `url` (http://host:port), opened by the first call and again whenever it is lost.
 *
 * A call whose connection is lost ends with UNAVAILABLE, as gRPC says; Connect tells it as CANCELED, ABORTED or INTERNAL,
 * which read as "somebody's decision" or "a bug". One that the server has refused unread (its GOAWAY crossed our call)
 * is sent once more, whatever its method: A6 calls it a transparent retry.
 *
 * A call whose `timeoutMs` is 0 or less ends at once with DEADLINE_EXCEEDED (Connect takes it for "no deadline").
 *
 * @throws BadRpcOptionError; TypeError on what is no URL.
 */
export function openChannel(url: string, options: ChannelOptions = {}): Channel {
  if (!/^https?:$/.test(new URL(url).protocol)) throw new BadRpcOptionError('url', url, 'http://host:port');
  const readMaxBytes = countWithin('readMaxBytes', options.readMaxBytes ?? DEFAULT_READ_MAX_BYTES, 1, 2 ** 32 - 1);
  const timeoutMs = countWithin('defaultTimeoutMs', options.defaultTimeoutMs ?? 10_000, 1, LONGEST_TIMEOUT_MS);
  const pingIntervalMs = countWithin('pingIntervalMs', options.pingIntervalMs ?? 20_000, 1, LONGEST_WAIT_MS);
  const sessions = new Sessions(url, { pingIntervalMs, pingTimeoutMs: Math.min(pingIntervalMs, 5_000) });
  const closed = new ConnectError(`The channel to ${url} is closed.`, Code.Canceled);
  let open = true;
  const whileOpen: Interceptor = (next) => (request) => (open ? next(request) : Promise.reject(closed));
  const inner = createGrpcTransport({
    baseUrl: url,
    interceptors: [...(options.interceptors ?? []), whileOpen, onceMore(sessions), lostIsUnavailable(() => open)],
    defaultTimeoutMs: timeoutMs,
    readMaxBytes,
    sessionManager: sessions,
  });
  const transport: Transport = {
    unary: async (method, signal, timeout, ...rest) => inner.unary(method, signal, wholeMs(timeout), ...rest),
    stream: async (method, signal, timeout, ...rest) => inner.stream(method, signal, wholeMs(timeout), ...rest),
  };
  const close = () => {
    open = false;
    sessions.abort(closed);
  };
  return { transport, close, [Symbol.dispose]: close };
}

/** A call's time as it can be sent and waited for. */
const wholeMs = (ms: number | undefined) => {
  if (ms === undefined) return ms;
  if (ms <= 0) throw new ConnectError(`timeoutMs is ${ms}: nobody is asked.`, Code.DeadlineExceeded);
  return Math.max(
    1,
    Math.floor(Math.min(numberWithin('timeoutMs', ms, 0, Number.POSITIVE_INFINITY), LONGEST_TIMEOUT_MS)),
  );
};

/** Knows of each stream that the server refused unread: Connect's error has no trace of it but words. */
class Sessions extends Http2SessionManager {
  readonly #unread = new WeakSet<Error>();

  override async request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: Parameters<Http2SessionManager['request']>[3],
  ): Promise<ClientHttp2Stream> {
    // A caller's own length is another than the message's, and the server would end the connection, with all calls on it.
    const { 'content-length': _, ...sent } = headers;
    const stream = await super.request(method, path, sent, options);
    stream.once('error', (error: Error) => {
      if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) this.#unread.add(error);
    });
    return stream;
  }

  /** Whether the call that failed was never looked at. */
  refused(error: unknown): boolean {
    for (let at = error; at instanceof Error; at = at.cause) if (this.#unread.has(at)) return true;
    return false;
  }
}

const onceMore =
  (sessions: Sessions): Interceptor =>
  (next) =>
  async (request) => {
    if (request.stream) return next(request);
    const deadline = performance.now() + timeoutOf(request.header);
    return next(request).catch((error) => {
      if (!sessions.refused(error) || request.signal.aborted) throw error;
      return next({ ...request, header: withTimeLeft(request.header, deadline - performance.now()) });
    });
  };

const lostIsUnavailable =
  (open: () => boolean): Interceptor =>
  (next) =>
  async (request) => {
    const told = (error: unknown) => (open() && !request.signal.aborted ? judged(error) : error);
    const response = await next(request).catch((error) => {
      throw told(error);
    });
    if (!response.stream) return response;
    return { ...response, message: retold(response.message, told) };
  };

/** UNAVAILABLE, where nobody has decided that the call should end: no status has come from the server. */
function judged(thrown: unknown): unknown {
  const error = ConnectError.from(thrown);
  const byServer = error.metadata.has('grpc-status');
  const cause: unknown = error.cause;
  // Of a header or an address that nobody can send to, Node says TypeError: no other attempt will mend that.
  const byNode = cause instanceof Error && 'code' in cause && !(cause instanceof TypeError);
  const lost = error.code === Code.Canceled || error.code === Code.Aborted || (error.code === Code.Internal && byNode);
  if (byServer || !lost) return thrown;
  return new ConnectError(
    `The connection was lost: ${error.rawMessage}`,
    Code.Unavailable,
    undefined,
    undefined,
    thrown,
  );
}
