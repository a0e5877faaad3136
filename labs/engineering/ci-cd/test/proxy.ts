// A weighted proxy, as a process of its own: `proxy.ts STABLE CANARY`, both ports. POST /weight/25 gives the canary 25 %
// of the requests, GET /counts says how often each version was asked and has failed. It ends with its standard input.
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

const [stable, canary] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true });
const counts = { stable: { requests: 0, errors: 0 }, canary: { requests: 0, errors: 0 } };
let weight = 0;
let owed = 0;
const server = createServer((asked, answer) => {
  const [, order, percent] = asked.url?.split('/') ?? [];
  if (order === 'weight') {
    weight = Number(percent);
    return void answer.end();
  }
  if (order === 'counts') return void answer.end(JSON.stringify({ ...counts, weight }));
  owed += weight;
  const who = owed >= 100 ? 'canary' : 'stable';
  if (who === 'canary') owed -= 100;
  const count = (status: number) => {
    counts[who].requests++;
    if (status >= 500) counts[who].errors++;
  };
  const port = who === 'canary' ? canary : stable;
  const forwarded = request({ port, host: '127.0.0.1', path: asked.url, agent }, (reply) => {
    count(reply.statusCode ?? 500);
    answer.writeHead(reply.statusCode ?? 500, { version: who });
    reply.pipe(answer);
  });
  forwarded.on('error', () => {
    count(502);
    answer.writeHead(502, { version: who }).end();
  });
  forwarded.end();
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
process.stdin.resume().on('end', () => process.exit());
