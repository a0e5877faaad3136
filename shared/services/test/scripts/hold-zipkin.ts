// Starts a Zipkin, paused, says its port, and stays.
import { startZipkin } from '../../src/index.ts';

const { node } = await startZipkin();
await node.pause();
console.log(JSON.stringify(node.port));
setInterval(() => {}, 1000);
