// Starts two Redis, one of them paused, or a cluster of them where the first argument says `cluster`, and (unless it says
// either of those) a Postgres, with a standby that is stopped where it says `standby`; says where; then does what its second
// argument says.
import { startPostgres, startRedis } from '../../src/index.ts';

const [servers, how] = process.argv.slice(2);
const redis = servers === 'cluster' ? await startRedis({ cluster: 6 }) : await startRedis({ nodes: 2 });
const alone = servers === 'redis' || servers === 'cluster';
const postgres = alone ? undefined : await startPostgres(servers === 'standby' ? { standby: 1 } : {});
await redis.nodes[1]?.pause();
const standbys = postgres?.standbys ?? [];
await standbys[0]?.pause();
if (how === 'paused') await postgres?.node.pause();
if (how === 'killed') await postgres?.node.kill();
console.log(
  JSON.stringify([...redis.nodes, ...(postgres ? [postgres.node] : []), ...standbys].map((node) => node.port)),
);
if (how === 'exit') process.exit(7);
if (how === 'crash') queueMicrotask(() => Promise.reject(new Error('nobody catches this')));
// 'forget': the script ends here, without dispose.
if (how !== 'forget') setInterval(() => {}, 1000);
