import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { startRedis } from '@shared/services';
import { describeWith, outcome, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { ChannelLayer, UnavailableError } from '#lab';

await describeWith('the line to Redis', { redis: () => startRedis() }, ({ redis }) => {
  const [node] = redis.nodes;

  test('a connection that leads to a replica, or nowhere without a word, is made anew', async ({ skip }) => {
    skip(!redis.faults, 'it makes a server a replica, and this one is not ours');
    /** Both ends of each connection that was made. */
    const lines: [Socket, Socket][] = [];
    const relay = createServer((near) => {
      const far = connect(node.port, node.host);
      for (const each of [near, far]) each.on('error', () => {});
      near.pipe(far).pipe(near);
      lines.push([near, far]);
    }).listen(0, '127.0.0.1');
    await once(relay, 'listening');
    const { port } = relay.address() as AddressInfo;
    const layer = new ChannelLayer({ url: `redis://127.0.0.1:${port}`, prefix: redis.namespace, onError: () => {} });
    const admin = new Redis(node.url);
    onTestFinished(async () => {
      admin.disconnect();
      await layer.close();
      relay.close();
      for (const each of lines.flat()) each.destroy();
    });
    const arrives = async () => (await outcome(layer.send('board', 1))).value;
    await arrives();
    const before = lines.length;
    await admin.replicaof('127.0.0.1', 1);
    expect((await outcome(layer.send('board', 2))).error, 'a replica').toBeInstanceOf(UnavailableError);
    await until(() => lines.length > before, { what: 'another connection, after READONLY' });
    await admin.replicaof('NO', 'ONE');
    await until(arrives, { what: 'a note that is taken again' });
    for (const [near, far] of lines) near.unpipe(far);
    expect((await outcome(layer.send('board', 3), 5000)).error, 'silence').toBeInstanceOf(UnavailableError);
    await until(arrives, { timeoutMs: 1500, what: 'a note by another connection, after a silence of two seconds' });
  });
});
