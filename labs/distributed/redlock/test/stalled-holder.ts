// A holder that stands still in the middle of its work: a long garbage collection, a suspended machine, a debugger.
// Its thread is really stopped; no timer, no signal and no good intention of its own code can run.
import { parentPort, workerData } from 'node:worker_threads';
import { Pool } from 'pg';
import { connectNodes, Fencing, Redlock } from '../src/index.ts';

const { urls, databaseUrl, locker, ttlMs, gate } = workerData;
const nodes = connectNodes(urls);
const pool = new Pool({ connectionString: databaseUrl });
const fencing = new Fencing(pool, 'locker');

const lease = await new Redlock(nodes).acquire([locker], ttlMs);
const fence = await fencing.take(lease);
parentPort?.postMessage({ holding: fence });
Atomics.wait(gate, 0, 0);
const put = "UPDATE contents SET holder = 'A' WHERE locker = $1";
await pool.query(put, [`${locker} unfenced`]);
const outcome = await fencing.write(locker, fence, (tx) => tx.query(put, [locker]));
parentPort?.postMessage({ outcome });
await pool.end();
for (const node of nodes) node.disconnect();
