// What runs in each worker, thread or process. Started by transport.ts, imported by nobody.
import { deserialize, serialize } from 'node:v8';
import { parentPort } from 'node:worker_threads';
import { inWords, UncloneableError } from './errors.ts';
import type { Answer, FromWorker, Packed, ToWorker } from './protocol.ts';
import { encodeError, type RemoteError } from './remote-error.ts';

let tasks: object = {};

const pack = (message: FromWorker): Packed => ({ type: 'pool:packed', bytes: serialize(message) });
const say = (message: FromWorker) => (parentPort ? parentPort.postMessage(message) : process.send?.(pack(message)));
const encode = (error: unknown): RemoteError => encodeError(error, cloneable);

function cloneable(value: unknown): boolean {
  try {
    if (parentPort) structuredClone(value);
    else serialize(value);
    return true;
  } catch {
    return false;
  }
}

async function call(name: string, input: unknown): Promise<unknown> {
  const task: unknown = Object.hasOwn(tasks, name) ? Reflect.get(tasks, name) : undefined;
  if (typeof task !== 'function') throw new TypeError(`The module exports no function "${name}".`);
  return task(input);
}

async function start({ file, initializer }: Extract<ToWorker, { type: 'start' }>): Promise<void> {
  try {
    tasks = await import(file);
    if (initializer) await call(initializer.name, initializer.input);
    say({ type: 'pool:ready' });
  } catch (error) {
    say({ type: 'pool:failed', error: encode(error) });
  }
}

async function run({ id, task, parcel }: Extract<ToWorker, { type: 'run' }>): Promise<void> {
  const values: unknown[] = [];
  const answer = (extra: Partial<Answer> = {}) => say({ type: 'pool:done', id, values, ...extra });
  let inputs = parcel;
  try {
    if (parcel instanceof Uint8Array) inputs = deserialize(parcel);
  } catch (cause) {
    const error = new UncloneableError(`The input of "${task}" can't be read: ${inWords(cause)}`, { cause });
    answer({ error: encode(error) });
    return;
  }
  try {
    for (const input of Array.isArray(inputs) ? inputs : []) values.push(await call(task, input));
  } catch (error) {
    answer({ error: encode(error) });
    return;
  }
  try {
    answer();
  } catch (cause) {
    const good = values.slice(
      0,
      values.findIndex((value) => !cloneable(value)),
    );
    const error = new UncloneableError(`The result of "${task}" can't be sent: ${inWords(cause)}`, { cause });
    answer({ values: good, error: encode(error) });
  }
}

const receive = (message: ToWorker) => {
  if (message.type === 'start') void start(message);
  else if (message.type === 'run') void run(message);
  else process.exit();
};

if (parentPort) {
  // Who can't read what it was told does not know what to answer: its end is the answer.
  parentPort.on('message', receive).on('messageerror', (error) => {
    throw error;
  });
} else process.on('message', receive).on('disconnect', () => process.exit());
