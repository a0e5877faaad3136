// A ferry: the process in a pod. It takes START_MS to be ready, WORK_MS for an answer; with DRAIN it leaves as a Service expects.
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const { START_MS = '0', WORK_MS = '20', VERSION = 'v1', DRAIN, PORT, LAB_IMPL } = process.env;
let leaving = false;
const server = createServer(async ({ url }, response) => {
  if (url === '/ready') return void response.writeHead(leaving ? 503 : 200).end();
  await delay(Number(WORK_MS));
  response.end(VERSION);
});
// The kubelet that has sent us out is gone.
process.on('disconnect', () => process.exit(1));
if (DRAIN !== undefined) {
  process.once('SIGTERM', async () => {
    leaving = true;
    // The client of the API server, which a ferry has no use for, takes longer to load than all the rest.
    const { drainServer } = await import(LAB_IMPL === undefined ? '../../src/drain-server.ts' : '#lab');
    await drainServer(server, { lingerMs: Number(DRAIN), graceMs: 3000 });
    process.exit(0);
  });
}
await delay(Number(START_MS));
server.listen(Number(PORT), '127.0.0.1');
