import type { Socket } from 'node:net';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { type Client, Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { ROOT_CONTEXT, SpanKind } from '@opentelemetry/api';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { LRUCache } from 'lru-cache';
import { z } from 'zod';
import { clean } from './clean.ts';
import {
  type Article as ArticleMessage,
  type ArticleResponse,
  ContentService,
  type FindResponse,
  MediaService,
  SearchService,
  StaleSchema,
  type User,
  UsersService,
} from './cms/v1/cms_pb.ts';
import { DESK, DESK_SCRIPT } from './desk.ts';
import { CmsError, checkAmount, checkWords } from './errors.ts';
import { MOST_BYTES } from './media.ts';
import { articlePage, frontPage, type Listed, messagePage, STYLE, searchPage } from './page.ts';
import { type Hit, MOST_LETTERS } from './search.ts';
import { spanned } from './trace.ts';
import { type BreakerOptions, CircuitBreaker } from './vendor/circuit-breaker/index.ts';
import { type Caller, propagate, withDeadline } from './vendor/grpc/index.ts';

export interface GatewayOptions {
  readonly content: Transport;
  readonly search: Transport;
  readonly media: Transport;
  readonly users: Transport;
  /** Hears of what goes wrong and is told to nobody else; must not throw. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds for a request, all of its calls included. Default 2,000. */
  readonly requestMs?: number;
  /** Milliseconds that the search may take of them. Default 300. */
  readonly searchMs?: number;
  /** Milliseconds for which a page may be what it was; 0: each is asked for. Default 1,000. */
  readonly cacheMs?: number;
  /** When the search is left alone. */
  readonly breaker?: BreakerOptions;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** What a search came to; `degraded`: it is away, and these are the latest texts. */
export interface Hits {
  readonly hits: readonly Hit[];
  readonly degraded: boolean;
}

/** How long who has connected may take to ask before a gateway that leaves hangs up. */
const SILENT_MS = 100;
/** Half a surrogate pair is a text in JSON, and another one on the wire. */
const text = z.string().refine((given) => given.isWellFormed() && !given.includes('\0'), 'no well-formed text');
const Credentials = z.object({ name: text, password: text });
const Draft = z.object({
  title: text,
  body: text,
  slug: text.default(''),
  teaser: text.default(''),
});
const Revision = z.object({ revision: z.int().min(1).max(2_147_483_647) });
const Edit = Revision.extend({
  title: text.optional(),
  body: text.optional(),
  slug: text.optional(),
  teaser: text.optional(),
});
const Act = Revision.extend({ publishAt: z.iso.datetime({ offset: true }).optional() });
const Id = z.object({ id: z.string() });
const Step = Id.extend({ action: z.string() });
const Slug = z.object({ slug: z.string() });
const Query = z.object({ q: z.string().default('') });

const STATUS: ReadonlyMap<Code, number> = new Map([
  [Code.InvalidArgument, 400],
  [Code.Unauthenticated, 401],
  [Code.PermissionDenied, 403],
  [Code.NotFound, 404],
  [Code.Aborted, 409],
  [Code.AlreadyExists, 409],
  [Code.FailedPrecondition, 409],
  [Code.ResourceExhausted, 413],
  [Code.Unavailable, 503],
  [Code.Canceled, 503],
  [Code.DeadlineExceeded, 504],
]);

/** What strangers write is on these pages: no script at all. */
const POLICY =
  "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const DESK_POLICY = `${POLICY}; script-src 'self'; connect-src 'self'`;

type Handler = (request: FastifyRequest, reply: FastifyReply, caller: Caller) => Promise<unknown>;

/** The house's front: pages for readers, an API and a desk for those who write. It keeps nothing. */
export class Gateway implements AsyncDisposable {
  readonly app: FastifyInstance;
  /** Whether the search is being asked. */
  readonly breaker: CircuitBreaker;
  protected readonly o: Required<GatewayOptions>;
  protected readonly content: Client<typeof ContentService>;
  protected readonly search: Client<typeof SearchService>;
  readonly #media: Client<typeof MediaService>;
  readonly #users: Client<typeof UsersService>;
  readonly #sockets = new Set<Socket>();
  #leaves = false;
  /** By text and revision. A long one takes a tenth of a second, in which nobody else is served. */
  readonly #cleaned = new LRUCache<string, string>({
    maxSize: 32_000_000,
    sizeCalculation: (html) => 1_000 + html.length,
  });
  protected readonly pages = new LRUCache<string, { readonly at: number; readonly found: FindResponse }>({
    // Characters, of all bodies together.
    maxSize: 32_000_000,
    sizeCalculation: ({ found: { found } }) => 1_000 + (found.case === 'article' ? found.value.body.length : 0),
  });

  /** @throws InvalidInputError, InvalidOptionError */
  constructor(options: GatewayOptions) {
    const breaker = { window: { type: 'count', size: 20 }, minCalls: 5, openMs: 1_000, ...options.breaker } as const;
    this.o = { requestMs: 2_000, searchMs: 300, cacheMs: 1_000, now: () => performance.now(), ...options, breaker };
    checkAmount('requestMs', this.o.requestMs, 1, 600_000);
    checkAmount('searchMs', this.o.searchMs, 1, 600_000);
    checkAmount('cacheMs', this.o.cacheMs, 0, 3_600_000);
    this.breaker = new CircuitBreaker({ name: 'search', isFailure: isOutage, timeoutMs: this.o.searchMs, ...breaker });
    this.content = createClient(ContentService, options.content);
    this.search = createClient(SearchService, options.search);
    this.#media = createClient(MediaService, options.media);
    this.#users = createClient(UsersService, options.users);
    this.app = fastify({
      bodyLimit: MOST_BYTES,
      forceCloseConnections: 'idle',
      return503OnClosing: false,
      requestTimeout: 10_000,
      frameworkErrors: (error, _, reply) => void this.#failed(error, reply),
    });
    this.app.addContentTypeParser(
      /^(image\/|application\/octet-stream)/,
      { parseAs: 'buffer' },
      async (_: unknown, body: Buffer) => body,
    );
    this.app.server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    // Else a client keeps the connection on which he was answered, and we wait for him.
    this.app.addHook('onSend', async (_, reply) => void (this.#leaves && reply.header('connection', 'close')));
    this.#routes();
  }

  /** @returns where it answers */
  listen(port = 0, host = '127.0.0.1'): Promise<string> {
    return this.app.listen({ host, port });
  }

  #routes(): void {
    const get = (path: string, handler: Handler) => void this.app.get(path, this.#handle(`GET ${path}`, handler));
    const post = (path: string, handler: Handler) => void this.app.post(path, this.#handle(`POST ${path}`, handler));
    get('/', async (_, __, caller) => frontPage(await this.latest(caller, 20)));
    get('/a/:slug', (request, reply, caller) => this.#article(Slug.parse(request.params).slug, reply, caller));
    get('/search', async (request, _, caller) => {
      const { q } = Query.parse(request.query);
      checkWords('q', q, 0, MOST_LETTERS);
      return searchPage(q, q.trim() === '' ? { hits: [], degraded: false } : await this.hits(caller, q));
    });
    get('/media/:id', async (request, reply, caller) => {
      const { bytes, type } = await this.#media.download(Id.parse(request.params), propagate(caller));
      // A picture can be a page as well, to whoever guesses: nobody guesses, and nothing in it runs.
      reply.header('content-security-policy', "default-src 'none'; sandbox");
      return reply.type(type).header('cache-control', 'public, max-age=31536000, immutable').send(Buffer.from(bytes));
    });
    get('/desk', async (_, reply) => {
      reply.header('content-security-policy', DESK_POLICY);
      return DESK;
    });
    get('/desk.js', async (_, reply) => reply.type('text/javascript; charset=utf-8').send(DESK_SCRIPT));
    get('/style.css', async (_, reply) => reply.type('text/css; charset=utf-8').send(STYLE));
    post('/api/login', async ({ body }, reply, caller) => {
      const { token, user } = await this.#users.login(Credentials.parse(body), propagate(caller));
      return reply.send({ token, name: user?.name, role: user?.role });
    });
    get('/api/articles', async (request, reply, caller) => {
      const user = await this.#who(request, caller);
      const { articles } = await this.content.list({ user, limit: 100 }, propagate(caller));
      return reply.send(articles.map((article) => shown(article)));
    });
    post('/api/articles', async (request, reply, caller) => {
      const user = await this.#who(request, caller);
      const { article } = await this.content.create({ user, ...Draft.parse(request.body) }, propagate(caller));
      return reply.status(201).send(shown(article));
    });
    get('/api/articles/:id', async (request, reply, caller) => {
      const user = await this.#who(request, caller);
      const { article } = await this.content.read({ user, ...Id.parse(request.params) }, propagate(caller));
      return reply.send(shown(article));
    });
    post('/api/articles/:id', async (request, reply, caller) => {
      const user = await this.#who(request, caller);
      const edit = { user, ...Id.parse(request.params), ...Edit.parse(request.body) };
      return this.#change(edit, reply, caller, () => this.content.edit(edit, propagate(caller)));
    });
    post('/api/articles/:id/:action', async (request, reply, caller) => {
      const user = await this.#who(request, caller);
      const { publishAt, revision } = Act.parse(request.body);
      const at = publishAt === undefined ? {} : { publishAt: timestampFromDate(new Date(publishAt)) };
      const act = { user, ...Step.parse(request.params), revision, ...at };
      return this.#change(act, reply, caller, () => this.content.act(act, propagate(caller)));
    });
    post('/api/media', async (request, reply, caller) => {
      await this.#who(request, caller);
      const bytes = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
      const { id } = await this.#media.upload({ bytes: new Uint8Array(bytes) }, propagate(caller));
      return reply.status(201).send({ id, url: `/media/${id}` });
    });
    this.app.setNotFoundHandler((_, reply) => this.#say(reply, 404, 'There is nothing here.'));
    this.app.setErrorHandler((error, _, reply) => this.#failed(error, reply));
  }

  /** Where a change comes too late, it is answered with the text as it is now. */
  async #change(
    { user, id }: { readonly user: Omit<User, '$typeName'>; readonly id: string },
    reply: FastifyReply,
    caller: Caller,
    change: () => Promise<ArticleResponse>,
  ): Promise<FastifyReply> {
    try {
      return reply.send(shown((await change()).article));
    } catch (error) {
      const [stale] = error instanceof ConnectError ? error.findDetails(StaleSchema) : [];
      if (stale === undefined) throw error;
      const { article } = await this.content.read({ user, id }, propagate(caller));
      const said = ConnectError.from(error).rawMessage;
      return this.#say(reply, 409, said, { changed: stale.changed, current: shown(article) });
    }
  }

  async #article(slug: string, reply: FastifyReply, caller: Caller): Promise<unknown> {
    const { found } = await this.find(slug, caller);
    // Not for ever in browsers: the address may be another text's one day.
    if (found.case === 'moved') return reply.header('cache-control', 'no-cache').redirect(`/a/${found.value}`, 301);
    if (found.case === undefined) return this.#say(reply, 404, 'There is no such text.');
    const article = found.value;
    const related = await this.related(article, caller);
    const key = `${article.id} ${article.revision}`;
    const body = this.#cleaned.get(key) ?? this.clean(article.body);
    this.#cleaned.set(key, body);
    return articlePage(listed(article), body, related);
  }

  // The steps, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** A stranger's HTML as it may stand in our page. */
  protected clean(html: string): string {
    return clean(html);
  }

  /** What is at an address, as of `cacheMs` ago at most, however often it is asked for. */
  protected async find(slug: string, caller: Caller): Promise<FindResponse> {
    // As of before it was asked: what is unpublished while the answer is on its way is no younger.
    const at = this.o.now();
    const known = this.pages.get(slug);
    if (known !== undefined && at - known.at < this.o.cacheMs) return known.found;
    const found = await this.content.find({ slug }, propagate(caller));
    if (found.found.case === undefined) this.pages.delete(slug);
    else this.pages.set(slug, { at, found });
    return found;
  }

  /** What the search finds, or the latest texts while it is away. @throws what the content service throws */
  protected async hits(caller: Caller, words: string, limit = 20, except = ''): Promise<Hits> {
    const call = async (signal: AbortSignal): Promise<Hits> => {
      const { hits } = await this.search.search({ words, limit, except }, { ...propagate(caller), signal });
      return { hits, degraded: false };
    };
    const fallback = async () => ({ hits: await this.latest(caller, limit, except), degraded: true });
    return this.breaker.run(call, { timeoutMs: this.o.searchMs, fallback, signal: caller.signal });
  }

  /** Beside a text: never a reason not to show the text. */
  protected async related(article: ArticleMessage, caller: Caller): Promise<Hits> {
    return this.hits(caller, article.title, 4, article.id).catch((error: unknown) => {
      this.o.onError(error);
      return { hits: [], degraded: true };
    });
  }

  /** @param except an article that is left out */
  protected async latest(caller: Caller, limit: number, except = ''): Promise<readonly Listed[]> {
    const { articles } = await this.content.list({ limit: except === '' ? limit : limit + 1 }, propagate(caller));
    const others = articles.filter(({ id }) => id !== except);
    return others.slice(0, limit).map(listed);
  }

  /** @throws ConnectError UNAUTHENTICATED */
  async #who(request: FastifyRequest, caller: Caller) {
    // Not a cookie, which a browser would send along with another site's form.
    const [, token = ''] = /^Bearer ([\w-]{1,200})$/i.exec(request.headers.authorization ?? '') ?? [];
    const { name, role } = await this.#users.whoIs({ token }, propagate(caller));
    return { name, role };
  }

  /** One deadline for all calls of a request, and one trace that begins here: a stranger's number is not taken on. */
  #handle(name: string, handler: Handler) {
    return (request: FastifyRequest, reply: FastifyReply) =>
      spanned(
        name,
        async (span) => {
          const gone = new AbortController();
          const leave = () => gone.abort(new ConnectError('The reader has left.', Code.Canceled));
          reply.raw.once('close', leave);
          using caller = withDeadline(this.o.requestMs, gone.signal);
          if (span.isRecording()) reply.header('x-trace-id', span.spanContext().traceId);
          secure(reply);
          try {
            const answer = await handler(request, reply, caller);
            if (typeof answer === 'string') reply.type('text/html; charset=utf-8');
            return answer;
          } catch (error) {
            return this.#failed(error, reply);
          } finally {
            reply.raw.off('close', leave);
          }
        },
        { kind: SpanKind.SERVER, from: ROOT_CONTEXT, attributes: { 'http.request.method': request.method } },
      );
  }

  #failed(thrown: unknown, reply: FastifyReply): FastifyReply {
    secure(reply);
    if (thrown instanceof z.ZodError) return this.#say(reply, 400, z.prettifyError(thrown));
    const error = thrown instanceof CmsError ? new ConnectError(thrown.message, thrown.code) : thrown;
    if (!(error instanceof ConnectError)) {
      // What fastify itself refuses: a body that is no JSON, too long, of another type.
      const status: unknown = Object(thrown).statusCode;
      if (typeof status === 'number' && status < 500) return this.#say(reply, status, 'This request can’t be read.');
      this.o.onError(thrown);
      return this.#say(reply, 500, 'Something went wrong here.');
    }
    const status = STATUS.get(error.code) ?? 500;
    if (status >= 500) this.o.onError(error);
    return this.#say(reply, status, status >= 500 ? 'This can’t be done now: try again later.' : error.rawMessage);
  }

  #say(reply: FastifyReply, status: number, words: string, more: object = {}): FastifyReply {
    secure(reply).status(status);
    const forProgram = reply.request.url.startsWith('/api/');
    if (forProgram) return reply.send({ error: words, ...more });
    return reply.type('text/html; charset=utf-8').send(messagePage(words));
  }

  /** Answers those who have asked, and ends. Who has not read his answer by then is cut off. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#leaves = true;
    const { server } = this.app;
    const cut = setTimeout(() => server.closeAllConnections(), this.o.requestMs + 1_000);
    // A browser opens some in advance, and Node waits for their first request.
    const silent = setTimeout(() => {
      for (const socket of this.#sockets) if (socket.bytesRead === 0) socket.destroy();
    }, SILENT_MS);
    await this.app.close();
    clearTimeout(cut);
    clearTimeout(silent);
  }
}

function secure(reply: FastifyReply): FastifyReply {
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache');
  return reply
    .header('content-security-policy', POLICY)
    .header('x-content-type-options', 'nosniff')
    .header('referrer-policy', 'same-origin');
}

/** The search is unwell; what it refuses is an answer. */
function isOutage(error: unknown): boolean {
  return !(error instanceof ConnectError) || error.code !== Code.InvalidArgument;
}

function listed({ slug, title, teaser, author, publishAt }: ArticleMessage): Listed {
  return { slug, title, teaser, author, ...(publishAt && { publishAt: timestampDate(publishAt) }) };
}

/** An article as the API says it. */
function shown(article: ArticleMessage | undefined): object {
  if (article === undefined) return {};
  const { id, slug, title, teaser, body, state, revision, author, publishAt } = article;
  return {
    id,
    slug,
    title,
    teaser,
    body,
    state,
    revision,
    author,
    publishAt: publishAt && timestampDate(publishAt).toISOString(),
  };
}
