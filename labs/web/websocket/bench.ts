import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { consensus } from '@shared/testkit';
import { createAdapter } from '@socket.io/redis-streams-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { ChannelLayer, type Connection, ConsumerServer, type Member } from './src/index.ts';

const CLIENTS = 200;
const NOTES = 200;
const ROUNDS = 9;
const BLOCK_MS = 200;
const body = { who: 'Ada', text: 'Market on Friday, bring baskets' };

await tell({ title: 'Fan-out: beside Socket.IO on Redis Streams', dir: import.meta.dirname }, async (story) => {
  const redis = await story.use(startRedis());
  const { url } = redis.nodes[0];
  await using bin = new AsyncDisposableStack();
  // The adapter's last read waits for this long after it was closed.
  bin.defer(() => delay(2 * BLOCK_MS));
  const listen = async () => {
    const server = createServer().listen(0, '127.0.0.1');
    bin.defer(() => void server.close());
    await once(server, 'listening');
    const address = server.address();
    return { server, at: `ws://127.0.0.1:${typeof address === 'object' ? address?.port : ''}` };
  };
  const crowd = fork(join(import.meta.dirname, 'test/crowd.ts'));
  bin.defer(() => void crowd.disconnect());
  await once(crowd, 'message', { signal: story.signal });
  const ask = async (what: Record<string, string | number>): Promise<number> => {
    crowd.send(what);
    const [count] = await once(crowd, 'message', { signal: story.signal });
    return count;
  };

  const sends: { lab: (() => unknown)[]; io: (() => unknown)[] } = { lab: [], io: [] };
  let members = 0;
  for (let hall = 0; hall < 2; hall++) {
    const { server, at } = await listen();
    const layer = bin.use(new ChannelLayer({ url, prefix: `${redis.namespace}lab:`, onError: console.error }));
    const consumer = (connection: Connection<string>) => {
      const member: Member = { deliver: ({ frame }) => connection.sendFrame(frame), resync: () => {} };
      return { connect: () => layer.join('board', member).then(() => void members++), receive: () => {} };
    };
    const settings = { server, path: '/board', origins: [], authenticate: () => 'Ada', onError: console.error };
    bin.use(new ConsumerServer({ ...settings, consumer }));
    await ask({ kind: 'lab', url: `${at}/board`, clients: CLIENTS / 2 });
    sends.lab.push(() => layer.send('board', body));
  }
  for (let hall = 0; hall < 2; hall++) {
    const { server, at } = await listen();
    const client = bin.adopt(new Redis(url), (it) => it.disconnect());
    const adapter = createAdapter(client, { streamName: `${redis.namespace}io`, blockTimeInMs: BLOCK_MS });
    const io = bin.adopt(new Server(server, { adapter, transports: ['websocket'] }), (it) => it.close());
    io.on('connection', (socket) => {
      members++;
      void socket.join('board');
    });
    await ask({ kind: 'io', url: `${at}/socket.io/?EIO=4&transport=websocket`, clients: CLIENTS / 2 });
    sends.io.push(() => io.to('board').emit('note', body));
  }
  while (members < 2 * CLIENTS) await delay(5);

  const arrived = { lab: 0, io: 0 };
  const send = async (kind: 'lab' | 'io', notes: number) => {
    // As they come in a busy chat: ten at once.
    for (let n = 0; n < notes; n += 10) {
      await Promise.all(Array.from({ length: Math.min(10, notes) }, (_, m) => sends[kind][m % 2]?.()));
    }
    const before = arrived[kind];
    arrived[kind] = await ask({ kind, wanted: before + notes * CLIENTS });
    return arrived[kind] - before;
  };
  /** Microseconds of this process for one note at one client. */
  const turn = async (kind: 'lab' | 'io') => {
    const before = process.cpuUsage();
    const came = await send(kind, NOTES);
    if (came !== NOTES * CLIENTS) throw new Error(`${came} of ${NOTES * CLIENTS} notes came by ${kind}`);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / came;
  };
  // The adapter reads from `$` until it has read something: its first notes may be lost, and a turn would wait for them.
  for (const kind of ['lab', 'io'] as const) while ((await send(kind, 2)) < 2 * CLIENTS) story.signal.throwIfAborted();

  await story.scene(`${NOTES} notes a turn to ${CLIENTS} clients of two servers`, async () => {
    const costs = { lab: [] as number[], io: [] as number[] };
    for (let round = -1; round < ROUNDS; round++) {
      for (const kind of round % 2 ? (['io', 'lab'] as const) : (['lab', 'io'] as const)) {
        const cost = await turn(kind);
        if (round >= 0) costs[kind].push(cost);
      }
    }
    const middle = (list: number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)] ?? Number.NaN;
    story.table({
      caption: 'Time of the servers’ processor for one note at one client',
      columns: ['servers', 'µs'],
      rows: [
        ['ws, the lab', middle(costs.lab).toFixed(1)],
        ['Socket.IO 4', middle(costs.io).toFixed(1)],
      ],
    });
    const { text, median } = consensus(costs.lab.map((cost, n) => cost / (costs.io[n] ?? Number.NaN)));
    story.verdict(
      'A note costs no more than three times what it costs there',
      `${text} of Socket.IO’s time`,
      median < 3,
    );
  });
});
