import { setTimeout as delay } from 'node:timers/promises';
import { type FastifyRequest, fastify } from 'fastify';
import type { Pool } from 'pg';
import {
  accessTokenGuard,
  PkceLogin,
  RefreshRefusedError,
  RefreshTokens,
  readCookie,
  requireScope,
  Sessions,
  setCookie,
  singleFlight,
} from '#lab';
import { discover } from './client.ts';
import { AUDIENCE, type Provider } from './provider.ts';

export interface HotelOptions {
  readonly pool: Pool;
  /** Started with the address that it is given, and closed by whoever started it. */
  readonly desk: (redirectUri: string) => Promise<Provider>;
  readonly graceMs?: number;
  /** One refresh at a time, in the page. Default true. */
  readonly oneAtATime?: boolean;
  /** Milliseconds that the answer to a refresh is under way. Default 0. */
  readonly answerMs?: number;
  /** Each line that the hotel logs. */
  readonly log?: (line: string) => void;
}

const REFRESH = '__Host-refresh';

/** The hotel's app: it sends its guests to the desk, and gives them a session and a refresh token when they come back. */
export async function openHotel(options: HotelOptions) {
  const { pool, desk, graceMs = 0, oneAtATime = true, answerMs = 0, log = () => {} } = options;
  const app = fastify({
    forceCloseConnections: true,
    logger: {
      level: 'debug',
      stream: { write: log },
      // Codes and states are in query strings.
      serializers: { req: ({ method, url }) => ({ method, path: url.split('?', 1)[0] }) },
    },
  });
  const sessions = new Sessions({ pool });
  const refresh = new RefreshTokens({ pool, graceMs });
  const rotate = async (token: string) => {
    try {
      return await refresh.rotate(token);
    } finally {
      await delay(answerMs);
    }
  };
  const cookieOf = ({ headers }: FastifyRequest) => headers.cookie;
  let ready: { readonly guard: ReturnType<typeof accessTokenGuard>; readonly login: PkceLogin } | undefined;
  const parts = () => {
    if (ready) return ready;
    throw new Error('not open yet');
  };

  app.get<{ Querystring: { to?: string } }>('/login', async (request, reply) => {
    const { url, setCookie: line } = await parts().login.begin(cookieOf(request), request.query.to);
    return reply.header('set-cookie', line).redirect(url.href);
  });
  app.get('/callback', async (request, reply) => {
    const search = request.url.slice(request.url.indexOf('?'));
    const { sub, returnTo } = await parts().login.finish(cookieOf(request), search);
    const lines = [
      await sessions.start(sub, cookieOf(request)),
      setCookie(REFRESH, await refresh.issue(sub), 86_400_000),
    ];
    return reply.header('set-cookie', lines).redirect(returnTo);
  });
  app.post('/refresh', async (request, reply) => {
    const next = await rotate(readCookie(cookieOf(request), REFRESH) ?? '');
    return reply.header('set-cookie', setCookie(REFRESH, next.token, 86_400_000)).send({ sub: next.sub });
  });
  app.post('/logout', async (request, reply) => {
    await refresh.revoke(readCookie(cookieOf(request), REFRESH) ?? '');
    return reply.header('set-cookie', await sessions.end(cookieOf(request))).send({});
  });
  app.get('/door', async (request) => {
    const access = await parts().guard(request.headers.authorization);
    requireScope(access, 'door:open');
    return { open: access.sub };
  });
  app.get('/me', async (request, reply) => {
    const sub = await sessions.find(cookieOf(request));
    return sub === undefined ? reply.code(401).send({ sub: null }) : { sub };
  });
  app.get('/room', async (request, reply) => {
    const sub = await sessions.find(cookieOf(request));
    return reply.type('text/html').send(page(sub, oneAtATime));
  });
  app.setErrorHandler((error, request, reply) => {
    request.log.error(error);
    if (error instanceof RefreshRefusedError) reply.header('set-cookie', setCookie(REFRESH, '', 0));
    return reply.send(error);
  });

  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  const provider = await desk(`${url}/callback`);
  const configuration = await discover(provider);
  const { issuer, jwksUri } = provider;
  ready = {
    guard: accessTokenGuard({ issuer, jwksUri, audience: AUDIENCE, algs: ['ES256'], cooldownMs: 100 }),
    login: new PkceLogin({
      pool,
      provider: configuration,
      redirectUri: `${url}/callback`,
      scope: 'openid door:open',
      resource: AUDIENCE,
    }),
  };
  const { guard, login } = ready;
  return { app, url, provider, guard, login, sessions, refresh, [Symbol.asyncDispose]: () => app.close() };
}

const escaped = (text: string) => text.replace(/[&<>"']/g, (it) => `&#${it.codePointAt(0)};`);

function page(sub: string | undefined, oneAtATime: boolean): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Your room</title><style>
:root { color-scheme: light dark } body { font: 1rem/1.5 system-ui; margin: 2rem auto; max-width: 30rem; padding: 0 1rem }
button { font: inherit; padding: .5rem 1rem }</style>
<h1>Hotel Zur Karte</h1>
${sub === undefined ? '<p>Nobody is logged in. <a href="/login?to=/room">Go to the desk</a></p>' : `<p>Welcome, ${escaped(sub)}.</p>`}
<button>Renew my card</button> <output></output>
<script type="module">
const singleFlight = ${singleFlight};
const post = async () => {
  const response = await fetch('/refresh', { method: 'POST', signal: AbortSignal.timeout(10000) });
  return response.status;
};
window.renew = ${oneAtATime ? 'singleFlight(post, navigator.locks)' : 'post'};
document.querySelector('button').onclick = async () => {
  document.querySelector('output').value = (await window.renew()) === 200 ? 'renewed' : 'logged out';
};
</script></html>`;
}
