import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * A photo shop in a process of its own, which a test may kill: `node test/shop.ts URL PREFIX NAME LOCK_MS`.
 * It develops a film until it is told by the key `<prefix>:enough`, and closes on SIGTERM.
 */
if (import.meta.main) {
  const [url = '', prefix = '', name = '', lockMs = '30000'] = process.argv.slice(2);
  const { Redis } = await import('ioredis');
  const impl = pathToFileURL(resolve(import.meta.dirname, '..', process.env['LAB_IMPL'] ?? 'src/index.ts')).href;
  const { TaskQueue, task }: typeof import('#lab') = await import(impl);
  const redis = new Redis(url);
  const tasks = {
    develop: task(async (film: string, { id }) => {
      await redis.rpush(`${prefix}:begun`, id);
      while (!(await redis.exists(`${prefix}:enough`))) await new Promise((resume) => setTimeout(resume, 10));
      return `negatives of ${film}`;
    }),
  };
  const queue = new TaskQueue(tasks, { connection: { url }, prefix, name });
  // A shop on a slow machine may find itself to stand still: that is not what kills the task.
  await queue.worker({ lockMs: Number(lockMs), stalledCheckMs: 100, maxStalls: 10 });
  process.once('SIGTERM', async () => {
    await queue.close();
    redis.disconnect();
  });
}
