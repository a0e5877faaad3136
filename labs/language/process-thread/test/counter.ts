// A worker of the demo's cluster: it says its process id to who connects, and keeps the connection.
import { createServer } from 'node:net';

createServer((guest) => {
  guest.on('error', () => {}).write(`${process.pid}`);
}).listen(0, '127.0.0.1');
