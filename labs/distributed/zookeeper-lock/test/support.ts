import { connect, createServer } from 'node:net';
import type { Node, startZooKeeper } from '@shared/services';
import { until } from '@shared/testkit';
import { ACL, createClient, Id } from 'node-zookeeper-client';
import { afterAll, onTestFinished } from 'vitest';
import { Session } from '#lab';
import { ask } from './four-letters.ts';

/** Sessions that are meant to end; the others last, whatever the machine is busy with. */
export const SHORT = 600;
export const LONG = 20_000;

type ZooKeeper = Awaited<ReturnType<typeof startZooKeeper>>;

/** What the laws of one server need. */
export function stage(zk: ZooKeeper) {
  let paths = 0;
  let observer: Promise<Session> | undefined;
  afterAll(async () => (await observer)?.close());
  const session = async (sessionTimeoutMs = LONG, to = zk.connectString) => {
    const opened = await Session.connect(to, { sessionTimeoutMs });
    onTestFinished(() => opened.close());
    return opened;
  };
  return {
    session,
    /** A path of the test's own. */
    fresh: () => `${zk.namespace}/locker-${++paths}`,
    /** A session through a network of its own. */
    async behindNetwork(sessionTimeoutMs = LONG, to: Node = zk.nodes[0]) {
      const network = await to.proxy();
      onTestFinished(() => network[Symbol.asyncDispose]());
      const behind = await session(sessionTimeoutMs, new URL(network.url).host);
      return {
        network,
        session: behind,
        /** The connection breaks, and what was under way is lost. */
        cut() {
          network.reset();
          network.heal();
        },
      };
    },
    /** What anybody may do at `path` from now on. */
    async permit(path: string, permissions: number) {
      const client = createClient(zk.connectString);
      client.connect();
      const anybody = [new ACL(permissions, new Id('world', 'anyone'))];
      await new Promise<void>((resolve, reject) => {
        client.setACL(path, anybody, -1, (error) => (error ? reject(error) : resolve()));
      });
      client.close();
    },
    /** Those who stand in the queue, as somebody else sees it. */
    async queue(path: string, length: number) {
      observer ??= Session.connect(zk.connectString, { sessionTimeoutMs: LONG });
      const looking = await observer;
      const names = await until(
        async () => {
          const found = await looking.children(path);
          return found.length === length ? found : undefined;
        },
        { timeoutMs: 2_000, what: `${length} in the queue of ${path}` },
      );
      return names;
    },
    /** Resolves when so many wait for a change: to watch is the last step of who waits. */
    async watched(watches: number) {
      const count = async () => Number(/^zk_watch_count\s+(\d+)/m.exec(await ask(zk.nodes[0], 'mntr'))?.[1]);
      await until(async () => (await count()) >= watches, { timeoutMs: 2_000, what: `${watches} watches` });
    },
    /** How many watches have fired since the server began. */
    async wakeUps() {
      const metrics = await ask(zk.nodes[0], 'mntr');
      const sums = metrics.matchAll(/^zk_sum_node_(?:created|deleted|changed|children)_watch_count\s+(\d+)/gm);
      return [...sums].reduce((total, [, sum]) => total + Number(sum), 0);
    },
  };
}

/** A network that can break in the middle of a reply. */
export async function halvingNetwork(upstream: number) {
  let [armed, cuts] = [false, 0];
  let code: number | undefined;
  const server = createServer((client) => {
    const zookeeper = connect(upstream, '127.0.0.1');
    client.pipe(zookeeper);
    zookeeper.on('data', (reply) => {
      if (armed) {
        armed = false;
        cuts++;
        client.end(reply.subarray(0, reply.length >> 1));
      } else if (code !== undefined) {
        // Behind the length, the request's number and the transaction's.
        reply.writeInt32BE(code, 16);
        code = undefined;
        client.write(reply);
      } else {
        client.write(reply);
      }
    });
    client.on('error', () => {}).on('close', () => zookeeper.destroy());
    zookeeper.on('error', () => {}).on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' ? address?.port : undefined,
    /** The next reply is cut, and the connection with it. */
    cutInHalf() {
      armed = true;
    },
    cut: () => cuts,
    /** The next reply says so. */
    answerWith(error: number) {
      code = error;
    },
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
