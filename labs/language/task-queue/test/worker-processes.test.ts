import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startRedis } from '@shared/services';
import { describeWith, until } from '@shared/testkit';
import { Redis } from 'ioredis';
import { expect, onTestFinished, test } from 'vitest';
import { Monitor, TaskQueue, task } from '#lab';

const SLOW = 20_000;
const PATIENCE = 15_000;

await describeWith('worker processes', { redis: () => startRedis({ persist: 'always' }) }, ({ redis }) => {
  const [node] = redis.nodes;
  const { url } = node;
  let shops = 0;

  const open = () => {
    const prefix = `${redis.namespace}${++shops}`;
    const client = new Redis(url);
    // One of the laws kills the server.
    client.on('error', () => {});
    const queue = new TaskQueue(
      { develop: task((film: string) => film) },
      { connection: { url }, prefix, name: 'shop' },
    );
    onTestFinished(async () => {
      await queue.close();
      client.disconnect();
    });
    const start = (lockMs = 30_000): ChildProcess => {
      const shop = spawn(
        process.execPath,
        [join(import.meta.dirname, 'shop.ts'), url, prefix, 'shop', String(lockMs)],
        {
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      onTestFinished(() => void shop.kill('SIGKILL'));
      return shop;
    };
    const begun = (runs: number) =>
      until(async () => (await client.llen(`${prefix}:begun`)) >= runs, { timeoutMs: PATIENCE, what: `${runs} runs` });
    return {
      queue,
      start,
      begun,
      ids: () => client.lrange(`${prefix}:begun`, 0, -1),
      enough: () => client.set(`${prefix}:enough`, 1),
    };
  };

  test('a worker that gets SIGTERM finishes its task and ends', { timeout: SLOW }, async () => {
    const { queue, start, begun, enough } = open();
    const shop = start();
    const ticket = await queue.delay('develop', 'film 7');
    await begun(1);
    shop.kill('SIGTERM');
    await enough();
    const [code] = await once(shop, 'exit');
    expect(code).toBe(0);
    expect(await ticket.state()).toBe('completed');
    expect(await ticket.get()).toBe('negatives of film 7');
  });

  test('a task whose worker is killed runs again, under the same id', { timeout: SLOW }, async () => {
    const { queue, start, begun, ids, enough } = open();
    await using monitor = await new Monitor(queue.bull).ready();
    const victim = start(500);
    const ticket = await queue.delay('develop', 'film 8');
    await begun(1);
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    start();
    await begun(2);
    await enough();
    expect(await ticket.get(PATIENCE)).toBe('negatives of film 8');
    expect(await ids()).toEqual([ticket.id, ticket.id]);
    await until(async () => (await monitor.snapshot()).stalled >= 1, { what: 'the monitor to have seen it' });
  });

  test('tasks outlive a crash of a Redis that writes them down', { timeout: SLOW }, async ({ skip }) => {
    skip(!redis.faults, 'it kills the server, and this one is not ours');
    const { queue, start, enough } = open();
    queue.bull.on('error', () => {});
    const tickets = await Promise.all(['a', 'b', 'c'].map((film) => queue.delay('develop', film)));
    await node.kill();
    await node.restart();
    await enough();
    start();
    const results = await Promise.all(tickets.map((ticket) => ticket.get(PATIENCE)));
    expect(results).toEqual(['a', 'b', 'c'].map((film) => `negatives of ${film}`));
  });
});
