// A holder that stands still in the middle of its work: a long garbage collection, a suspended machine, a debugger.
// Its thread is really stopped; no timer, no signal and no good intention of its own code can run.
import { parentPort, workerData } from 'node:worker_threads';
import { FencedStore, Locks, Session } from '../src/index.ts';

const { connectString, path, sessionTimeoutMs, gate } = workerData;
const session = await Session.connect(connectString, { sessionTimeoutMs });
const lock = await new Locks(session).lock(path);
parentPort?.postMessage({ fence: lock.fence });
Atomics.wait(gate, 0, 0);
const abortedAtOnce = lock.signal.aborted;
// Another program, which has only the number.
const other = await Session.connect(connectString);
const outcome = await new FencedStore(other).write(`${path}-value`, lock.fence, 'late');
await other.set(`${path}-open`, 'late', 0);
parentPort?.postMessage({ abortedAtOnce, outcome });
await Promise.all([other.close(), session.close()]);
