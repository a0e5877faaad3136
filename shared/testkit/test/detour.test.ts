import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { detour } from '../src/detour.ts';

/** A server that says its name, then what it hears; and says goodbye at the end. */
async function parrot(name: string) {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}).write(`${name}: `);
    socket.on('data', (bytes) => socket.write(bytes)).on('end', () => socket.end('bye'));
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') return expect.fail('no port');
  return { host: '127.0.0.1', port: address.port };
}

/** All that comes for `words` until the other side has ended. */
async function told(port: number, words: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  socket.setEncoding('latin1').end(words, 'latin1');
  return (await socket.toArray()).join('');
}

test('bytes go both ways as they are, or in other words, and each side hears of the other’s end', async () => {
  const far = await parrot('a');
  const bytes = String.fromCharCode(0, 127, 128, 255);
  await using plain = await detour(() => far);
  expect(await told(plain.port, bytes)).toBe(`a: ${bytes}bye`);
  await using reworded = await detour(() => far, {
    asked: (said) => said.replace('x', 'y'),
    answered: (said) => said.replaceAll('a', 'A').replaceAll('y', 'Y'),
  });
  expect(await told(reworded.port, `x${bytes}`)).toBe(`A: Y${bytes}bYe`);
});

test('each connection goes where it leads by then, and is broken alone', async () => {
  const [first, second] = [await parrot('first'), await parrot('second')];
  let to = first;
  await using way = await detour(() => to);
  expect(await told(way.port, '1')).toBe('first: 1bye');
  to = second;
  expect(await told(way.port, '2')).toBe('second: 2bye');
  const [one, other] = [connect(way.port, '127.0.0.1'), connect(way.port, '127.0.0.1')];
  onTestFinished(() => void other.destroy());
  await Promise.all([once(one, 'data'), once(other, 'data')]);
  const ended = once(one, 'close');
  const line = way.lines.find(([near]) => near.remotePort === one.localPort);
  line?.[1].destroy();
  await ended;
  other.write('still there');
  expect(String(await once(other, 'data'))).toBe('still there');
});

test('a URL keeps all but its host and port; and at the end nothing is left open', async () => {
  const way = await detour(await parrot('a').then((far) => () => far));
  expect(way.url('redis://:secret@db.example:6379/2')).toBe(`redis://:secret@127.0.0.1:${way.port}/2`);
  const client = connect(way.port, '127.0.0.1');
  await once(client, 'data');
  const closed = once(client, 'close');
  await way[Symbol.asyncDispose]();
  await closed;
  const late = connect(way.port, '127.0.0.1');
  await expect(once(late, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});
