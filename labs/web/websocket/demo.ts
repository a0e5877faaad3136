import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { WebSocket } from 'ws';
import { ConsumerServer as BuffersWithoutEnd } from './pitfalls/buffers-without-end.ts';
import { ConsumerServer as AnyOrigin } from './pitfalls/origin-unchecked.ts';
import { ConsumerServer as PingsForNothing } from './pitfalls/pings-for-nothing.ts';
import { ChannelLayer, ConsumerServer, type ConsumerServerOptions, type Message } from './src/index.ts';

const options = {
  title: 'WebSocket 实时通信',
  subtitle: 'One notice board in two town halls, and who reads what is pinned up',
  dir: import.meta.dirname,
};
const numbers = (n: number) => Array.from({ length: n }, (_, index) => index);
const MB = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
const TTL_MS = 600;

await tell(options, async (story) => {
  const redis = await story.use(startRedis());
  const url = redis.nodes[0].url;
  await using bin = new AsyncDisposableStack();
  let villages = 0;
  const prefixOf = () => `${redis.namespace}village${++villages}:`;

  /** A hall in a process of its own. */
  const hall = async (prefix: string, naive: boolean) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'test/hall.ts')], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    bin.defer(() => void child.kill('SIGKILL'));
    child.stdin.end(JSON.stringify({ redis: url, prefix, secret: 'seal', ttlMs: TTL_MS, naive }));
    const [line] = await once(child.stdout, 'data', { signal: story.signal });
    return { url: `${line}`.trim(), child };
  };
  /** A reader in front of a hall's page; `last` is the id of the last note that was read. */
  const reader = async (hallUrl: string, who: string, after?: string) => {
    const login = await fetch(`${hallUrl}/?as=${who}`);
    const cookie = login.headers.get('set-cookie')?.split(';')[0] ?? '';
    const socket = new WebSocket(`${hallUrl.replace('http', 'ws')}/board`, { headers: { cookie }, origin: hallUrl });
    bin.defer(() => socket.terminate());
    const self = { socket, notes: [] as string[], resyncs: 0, last: after, here: [] as string[] };
    const joined = Promise.withResolvers<void>();
    socket.on('message', (data) => {
      const message = JSON.parse(String(data));
      if (message.type === 'message') self.notes.push(message.body.text);
      if (message.type === 'resync') self.resyncs++;
      if (message.here) self.here = message.here;
      self.last = message.id ?? message.at ?? self.last;
      if (message.type === 'joined') joined.resolve();
    });
    socket.on('error', joined.reject);
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'join', after }));
    await joined.promise;
    return self;
  };
  const pin = (by: { socket: WebSocket } | undefined, text: string) =>
    by?.socket.send(JSON.stringify({ type: 'say', text }));

  await story.scene('Two halls, and half of the village', async () => {
    story.say(
      'Two processes, ten readers in front of each. Fifty notes are pinned up, half of them in each hall. First with groups that are a list in each process, then with groups in Redis.',
    );
    const run = async (naive: boolean) => {
      const prefix = prefixOf();
      const halls = await Promise.all([hall(prefix, naive), hall(prefix, naive)]);
      const readers = await Promise.all(numbers(20).map((n) => reader(halls[n % 2]?.url ?? '', `reader${n}`)));
      for (const n of numbers(50)) pin(readers[n % 2], `note ${n}`);
      const wanted = naive ? 25 : 50;
      await until(() => readers.every(({ notes }) => notes.length >= wanted), { what: 'the notes' }).catch(() => {});
      const heard = readers.reduce((sum, { notes }) => sum + notes.length, 0);
      const orders = new Set(readers.map(({ notes }) => notes.join())).size;
      for (const { child } of halls) child.kill('SIGKILL');
      return { heard, missed: 1000 - heard, orders };
    };
    const naive = await run(true);
    const layer = await run(false);
    story.table({
      columns: ['groups', 'to be heard', 'heard', 'missed', 'orders'],
      rows: [
        ['in each process', 1000, naive.heard, naive.missed, naive.orders],
        ['in Redis', 1000, layer.heard, layer.missed, layer.orders],
      ],
    });
    story.verdict(
      'A list in each process leaves out who stands in front of the other one',
      `${naive.missed / 10} % missed`,
      naive.missed === 500,
    );
    story.verdict(
      'With groups in Redis all hear all, in one order',
      `${layer.missed} missed, ${layer.orders} order`,
      layer.missed === 0 && layer.orders === 1,
    );
  });

  await story.scene('The line to Redis is cut, five times', async () => {
    story.say(
      'One process sends a thousand notes. Another one hears them by Pub/Sub and by the channel layer, over one network that breaks five times, for as long as it takes to connect again.',
    );
    const net = await redis.nodes[0].proxy();
    bin.use(net);
    const near = bin.use(new ChannelLayer({ url, prefix: prefixOf(), onError: () => {} }));
    const far = bin.use(
      new ChannelLayer({ url: net.url, prefix: `${redis.namespace}village${villages}:`, onError: () => {} }),
    );
    const publisher = bin.adopt(new Redis(url), (it) => it.disconnect());
    const subscriber = bin.adopt(new Redis(net.url), (it) => it.disconnect());
    subscriber.on('error', () => {});
    const channel = prefixOf();
    await subscriber.subscribe(channel);
    const start = performance.now();
    const lines: Record<'sent' | 'byPubSub' | 'byStreams', [number, number][]> = {
      sent: [],
      byPubSub: [],
      byStreams: [],
    };
    const mark = (line: [number, number][], n: number) => void line.push([performance.now() - start, n]);
    const heard: number[] = [];
    subscriber.on('message', () => mark(lines.byPubSub, lines.byPubSub.length + 1));
    const deliver = (message: Message) => {
      heard.push(Number(message.body));
      mark(lines.byStreams, heard.length);
    };
    let resyncs = 0;
    await far.join('board', { deliver, resync: () => resyncs++ });
    const moments: { at: number; label: string }[] = [];
    for (const n of numbers(1000)) {
      if (n % 200 === 100) {
        moments.push({ at: performance.now() - start, label: 'cut' });
        net.reset();
      }
      await Promise.all([publisher.publish(channel, `${n}`), near.send('board', n), delay(1)]);
      if (n % 200 === 199)
        await until(async () => (await publisher.pubsub('NUMSUB', channel))[1] === 1, { what: 'Pub/Sub' });
    }
    await until(() => heard.length >= 1000, { what: 'the last note' }).catch(() => {});
    const thin = (line: [number, number][]) => line.filter((_, n) => n % 10 === 0 || n === line.length - 1);
    story.lines({
      title: 'Notes that the far process has heard',
      x: { label: 'time', unit: 'ms' },
      y: { label: 'notes' },
      series: [
        { label: 'Streams', points: thin(lines.byStreams), tone: 'good' },
        { label: 'Pub/Sub', points: thin(lines.byPubSub), tone: 'bad' },
      ],
      moments,
      picture: true,
    });
    const lost = 1000 - lines.byPubSub.length;
    const twice = heard.length - new Set(heard).size;
    story.verdict('Pub/Sub tells who is there, and nobody afterwards', `${lost} of 1000 lost`, lost > 0);
    story.code('src/channel-layer.ts', { from: 'protected cursors', to: 'return cursors' });
    story.verdict(
      'A stream is read on from the id that was read last',
      `${1000 - new Set(heard).size} lost, ${twice} twice, ${resyncs} gaps`,
      heard.length === 1000 && twice === 0 && resyncs === 0,
    );
  });

  await story.scene('A hall burns down, and its readers come back', async () => {
    const prefix = prefixOf();
    const east = await hall(prefix, false);
    const safe = await reader(east.url, 'Ada');
    const burning = await hall(prefix, false);
    const guests = await Promise.all(numbers(10).map((n) => reader(burning.url, `guest${n}`)));
    for (const n of numbers(20)) pin(safe, `before ${n}`);
    await until(() => guests.every(({ notes }) => notes.length === 20), { what: 'the notes before' });
    burning.child.kill('SIGKILL');
    await Promise.all(
      guests.map(({ socket }) => (socket.readyState === socket.CLOSED ? undefined : once(socket, 'close'))),
    );
    for (const n of numbers(30)) pin(safe, `meanwhile ${n}`);
    await until(() => safe.notes.length === 50, { what: 'the notes meanwhile' });
    const back = await Promise.all(guests.map(({ last }, n) => reader(east.url, `guest${n}`, last)));
    await until(() => back.every(({ notes }) => notes.length >= 30), { what: 'what they missed' }).catch(() => {});
    const right = back.filter(
      ({ notes }) =>
        notes.join() ===
        numbers(30)
          .map((n) => `meanwhile ${n}`)
          .join(),
    ).length;
    story.verdict(
      'Ten whose process was killed name the last id they have, in another hall, and get the 30 notes that they missed',
      `${right} of 10 got exactly these`,
      right === 10,
    );
    const forgetful = await reader(east.url, 'Bo', '1700000000000-0');
    story.verdict(
      'Who names an id that is no longer kept is told so, and not given a gap in silence',
      `${forgetful.resyncs} resync`,
      forgetful.resyncs === 1,
    );
  });

  /** Sockets in this process. */
  const serve = async (Server: typeof ConsumerServer, more: Partial<ConsumerServerOptions<string>> = {}) => {
    const server = createServer().listen(0, '127.0.0.1');
    bin.defer(() => void server.close());
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const sockets = new Server<string>({
      server,
      path: '/board',
      origins: ['https://board.example'],
      authenticate: ({ headers }) => /who=(\w+)/.exec(headers.cookie ?? '')?.[1],
      consumer: () => ({ receive: () => {} }),
      patienceMs: 200,
      onError: () => {},
      ...more,
    });
    bin.use(sockets);
    const visit = async (origin: string, autoPong = true) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}/board`, {
        origin,
        autoPong,
        headers: { cookie: 'who=Ada' },
      });
      bin.defer(() => socket.terminate());
      socket.on('error', () => {});
      const open = await new Promise<boolean>((resolve) => {
        socket.once('open', () => resolve(true));
        socket.once('close', () => resolve(false));
      });
      return { socket, open };
    };
    return { sockets, visit };
  };

  await story.scene('One who stands still', async () => {
    story.say('A client has stopped reading. The server sends it 400 notes of 64 kB, 26 MB in all.');
    const run = async (Server: typeof ConsumerServer) => {
      const { sockets, visit } = await serve(Server, { maxBufferedBytes: 1_000_000 });
      const { socket } = await visit('https://board.example');
      const closed = once(socket, 'close');
      const connection = await until(() => [...sockets.connections][0], { what: 'the connection' });
      socket.pause();
      let most = 0;
      const frame = Buffer.from(JSON.stringify('x'.repeat(64_000)));
      for (let n = 0; n < 400 && connection.open; n++) {
        connection.sendFrame(frame);
        most = Math.max(most, connection.socket.bufferedAmount);
        await new Promise((resolve) => setImmediate(resolve));
      }
      const open = connection.open;
      socket.resume();
      return { most, end: open ? 'open' : `closed with ${(await closed)[0]}` };
    };
    const naive = await run(BuffersWithoutEnd);
    const bounded = await run(ConsumerServer);
    story.bars({
      title: 'What waits for it in the server’s memory',
      unit: 'MB',
      items: [
        { label: 'send()', value: naive.most / 1e6, note: naive.end, tone: 'bad' },
        { label: 'at most 1 MB', value: bounded.most / 1e6, note: bounded.end, tone: 'good' },
      ],
    });
    story.verdict('What one client does not read stays with the server', MB(naive.most), naive.most > 5_000_000);
    story.verdict(
      'With a bound it is closed, with a code that says why, and comes back by its last id',
      `${MB(bounded.most)}, ${bounded.end}`,
      bounded.most <= 1_000_000 && bounded.end === 'closed with 1013',
    );
  });

  await story.scene('The thief’s page', async () => {
    story.say(
      'Ada is logged in, and opens a page of somebody else. It opens a socket to the board: her browser sends her cookie along, and the Origin of that page.',
    );
    const origins = ['https://evil.example', 'https://board.example.evil.example', 'http://board.example', 'null'];
    const run = async (Server: typeof ConsumerServer) => {
      const { visit } = await serve(Server);
      const thieves = await Promise.all(origins.map((origin) => visit(origin)));
      return { thieves: thieves.filter(({ open }) => open).length, own: (await visit('https://board.example')).open };
    };
    const naive = await run(AnyOrigin);
    const checked = await run(ConsumerServer);
    story.verdict('A cookie alone lets every page in', `${naive.thieves} of 4 thieves`, naive.thieves === 4);
    story.verdict(
      'The Origin is compared as a whole, before there is a socket',
      `${checked.thieves} of 4, our own page: ${checked.own ? 'in' : 'refused'}`,
      checked.thieves === 0 && checked.own,
    );
  });

  await story.scene('Gone without a word', async () => {
    story.say(
      'Of twenty clients ten vanish: no more answers, no goodbye. Then a whole hall is killed (-9), with ten readers in front of it.',
    );
    const run = async (Server: typeof ConsumerServer) => {
      const { sockets, visit } = await serve(Server, { heartbeatMs: 100 });
      const alive = await Promise.all(numbers(10).map(() => visit('https://board.example')));
      await Promise.all(numbers(10).map(() => visit('https://board.example', false)));
      let beats = 0;
      alive[0]?.socket.on('ping', () => beats++);
      await until(() => beats === 4, { what: 'four heartbeats' });
      return sockets.connections.size;
    };
    const [naive, asked] = [await run(PingsForNothing), await run(ConsumerServer)];
    const listed = async (farewell: boolean) => {
      const prefix = prefixOf();
      const [east, west] = await Promise.all([hall(prefix, farewell), hall(prefix, farewell)]);
      const ada = await reader(east.url, 'Ada');
      await Promise.all(numbers(10).map((n) => reader(west.url, `west${n}`)));
      const listsUntil = (enough: () => boolean) =>
        until(
          () => {
            ada.socket.send('{"type":"who"}');
            return enough();
          },
          { intervalMs: 50, what: 'who is there' },
        );
      await listsUntil(() => ada.here.length === 11);
      west.child.kill('SIGKILL');
      const later = performance.now() + 3 * TTL_MS;
      await listsUntil(() => ada.here.length === 1 || performance.now() > later);
      return ada.here.length - 1;
    };
    const [ghosts, gone] = await Promise.all([listed(true), listed(false)]);
    story.table({
      columns: ['who is there', 'of 10 sockets', 'of 10 names'],
      rows: [
        ['until a goodbye', naive - 10, ghosts],
        ['while it answers', asked - 10, gone],
      ],
    });
    story.verdict(
      'Who says no goodbye is there for ever',
      `${naive - 10} sockets, ${ghosts} names`,
      naive === 20 && ghosts === 10,
    );
    story.verdict(
      'A ping that is not answered, and an entry that is not renewed, end by themselves',
      `${asked - 10} sockets, ${gone} names`,
      asked === 10 && gone === 0,
    );
  });
});
