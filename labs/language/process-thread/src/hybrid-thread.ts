// What runs in each thread. Started by hybrid-process.ts, imported by nobody.
import { deserialize, serialize } from 'node:v8';
import { parentPort, workerData } from 'node:worker_threads';
import { readThrown } from './errors.ts';
import type { Done, ToProcess } from './protocol.ts';

const { default: task }: { default?: unknown } = await import(workerData);
if (typeof task !== 'function') throw new TypeError(`${workerData} exports no function as its default.`);

parentPort?.on('message', async (message: ToProcess) => {
  // What was printed goes by way of the process, and exit() does not wait for it.
  if (message.type === 'end') process.stdout.write('', () => process.stderr.write('', () => process.exit()));
  if (message.type !== 'run') return;
  const { id } = message;
  const say = (result: Done['result']) => parentPort?.postMessage({ type: 'done', id, result } satisfies Done);
  let value: unknown;
  try {
    value = await task(deserialize(message.body));
  } catch (error) {
    return say({ thrown: readThrown(error) });
  }
  try {
    say({ body: serialize(value) });
  } catch (error) {
    say({ uncloneable: readThrown(error).message });
  }
});
parentPort?.postMessage({ type: 'ready' });
