// A price desk in a process of its own: it prints its port, and ends with its parent.
import { RpcServer } from '#lab';
import { desk } from './shop.ts';

const server = await RpcServer.serve(desk({ getPrice: () => ({ cents: 1n }) }));
console.log(server.port);
process.stdin.on('end', () => process.exit()).resume();
