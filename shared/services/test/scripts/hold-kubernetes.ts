// Starts a control plane, pauses its API server, says its namespace, and stays.
import { startKubernetes } from '../../src/index.ts';

const { namespace, node } = await startKubernetes();
await node.pause();
console.log(JSON.stringify(namespace));
setInterval(() => {}, 1000);
