import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  currentPrincipal,
  HttpError,
  type Principal,
  type RouteRequest,
  runAs,
  type ServeOptions,
  serve,
  standard,
} from '#lab';

const { buildRouter, cached, requires, route } = standard;
const HOUR = 3_600_000;

const kitchen = () => {
  class Orders {
    readonly hold = Promise.withResolvers<string>();
    readonly gone: unknown[] = [];
    @route('GET', '/orders/:id') one({ params, query }: RouteRequest<'/orders/:id'>) {
      return { id: params.id, lang: query.get('lang') };
    }
    @route('POST', '/orders') place({ body }: RouteRequest) {
      return Response.json({ placed: body }, { status: 201, headers: { location: '/orders/7' } });
    }
    @route('DELETE', '/orders/:id') cancel() {}
    @route('GET', '/address') @requires('rider') address() {
      return { to: currentPrincipal()?.name };
    }
    @requires('rider') get tip() {
      return 3;
    }
    @route('GET', '/tip') tipLater() {
      return { toJSON: () => ({ tip: this.tip }) };
    }
    @route('GET', '/tip.csv') tipStream() {
      const pull = (csv: ReadableStreamDefaultController) => {
        csv.enqueue(Buffer.from(`tip,${this.tip}`));
        csv.close();
      };
      return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), {
        headers: { 'content-type': 'text/csv' },
      });
    }
    @route('GET', '/broken') broken() {
      throw new Error('password=hunter2');
    }
    @route('GET', '/broken/:how') odd({ params: { how } }: RouteRequest<'/broken/:how'>): unknown {
      const used = new Response('read before');
      void used.text();
      const unseen = Proxy.revocable({}, {});
      unseen.revoke();
      const answers: Record<string, () => unknown> = {
        null: () => Promise.reject(null),
        unseen: () => Promise.reject(unseen.proxy),
        success: () => new HttpError(200, 'fine', 'no error at all'),
        function: () => () => {},
        used: () => used,
        network: () => Response.error(),
      };
      return answers[how]?.();
    }
    @route('GET', '/sized') sized() {
      return new Response('abc', {
        headers: { 'transfer-encoding': 'chunked', 'content-length': '999', 'keep-alive': 'timeout=999', trailer: 'x' },
      });
    }
    @route('GET', '/packed') packed() {
      return new Response(gzipSync('abc'), { headers: { 'content-encoding': 'gzip', 'content-type': 'text/plain' } });
    }
    @route('GET', '/passed-on') passedOn({ headers }: RouteRequest) {
      return fetch(`http://${headers.host}/packed`);
    }
    @route('GET', '/kept') @cached({ ttlMs: HOUR, max: 1, key: () => '' }) kept() {
      return new Response('kept', { headers: { 'content-type': 'text/plain' } });
    }
    @route('GET', '/large') large() {
      return new Response('x'.repeat(2 ** 25));
    }
    @route('GET', '/teapot') teapot() {
      throw new HttpError(418, 'teapot', 'short and stout');
    }
    @route('GET', '/slow') async slow({ signal }: RouteRequest) {
      signal.addEventListener('abort', () => this.gone.push(signal.reason));
      return this.hold.promise;
    }
    @route('GET', '/left') async left({ signal }: RouteRequest) {
      signal.addEventListener('abort', () => this.gone.push(signal.reason));
      await delay(HOUR, undefined, { signal });
    }
  }
  return new Orders();
};

const identify: ServeOptions['identify'] = async ({ headers }): Promise<Principal | undefined> => {
  const name = headers['authorization'];
  return name === undefined ? undefined : { name, can: (permission) => permission === name };
};

const start = async (options: ServeOptions = {}) => {
  const orders = kitchen();
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const server = await serve(buildRouter(orders), { identify, onError, ...options });
  onTestFinished(() => server.close());
  const get = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${server.url}${path}`, init);
    const text = await response.text();
    if (response.headers.get('content-type')?.startsWith('text/'))
      return { status: response.status, headers: response.headers, body: text };
    return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
  };
  const post = (body: string | Buffer<ArrayBuffer>, type = 'application/json') =>
    get('/orders', { method: 'POST', body, headers: { 'content-type': type } });
  return { orders, errors, server, get, post };
};

describe('the server', () => {
  test('a decorated method answers a real request', async () => {
    const { get, post } = await start();
    expect(await get('/orders/7%2F8?lang=zh')).toMatchObject({ status: 200, body: { id: '7/8', lang: 'zh' } });
    const placed = await post('{"dish":"rice"}');
    expect(placed).toMatchObject({ status: 201, body: { placed: { dish: 'rice' } } });
    expect(placed.headers.get('location')).toBe('/orders/7');
    expect(await post(''), 'no body').toMatchObject({ status: 201, body: {} });
    expect(await get('/orders/7', { method: 'DELETE' })).toMatchObject({ status: 204, body: undefined });
    const head = await get('/orders/7', { method: 'HEAD' });
    expect([head.status, head.body, head.headers.get('content-length')]).toEqual([200, undefined, '22']);
  });

  test('an unknown path is 404, a known one under another verb 405 with what it allows', async () => {
    const { get } = await start();
    expect((await get('/nowhere')).status).toBe(404);
    const refused = await get('/orders/7', { method: 'PUT' });
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'DELETE, GET, HEAD, OPTIONS']);
    const asked = await get('/orders', { method: 'OPTIONS' });
    expect([asked.status, asked.headers.get('allow')]).toEqual([204, 'POST, OPTIONS']);
  });

  test('what the client got wrong is its own 4xx', async () => {
    const { get, post, errors } = await start({ maxBodyBytes: 1_000 });
    expect((await get('/orders/100%')).status, 'a percent sign that encodes nothing').toBe(400);
    expect((await post('{"dish":')).status, 'half a JSON').toBe(400);
    expect((await post(Buffer.from([0x22, 0xff, 0x22]))).status, 'no UTF-8').toBe(400);
    expect((await post('dish=rice', 'text/plain')).status, 'no JSON').toBe(415);
    expect((await post(JSON.stringify('x'.repeat(998)))).status, 'as long as may be').toBe(201);
    expect((await post(JSON.stringify('x'.repeat(999)))).status, 'too long').toBe(413);
    const stream = () => ReadableStream.from([Buffer.alloc(900, '1'), Buffer.alloc(900, '1')]);
    const headers = { 'content-type': 'application/json' };
    const chunked = await get('/orders', { method: 'POST', body: stream(), duplex: 'half', headers });
    expect(chunked.status, 'too long, and nobody said so before').toBe(413);
    const { post: inFull } = await start();
    expect((await inFull(`"${'x'.repeat(2 ** 20)}"`)).status, 'above a mebibyte').toBe(413);
    expect(await get('/teapot')).toMatchObject({ status: 418, body: { error: { code: 'teapot' } } });
    expect(errors).toEqual([]);
  });

  test('who goes on sending what was refused is cut off', async () => {
    const { server } = await start({ maxBodyBytes: 1_000 });
    const chunk = `${(2 ** 16).toString(16)}\r\n${'1'.repeat(2 ** 16)}\r\n`;
    const refused = async (path: string, status: string) => {
      const socket = connect(Number(new URL(server.url).port), '127.0.0.1');
      onTestFinished(() => void socket.destroy());
      let [answer, sent] = ['', 0];
      socket.on('data', (text) => {
        answer += text;
      });
      socket.on('error', () => {});
      const closed = new Promise((resolve) => socket.once('close', resolve));
      const pour = () => {
        while (!socket.destroyed && socket.write(chunk)) sent += chunk.length;
      };
      socket.on('drain', pour);
      socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n`);
      socket.write('transfer-encoding: chunked\r\n\r\n');
      pour();
      await closed;
      expect(answer).toContain(status);
      expect(sent, 'bytes taken').toBeLessThan(2 ** 27);
    };
    await Promise.all([refused('/orders', '413'), refused('/nowhere', '404')]);
  });

  test('a guard answers 401 to nobody, 403 to the wrong one, and runs in the name of the caller', async () => {
    // Whoever starts the server is nobody to its callers.
    const admin: Principal = { name: 'admin', can: () => true };
    const { get } = await runAs(admin, () => start());
    const as = (name: string) => get('/address', { headers: { authorization: name } });
    const nobody = await get('/address');
    expect([nobody.status, nobody.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
    expect((await as('guest')).status).toBe(403);
    expect(await as('rider')).toMatchObject({ status: 200, body: { to: 'rider' } });
  });

  test('what a handler leaves for later, a toJSON or a stream, runs in the name of the caller too', async () => {
    const { get } = await start();
    const rider = { headers: { authorization: 'rider' } };
    expect(await get('/tip', rider)).toMatchObject({ status: 200, body: { tip: 3 } });
    expect(await get('/tip.csv', rider)).toMatchObject({ status: 200, body: 'tip,3' });
    expect((await get('/tip', { headers: { authorization: 'guest' } })).status).toBe(403);
    expect((await get('/tip.csv')).status).toBe(401);
  });

  test('an error of ours is a bare 500, and is reported here', async () => {
    const { get, errors } = await start();
    const answer = await get('/broken');
    expect(answer.status).toBe(500);
    expect(JSON.stringify(answer.body)).not.toContain('hunter2');
    expect(errors).toEqual([new Error('password=hunter2')]);
    for (const how of ['null', 'unseen', 'success', 'function', 'used', 'network']) {
      expect((await get(`/broken/${how}`)).status, how).toBe(500);
    }
    expect(errors.length).toBe(7);
    const sized = await get('/sized');
    expect(sized.body, 'its length is what it has').toBe('abc');
    expect(sized.headers.get('keep-alive'), 'of another connection').not.toBe('timeout=999');
    expect((await get('/packed')).body, 'what is packed stays so').toBe('abc');
    expect((await get('/passed-on')).body, 'what fetch gave is passed on').toBe('abc');
    expect((await get('/orders/7')).status, 'and the server lives').toBe(200);
  });

  test('a Response that is cached is sent to each who asks', async () => {
    const { get } = await start();
    const first = await get('/kept');
    const others = await Promise.all([get('/kept'), get('/kept')]);
    expect([first, ...others].map(({ body }) => body)).toEqual(['kept', 'kept', 'kept']);
  });

  test('an onError that throws is a warning, and the client still has its answer', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    onTestFinished(() => warned.mockRestore());
    const fail = () => {
      throw new Error('the log is full');
    };
    for (const onError of [fail, async () => fail()]) {
      const { get } = await start({ onError });
      expect((await get('/broken', { signal: AbortSignal.timeout(4_000) })).status).toBe(500);
    }
    await until(() => warned.mock.calls.length === 2);
    expect(String(warned.mock.calls[1])).toContain('the log is full');
  });

  test('a closing server finishes the answers on their way, and takes no more', async () => {
    const { server, get, orders } = await start();
    const waiting = get('/slow');
    const unused = connect(Number(new URL(server.url).port));
    unused.on('error', () => {});
    await once(unused, 'connect');
    await until(async () => (await get('/orders/1')).status === 200);
    const slow = connect(Number(new URL(server.url).port));
    slow.write('GET /large HTTP/1.1\r\nhost: x\r\n\r\n');
    const [begun]: Buffer[] = await once(slow, 'data');
    slow.pause();
    const closing = server.close();
    let read = begun?.length ?? 0;
    slow.on('data', ({ length }: Buffer) => {
      read += length;
    });
    slow.resume();
    await once(slow, 'close');
    expect(read, 'an answer that was half out').toBeGreaterThan(2 ** 25);
    await expect(get('/orders/7')).rejects.toThrow('fetch failed');
    orders.hold.resolve('served');
    expect(await waiting).toMatchObject({ status: 200, body: 'served' });
    await closing;
    await server.close();
  });

  test('a closing server answers all that one connection has asked', async () => {
    let asked = 0;
    const { server, orders } = await start({ identify: () => void asked++ });
    const client = connect(Number(new URL(server.url).port));
    client.setEncoding('utf8');
    client.write(['/slow', '/orders/7', '/slow'].map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`).join(''));
    await until(() => asked === 3);
    const closing = server.close();
    orders.hold.resolve('served');
    const answers = (await Array.fromAsync(client)).join('').match(/served|"id":"7"/g);
    expect(answers, 'in the order of the requests').toEqual(['served', '"id":"7"', 'served']);
    await closing;
  });

  test('a request that never ends holds up a closing server no longer than the drain', async () => {
    const { server, get, orders } = await start({ drainMs: 30 });
    const waiting = get('/slow').catch(() => 'cut');
    await until(async () => (await get('/orders/1')).status === 200);
    await server.close();
    expect(await waiting).toBe('cut');
    orders.hold.resolve('too late');
  });

  test('a handler hears of a client that has gone', async () => {
    let asked = 0;
    const { server, orders, errors } = await start({ identify: () => void asked++ });
    const clients = ['GET /slow', 'GET /left', 'POST /orders'].map((line) => {
      const client = connect(Number(new URL(server.url).port));
      client.write(`${line} HTTP/1.1\r\nhost: x\r\n${line.startsWith('POST') ? 'content-length: 9\r\n' : ''}\r\n`);
      return client;
    });
    await until(() => asked === 3);
    for (const client of clients) client.destroy();
    await until(() => orders.gone.length === 2);
    expect(orders.gone).toEqual([new Error('the client has gone'), new Error('the client has gone')]);
    const fault = new Error('the database is full');
    orders.hold.reject(fault);
    await server.close();
    expect(errors, 'what went wrong here is told, and not that somebody left').toEqual([fault]);
  });
});
