import { type Http2ServerRequest, Http2ServerResponse, type OutgoingHttpHeaders } from 'node:http2';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import { retold } from './errors.ts';

/** A client of grpc's core refuses headers beyond 8 KiB by lot; a message is percent-encoded in one. */
const LONGEST_MESSAGE_BYTES = 4_096;

/** Node sends no block beyond 64 KiB, and cuts the call off without a word: so much is left to an application. */
const LONGEST_HEADERS_BYTES = 48 * 1024;

/** HTTP/2 has none of them, and Node throws where nobody can catch it. */
const hopByHop = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** Connect sends nothing at all where a message has half a surrogate pair, and status OK where `undefined` was thrown. */
export const sayable: Interceptor = (next) => async (request) => {
  const response = await next(request).catch((error: unknown) => {
    throw asSayable(error);
  });
  return response.stream ? { ...response, message: retold(response.message, asSayable) } : response;
};

function asSayable(thrown: unknown): unknown {
  if (thrown === undefined) return new ConnectError('internal error', Code.Internal);
  if (!(thrown instanceof ConnectError)) return thrown;
  const { rawMessage, code, metadata, details, cause } = thrown;
  const text = fitting(rawMessage.toWellFormed());
  if (text === rawMessage) return thrown;
  return Object.assign(new ConnectError(text, code, metadata, undefined, cause), { details });
}

/** The message, or as much of its beginning as a header holds for certain: a character takes nine bytes of it at most. */
function fitting(message: string): string {
  if (encodeURIComponent(message).length <= LONGEST_MESSAGE_BYTES) return message;
  return `${message.slice(0, Math.floor(LONGEST_MESSAGE_BYTES / 9) - 1)}…`.toWellFormed();
}

type Given = OutgoingHttpHeaders | readonly string[];

const isRecord = (given: Given | undefined): given is OutgoingHttpHeaders =>
  given !== undefined && !Array.isArray(given);

/** Headers and trailers of a handler's that HTTP/2 can't carry would end the process, or the call without its status. */
export class SayableResponse<
  Request extends Http2ServerRequest = Http2ServerRequest,
> extends Http2ServerResponse<Request> {
  #tooLarge = false;

  override writeHead(status: number, first?: string | Given, second?: Given): this {
    const given = typeof first === 'string' ? second : first;
    // Connect gives an object.
    return super.writeHead(status, isRecord(given) ? this.#sendable(given) : given);
  }

  override addTrailers(trailers: OutgoingHttpHeaders): void {
    const sent = this.#sendable(trailers);
    if (this.#tooLarge && sent['grpc-status'] === '0') {
      sent['grpc-status'] = `${Code.Internal}`;
      sent['grpc-message'] = encodeURIComponent(`Headers or trailers beyond ${LONGEST_HEADERS_BYTES} bytes.`);
    }
    super.addTrailers(sent);
  }

  #sendable(headers: OutgoingHttpHeaders): OutgoingHttpHeaders {
    const kept = Object.entries(headers).filter(([name]) => !hopByHop.has(name.toLowerCase()));
    const bytes = kept.reduce((sum, [name, value]) => sum + name.length + String(value).length + 32, 0);
    if (bytes <= LONGEST_HEADERS_BYTES) return Object.fromEntries(kept);
    this.#tooLarge = true;
    return Object.fromEntries(kept.filter(([name]) => protocols.has(name)));
  }
}

/** What a gRPC client can't do without. */
const protocols = new Set(['content-type', 'grpc-encoding', 'grpc-status', 'grpc-message']);
