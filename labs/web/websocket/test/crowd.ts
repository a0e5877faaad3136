import { once } from 'node:events';
import { WebSocket } from 'ws';

// Clients in a process of their own, so that what they cost is not counted. Told an address, it connects. Asked for a number of
// messages, it answers how many have come, as soon as there are as many, or after five seconds.
const arrived = new Map<string, number>();
process.on('message', async ({ kind, url, clients, wanted }: Record<string, string | number>) => {
  if (typeof kind !== 'string') return;
  if (typeof url === 'string') {
    for (let n = 0; n < Number(clients); n++) {
      const socket = new WebSocket(url);
      socket.on('message', (data) => {
        const text = String(data);
        // Engine.IO: 0 opens, 2 is a ping, and 40 joins the namespace.
        if (text.startsWith('0')) socket.send('40');
        else if (text === '2') socket.send('3');
        else if (!text.startsWith('40')) arrived.set(kind, (arrived.get(kind) ?? 0) + 1);
      });
      await once(socket, 'open');
    }
  } else {
    const late = performance.now() + 5000;
    while ((arrived.get(kind) ?? 0) < Number(wanted) && performance.now() < late) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  process.send?.(arrived.get(kind) ?? 0);
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
