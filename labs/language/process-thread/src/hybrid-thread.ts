// What runs in each thread. Started by hybrid-process.ts, imported by nobody.
import { deserialize, serialize } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { type Done, describeThrown, type ToProcess } from './protocol.ts';

const { default: task }: { default?: unknown } = await import(workerData);
if (typeof task !== 'function') throw new TypeError(`${workerData} exports no function as its default.`);

parentPort?.on('message', async (message: ToProcess) => {
  if (message.type !== 'run') return;
  const { id } = message;
  const say = (result: Done['result']) => parentPort?.postMessage({ type: 'done', id, result } satisfies Done);
  let value: unknown;
  try {
    value = await task(deserialize(message.body));
  } catch (error) {
    say({ thrown: describeThrown(error) });
    return;
  }
  try {
    say({ body: serialize(value) });
  } catch (error) {
    say({ uncloneable: describeThrown(error).message });
  }
});
parentPort?.postMessage({ type: 'ready' });
