// One version of a shop, as a process of its own: `service.ts SHARE` answers 500 to that share of its requests. It ends
// with its standard input, so with whoever has started it.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const share = Number(process.argv[2]);
let owed = 0;
const server = createServer((_, response) => {
  owed += share;
  const fails = owed >= 1;
  if (fails) owed -= 1;
  response.writeHead(fails ? 500 : 200).end(fails ? 'no tarts today' : 'here you are');
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
process.stdin.resume().on('end', () => process.exit());
