// Starts a Prometheus, paused, with an Alertmanager, says their ports, and stays.
import { startPrometheus } from '../../src/index.ts';

const { node, alertmanager } = await startPrometheus({ targets: [], alertmanager: true });
await node.pause();
console.log(JSON.stringify([node.port, alertmanager.port]));
setInterval(() => {}, 1000);
