import { createHmac, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  ChannelLayer,
  type Connection,
  type Consumer,
  ConsumerServer,
  type JsonValue,
  type Member,
  Presence,
} from '#lab';
import { page } from './page.ts';

const BOARD = 'board';

export interface HallOptions {
  readonly redis: string;
  readonly prefix: string;
  /** The same in all halls: what one has signed, the others believe. */
  readonly secret: string;
  readonly port?: number;
  readonly origins?: (own: string) => string[];
  readonly ttlMs?: number;
}

/** A town hall: a page, and a notice board that it shares with the other halls. */
export async function openHall(options: HallOptions, Layer = ChannelLayer, People = Presence) {
  const { redis: url, prefix, secret, port = 0, origins = (own) => [own], ttlMs = 600 } = options;
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const sign = (name: string) => createHmac('sha256', secret).update(name).digest('base64url');
  const server = createServer((request, response) => {
    const { searchParams, pathname } = new URL(request.url ?? '/', 'http://hall');
    if (pathname !== '/') return void response.writeHead(404).end();
    const nonce = randomBytes(16).toString('base64');
    const name = searchParams.get('as');
    // An example's login: it believes whoever says a name.
    if (name)
      response.setHeader('Set-Cookie', `who=${encodeURIComponent(name)}.${sign(name)}; HttpOnly; SameSite=Strict`);
    response.setHeader(
      'Content-Security-Policy',
      `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'`,
    );
    response.setHeader('Content-Type', 'text/html; charset=utf-8').end(page.replaceAll('NONCE', nonce));
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const address = server.address() as AddressInfo;
  const own = `http://127.0.0.1:${address.port}`;
  const layer = new Layer({ url, prefix, onError });
  const presence = new People({ url, prefix, ttlMs, onError });
  const authenticate = ({ headers }: IncomingMessage) => {
    const [, name = '', signature] = /(?:^|; )who=([^.;]+)\.([\w-]+)/.exec(headers.cookie ?? '') ?? [];
    const who = decodeURIComponent(name);
    return signature !== undefined && signature === sign(who) ? who : undefined;
  };
  const sockets = new ConsumerServer({
    server,
    path: '/board',
    origins: origins(own),
    authenticate,
    consumer: (connection) => notes(connection, layer, presence),
    heartbeatMs: 5000,
    patienceMs: 300,
    onError,
  });
  const close = async () => {
    await sockets.close();
    await Promise.all([layer.close(), presence.close()]);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url: own, sockets, layer, presence, errors, close, [Symbol.asyncDispose]: close };
}

/** One reader of the board. `join` comes first; what is said is answered with `said`, or with `refused`. */
function notes(connection: Connection<string>, layer: ChannelLayer, presence: Presence): Consumer {
  const member: Member = {
    deliver: (message) => connection.sendFrame(message.frame),
    resync: (group) => connection.send({ type: 'resync', group }),
    drained: () => connection.drained(),
  };
  let here: Promise<() => Promise<void>> | undefined;
  const enter = async (after: JsonValue | undefined) => {
    const at = await layer.join(BOARD, member, typeof after === 'string' ? { after } : { after: '0-0' });
    const entry = await presence.enter(BOARD, connection.user);
    connection.send({ type: 'joined', at, you: connection.user, here: await presence.list(BOARD) });
    return () => presence.leave(entry);
  };
  return {
    async receive(content) {
      const { type, text, ref = null, after } = isRecord(content) ? content : {};
      if (type === 'join') {
        here ??= enter(after);
        await here;
      } else if (type === 'say' && typeof text === 'string' && text.length <= 2000) {
        await layer.send(BOARD, { who: connection.user, text }).then(
          (id) => connection.send({ type: 'said', ref, id }),
          () => connection.send({ type: 'refused', ref }),
        );
      } else if (type === 'who') {
        connection.send({ type: 'here', here: await presence.list(BOARD) });
      } else {
        connection.close(4400, 'join, say or who');
      }
    },
    async disconnect() {
      layer.leave(BOARD, member);
      const leave = await here?.catch(() => undefined);
      await leave?.();
    },
  };
}

const isRecord = (value: JsonValue): value is { readonly [key: string]: JsonValue } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
