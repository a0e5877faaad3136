// The counter of a small shop as a process of its own: `node shop.ts [none | exit | drain]`. Each answer takes 150 ms.
import { createServer } from 'node:http';
import { Drain } from '#lab';

const how = process.argv[2] ?? 'none';
const server = createServer((_request, response) => {
  setTimeout(() => response.end('a yogurt'), 150);
});
if (how === 'exit') process.on('SIGTERM', () => process.exit(0));
if (how === 'drain') void new Drain(server, { lameDuckMs: 200, graceMs: 4_000 }).drained.then(() => process.exit(0));
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  console.log(JSON.stringify({ port, pid: process.pid }));
});
process.stdin.on('end', () => process.exit(1)).resume();
