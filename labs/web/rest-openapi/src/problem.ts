import type { Server } from 'node:http';
import { ServerResponse, STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyHttpOptions, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import plugin from 'fastify-plugin';
import { z } from 'zod';

/** What was wrong with one field. */
export interface FieldError {
  readonly in: 'body' | 'query' | 'path' | 'header';
  /** A JSON pointer into that part: `/lines/0/quantity`. */
  readonly pointer: string;
  readonly detail: string;
}

export interface ProblemOptions {
  /** Tells problems of one status apart, for programs: the end of `type`. Default: `type` is `about:blank`. */
  readonly code?: string;
  readonly errors?: readonly FieldError[];
  /** Sent with it. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** RFC 9457, as it is sent. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly FieldError[];
}

/** A refusal that the client is to read: throw it, and `problems` sends it as `application/problem+json`. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly details: ProblemDetails;
  readonly headers: Readonly<Record<string, string>>;

  /**
   * @param status from 400 to 599
   * @param detail for the client's eyes: what was wrong, and what to do
   * @throws RangeError, or TypeError for headers that cannot be sent
   */
  constructor(status: number, detail: string, { code, errors, headers = {}, cause }: ProblemOptions = {}) {
    super(detail, { cause });
    if (!(Number.isInteger(status) && status >= 400 && status <= 599)) {
      throw new RangeError(`${status} is the status of no refusal: give 400 to 599.`);
    }
    checkHeaders(headers);
    const type = code === undefined ? 'about:blank' : `${PROBLEM_TYPES}${code}`;
    const title = STATUS_CODES[status] ?? 'Error';
    this.details = { type, title, status, detail, ...(errors && { errors }) };
    this.headers = headers;
  }

  get status(): number {
    return this.details.status;
  }
}

/** @throws TypeError for what would break the answer that has it */
export function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  }
}

/** Yours when you copy it. A tag URI (RFC 4151) names a type for good and promises no page behind it, which RFC 9457 §3.1.1 allows. */
const PROBLEM_TYPES = 'tag:bookshop.example,2026:';
export const PROBLEM_JSON = 'application/problem+json';

/** The schema of every refusal, for the contract. */
export const problemSchema = z
  .object({
    type: z.string().describe('A URI that says which kind of problem it is'),
    title: z.string(),
    status: z.int().min(400).max(599),
    detail: z.string().describe('What was wrong, and what to do'),
    errors: z
      .array(
        z.object({
          in: z.enum(['body', 'query', 'path', 'header']),
          pointer: z.string().describe('A JSON pointer into that part'),
          detail: z.string(),
        }),
      )
      .optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457: what every refusal looks like' });

/** Documents refusals: `response: { 200: …, ...refusals({ 404: 'No such book.' }) }`. */
export function refusals<Status extends number>(descriptions: Readonly<Record<Status, string>>) {
  const response = (description: string) => ({
    description,
    content: { 'application/problem+json': { schema: problemSchema } },
  });
  const entries = Object.entries<string>(descriptions).map(([status, text]) => [status, response(text)]);
  return Object.fromEntries(entries) as Record<Status, ReturnType<typeof response>>;
}

/**
 * Whatever was thrown, as what the client may see. The statuses of Fastify's own refusals stay. What a schema refuses is a 422
 * in the body, which was understood and makes no sense, and a 400 elsewhere. All else is a 500 that says nothing: its message
 * is for the log.
 */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!isFastifyError(error)) return new Problem(500, SECRET, { cause: error });
  if (error.validation) {
    const { place, errors } = fieldErrorsOf(error);
    const detail = `The ${place} is not what the contract asks for: see errors.`;
    return new Problem(place === 'body' ? 422 : 400, detail, { errors, cause: error });
  }
  const { statusCode = 500, message } = error;
  return new Problem(statusCode, statusCode < 500 ? message : SECRET, { cause: error });
}

/** Says nothing that is only ours. */
export const SECRET =
  'It failed on our side, and is in our log. Sent again with the same Idempotency-Key it happens once at most.';

/** Which part of a request a schema has refused, and where in it. */
export function fieldErrorsOf({ validation = [], validationContext = 'body' }: FastifyError): {
  readonly place: FieldError['in'];
  readonly errors: readonly FieldError[];
} {
  const place = PARTS.get(validationContext) ?? 'body';
  const errors = validation.map(({ instancePath, message = 'is wrong' }) => ({
    in: place,
    pointer: instancePath === '/' ? '' : instancePath,
    detail: message,
  }));
  return { place, errors };
}

const PARTS = new Map<string, FieldError['in']>([
  ['body', 'body'],
  ['querystring', 'query'],
  ['params', 'path'],
  ['headers', 'header'],
]);

/** Others have a `statusCode` too: that of a server that we asked says nothing about our client. */
export const isFastifyError = (error: unknown): error is FastifyError =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code.startsWith('FST_');

export interface ProblemsOptions {
  /** Default: `toProblem` of this file. */
  readonly toProblem?: (error: unknown) => Problem;
}

/**
 * Makes each error of the app a problem: thrown ones, 404, and 405 with `Allow` where the path is known and the method isn't.
 * Register it before the routes. `problemServer` has the errors that come before any route.
 */
export const problems = plugin(
  (app: FastifyInstance, { toProblem: translate = toProblem }: ProblemsOptions, done: () => void) => {
    app.addHook('onRoute', ({ url, method }) => {
      for (const each of [method].flat()) known.push({ path: patternOf(url), method: each });
    });
    const known: { readonly path: RegExp; readonly method: string }[] = [];
    let isClosing = false;
    app.addHook('preClose', async () => {
      isClosing = true;
    });
    app.addHook('onRequest', async ({ raw, headers }) => {
      if (raw.httpVersion === '1.1' && headers.host === undefined)
        throw new Problem(400, 'The header Host is missing.');
      if (isClosing) throw new Problem(503, 'This server is about to stop: send it again.', { headers: SOON });
    });
    app.server.on('checkExpectation', (_, response: ServerResponse) => {
      const { status, details } = new Problem(417, 'The header Expect may ask for 100-continue, and for nothing else.');
      const body = JSON.stringify(details);
      const length = Buffer.byteLength(body);
      response
        .writeHead(status, { 'content-type': PROBLEM_JSON, 'content-length': length, connection: 'close' })
        .end(body);
    });
    app.setErrorHandler((error, request, reply) => {
      let problem: Problem;
      try {
        problem = translate(error);
      } catch (cause) {
        problem = new Problem(500, SECRET, { cause });
      }
      return refuse(problem, request, reply);
    });
    app.setNotFoundHandler((request, reply) => {
      const path = request.url.split('?', 1)[0] ?? '';
      const allowed = new Set(known.filter((route) => route.path.test(path)).map(({ method }) => method));
      const allow = [...allowed].sort().join(', ');
      const wrong =
        allow === ''
          ? new Problem(404, `There is nothing at ${path}: see the contract for what there is.`)
          : new Problem(405, `${request.method} is not for ${path}: it has ${allow}.`, { headers: { allow } });
      return refuse(wrong, request, reply);
    });
    done();
  },
  { name: 'problems' },
);

const SOON = { 'retry-after': '1' };

/** A route's path, as far as `:name` and a final `*` go. */
const patternOf = (url: string): RegExp =>
  new RegExp(
    `^${url
      .split('/')
      .map((part) => (part.startsWith(':') ? '[^/]+' : RegExp.escape(part).replace('\\*', '.*')))
      .join('/')}$`,
  );

function refuse(
  { status, details, headers, cause }: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  if (status >= 500) request.log.error({ err: cause ?? details }, 'answered with a 500');
  // Past the response's schema: a refusal that nobody documented has to arrive all the same.
  return reply.code(status).headers(headers).type(PROBLEM_JSON).serializer(JSON.stringify).send(details);
}

/**
 * For `Fastify({ ...problemServer })`: what is no HTTP, and URLs that cannot be decoded, are answered as problems too. What Node
 * and Fastify would answer in another form (no Host, a server that is closing) is left to `problems`.
 */
export const problemServer: Pick<
  FastifyHttpOptions<Server>,
  'frameworkErrors' | 'clientErrorHandler' | 'http' | 'return503OnClosing'
> = {
  http: { requireHostHeader: false },
  return503OnClosing: false,
  frameworkErrors: (error, request, reply) => void refuse(toProblem(error), request, reply),
  clientErrorHandler(error: Error & { readonly code?: string }, socket: Socket) {
    // An answer that has begun: more words would be read as a part of it.
    const answering: unknown = Reflect.get(socket, '_httpMessage');
    const hasBegun = answering instanceof ServerResponse && answering.headersSent;
    if (!socket.writable || hasBegun || error.code === 'ECONNRESET') return void socket.destroy();
    const status = CLIENT_ERRORS.get(error.code ?? '') ?? 400;
    const body = JSON.stringify(new Problem(status, 'What arrived is no HTTP request that we take.').details);
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: ${PROBLEM_JSON}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    );
  },
};

const CLIENT_ERRORS = new Map([
  ['HPE_HEADER_OVERFLOW', 431],
  ['ERR_HTTP_REQUEST_TIMEOUT', 408],
]);
