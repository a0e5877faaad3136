// Says that it starts, and starts servers without an end: to be killed at any moment of it.
import { startPostgres, startRedis } from '../../src/index.ts';

console.log('"starting"');
for (;;) {
  const [redis, postgres] = await Promise.all([startRedis({ nodes: 3 }), startPostgres()]);
  await Promise.all([redis[Symbol.asyncDispose](), postgres[Symbol.asyncDispose]()]);
}
