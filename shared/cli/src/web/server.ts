import { learnKeys, type Message, type RunRequest } from '@shared/web';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { CommandError, UsageError } from '../errors.ts';
import { isRecord, type Lab } from '../labs.ts';
import { type Known, labData, mapData } from './data.ts';
import { contentType, type Files, html } from './files.ts';
import { Runs, TooManyRunsError } from './runs.ts';

export interface WebOptions {
  readonly labs: () => Promise<readonly Lab[]>;
  readonly known: () => Promise<Known>;
  /** The page's own files. */
  readonly files: Files;
  /** 0: a free one. */
  readonly port: number;
  /** Is given what a demo told, to its end. */
  readonly told?: (lab: Lab, messages: readonly Message[]) => void;
}

export interface WebServer extends AsyncDisposable {
  /** `http://127.0.0.1:40123/` */
  readonly url: string;
}

/**
 * Serves the pages to this machine alone. They start programs, so nobody else may ask: not another host that points its
 * name at us (DNS rebinding), nor a page of another origin (CSRF).
 */
export async function serve(options: WebOptions): Promise<WebServer> {
  const runs = new Runs(options.told);
  const app = Fastify({ bodyLimit: 10_000, forceCloseConnections: true });
  // What a form of another page could send without asking.
  app.removeContentTypeParser('text/plain');
  guard(app);
  pages(app, options);
  api(app, options, runs);
  const url = `${await app.listen({ host: '127.0.0.1', port: options.port }).catch(notOurs(options.port))}/`;
  return {
    url,
    async [Symbol.asyncDispose]() {
      await runs.close();
      await app.close();
    },
  };
}

const notOurs =
  (port: number) =>
  (error: unknown): never => {
    const taken = isRecord(error) && error['code'] === 'EADDRINUSE';
    const denied = isRecord(error) && error['code'] === 'EACCES';
    if (!taken && !denied) throw error;
    const why = taken ? 'is taken' : 'is not for everybody';
    throw new CommandError(`port ${port} ${why}: name another, or none for a free one`, { cause: error });
  };

const headers = {
  // The page's charts are images of its own, and its diagrams bring their styles along.
  'content-security-policy':
    "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
} as const;

/** Who asks must have come to us by our own address, from nowhere or from our own pages. */
function guard(app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(headers);
    const address = request.socket.address();
    const port = 'port' in address ? address.port : 0;
    const hosts = [`127.0.0.1:${port}`, `localhost:${port}`];
    const { host, origin } = request.headers;
    if (host === undefined || !hosts.includes(host)) {
      return refuse(reply, `this page answers at http://${hosts[0]}/ alone, not at ${JSON.stringify(host)}`);
    }
    if (origin !== undefined && !hosts.some((each) => origin === `http://${each}`))
      return refuse(reply, `a page of ${JSON.stringify(origin)} may ask nothing here`);
    const site = request.headers['sec-fetch-site'];
    const asksForPage = request.headers['sec-fetch-mode'] === 'navigate' && request.method === 'GET';
    if ((site === 'cross-site' || site === 'same-site') && !asksForPage)
      return refuse(reply, 'another site may ask nothing here');
    // A form of another page sends neither an origin we know nor JSON; a browser that sends no origin is not one.
    if (request.method !== 'GET' && request.method !== 'HEAD' && origin === undefined)
      return refuse(reply, 'who changes something must say where it comes from (the header "origin")');
    return undefined;
  });
}

const refuse = (reply: FastifyReply, error: string): FastifyReply => reply.code(403).send({ error });

function pages(app: FastifyInstance, { files }: WebOptions): void {
  const index = html({ live: true });
  app.get('/', (_, reply) => reply.type(contentType('index.html')).send(index));
  for (const [name, content] of files) app.get(`/${name}`, (_, reply) => reply.type(contentType(name)).send(content));
}

interface ById {
  readonly Params: { readonly id: string };
}

function api(app: FastifyInstance, { labs, known }: WebOptions, runs: Runs): void {
  const labNamed = async (name: string): Promise<Lab> => {
    const lab = (await labs()).find((each) => each.name === name);
    if (lab === undefined) throw new UsageError(`there is no lab ${JSON.stringify(name)}`);
    return lab;
  };
  app.setErrorHandler((error, _, reply) => {
    const code = statusOf(error);
    const said = error instanceof Error ? error.message : String(error);
    return reply.code(code).send({ error: said });
  });
  app.get('/api/map', async () => mapData(await labs(), await known()));
  app.get<{ Params: { name: string } }>('/api/labs/:name', async ({ params }) =>
    labData(await labNamed(params.name), await known()),
  );
  app.post('/api/runs', async ({ body }) => {
    const request = toRequest(body);
    return { id: await runs.start(await labNamed(request.lab), request) };
  });
  app.get<ById>('/api/runs/:id/messages', (request, reply) => stream(request, reply, runs));
  app.post<ById>('/api/runs/:id/keys', async ({ params, body }, reply) => {
    const key = isRecord(body) ? learnKeys.find((each) => each === body['key']) : undefined;
    if (key === undefined) throw new UsageError(`"key" must be one of ${learnKeys.join(', ')}`);
    return runs.press(params.id, key) ? reply.code(204).send() : gone(reply);
  });
  app.delete<ById>('/api/runs/:id', async ({ params }, reply) =>
    (await runs.stop(params.id)) ? reply.code(204).send() : gone(reply),
  );
}

const gone = (reply: FastifyReply): FastifyReply => reply.code(404).send({ error: 'there is no such run (any more)' });

function statusOf(error: unknown): number {
  if (error instanceof UsageError) return 400;
  if (error instanceof TooManyRunsError) return 429;
  return isRecord(error) && typeof error['statusCode'] === 'number' ? error['statusCode'] : 500;
}

/** Server-sent events; a connection that breaks goes on where it was. */
function stream(request: FastifyRequest<ById>, reply: FastifyReply, runs: Runs): void {
  const last = Number(request.headers['last-event-id'] ?? -1);
  const { raw } = reply;
  const early: (() => void)[] = [];
  let open = false;
  const send = (message: Message, place: number): void => {
    const text = `id: ${place}\ndata: ${JSON.stringify(message)}\n\n`;
    const write = (): void => void (message.type === 'ended' ? raw.end(text) : raw.write(text));
    if (open) write();
    else early.push(write);
  };
  const leave = runs.follow(request.params.id, Number.isSafeInteger(last) ? last + 1 : 0, send);
  if (leave === undefined) {
    void gone(reply);
    return;
  }
  reply.hijack();
  raw.writeHead(200, { ...headers, 'content-type': 'text/event-stream; charset=utf-8' });
  open = true;
  for (const write of early) write();
  raw.once('close', leave);
}

/** @throws {UsageError} saying which field is wrong. */
function toRequest(body: unknown): RunRequest {
  const wrong = (what: string): never => {
    throw new UsageError(what);
  };
  if (!isRecord(body)) return wrong('a run is asked for with JSON: { kind, lab, … }');
  const word = (field: string): string | undefined => {
    const value = body[field];
    return value === undefined || typeof value === 'string' ? value : wrong(`"${field}" must be a string`);
  };
  const lab = word('lab') ?? wrong('"lab" is missing');
  switch (body['kind']) {
    case 'demo': {
      const { seed } = body;
      if (seed !== undefined && !(typeof seed === 'number' && Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32))
        return wrong(`"seed" must be a whole number from 0 to ${2 ** 32 - 1}`);
      const example = word('example');
      return {
        kind: 'demo',
        lab,
        ...(example === undefined ? {} : { example }),
        ...(typeof seed === 'number' ? { seed } : {}),
      };
    }
    case 'suite': {
      const [pitfall, law] = [word('pitfall'), word('law')];
      return {
        kind: 'suite',
        lab,
        ...(pitfall === undefined ? {} : { pitfall }),
        ...(law === undefined ? {} : { law }),
      };
    }
    case 'learn':
      return { kind: 'learn', lab };
    default:
      return wrong('"kind" must be demo, suite or learn');
  }
}
