// Starts an ensemble with a node of it paused, says its ports, and stays.
import { startZooKeeper } from '../../src/index.ts';

const { nodes } = await startZooKeeper({ nodes: 3 });
await nodes[1]?.pause();
console.log(JSON.stringify(nodes.map(({ port }) => port)));
setInterval(() => {}, 1000);
