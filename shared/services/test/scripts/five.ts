import { startRedis } from '../../src/index.ts';

await using redis = await startRedis({ nodes: 5 });
console.log(JSON.stringify(redis.nodes.map((node) => node.port)));
