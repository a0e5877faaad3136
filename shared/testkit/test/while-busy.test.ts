import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { whileBusy } from '../src/while-busy.ts';

test('a script runs from before the work until after it, whether it fails or not, and then all is as it was', async () => {
  const heard: string[] = [];
  let running: Socket | undefined;
  const answer = (socket: Socket, command: string): string => {
    heard.push(command);
    if (command.startsWith('EVAL')) running = socket;
    if (command.startsWith('EVAL')) return '';
    if (command === 'SCRIPT KILL') running?.write('-ERR killed\r\n');
    // It is asked more often than once.
    return command === 'PING' && heard.filter((each) => each === 'PING').length > 1 ? '-BUSY\r\n' : '+OK\r\n';
  };
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (data) => socket.write(answer(socket, String(data).trim())));
  });
  onTestFinished(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) return expect.fail('no port');
  const work = async () => heard.push('the work');
  await whileBusy(`redis://127.0.0.1:${address.port}/3`, work);
  const set = 'CONFIG SET lua-time-limit';
  // They are on two connections: the order of their arrival is not that of their questions.
  expect(heard.toSorted()).toEqual(
    [`${set} 1`, 'EVAL "while true do end" 0', 'PING', 'PING', 'the work', 'SCRIPT KILL', `${set} 5000`].toSorted(),
  );
  expect(heard.slice(-3)).toEqual(['the work', 'SCRIPT KILL', `${set} 5000`]);
  heard.length = 0;
  const failing = whileBusy(`redis://127.0.0.1:${address.port}`, () => Promise.reject(new Error('it failed')));
  await expect(failing).rejects.toThrow('it failed');
  expect(heard.slice(-2)).toEqual(['SCRIPT KILL', `${set} 5000`]);
});
