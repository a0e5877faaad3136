/**
 * A shop behind a counter: five cashiers, so that at most five customers are served at once, each for `serveMs`; the others
 * queue. It ends with whoever started it. `POST /stall?ms=1000` stops the whole process for that long: a garbage
 * collection, a lock, a full disk.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

const [serveMs = 0, cashiers = 5] = process.argv.slice(2).map(Number);
let free = cashiers;
const queue: (() => void)[] = [];
let served = 0;

async function serve(): Promise<void> {
  if (free > 0) free--;
  else await new Promise<void>((resolve) => queue.push(resolve));
  await delay(serveMs);
  served++;
  const next = queue.shift();
  if (next) next();
  else free++;
}

function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url ?? '/', 'http://shop');
  if (url.pathname === '/stall') {
    const ms = Number(url.searchParams.get('ms'));
    response.end('stalled', () => setImmediate(stall, ms));
    return;
  }
  if (url.pathname === '/served') return response.end(String(served));
  if (serveMs > 0) await serve();
  else served++;
  if (url.pathname === '/closed') return response.writeHead(503).end('closed');
  return response.end(url.pathname === '/wrong' ? 'out of stock' : 'thank you');
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(typeof address === 'object' ? address?.port : undefined);
});
process.on('disconnect', () => process.exit());
