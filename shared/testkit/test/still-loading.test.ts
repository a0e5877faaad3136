import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { stillLoading } from '../src/still-loading.ts';

test('between it and its client a server says that it loads, whatever it says, and the rest as it is', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => socket.write(data));
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) return expect.fail('no port');
  const link = await stillLoading(`redis://:secret@127.0.0.1:${address.port}/3`);
  const { hostname, port, password, pathname } = new URL(link.url);
  expect([hostname, password, pathname]).toEqual(['127.0.0.1', 'secret', '/3']);
  const client = connect(Number(port), hostname).setEncoding('latin1');
  client.write('é\r\nloading:0\r\n', 'latin1');
  expect((await once(client, 'data'))[0]).toBe('é\r\nloading:1\r\n');
  await link[Symbol.asyncDispose]();
  await once(client, 'close');
  await expect(once(connect(Number(port), hostname), 'connect')).rejects.toThrow(/ECONNREFUSED/);
});
