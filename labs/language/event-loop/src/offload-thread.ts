// What runs in each thread of offload.ts; imported by nobody. What is thrown here is the parent's 'error' event.
import { parentPort, workerData } from 'node:worker_threads';

const { module, name, input } = workerData;
const functions: object = await import(module);
const called: unknown = Object.hasOwn(functions, name) ? Reflect.get(functions, name) : undefined;
if (typeof called !== 'function') throw new TypeError(`The module exports no function "${name}".`);
const result: unknown = await called(input);
try {
  parentPort?.postMessage(result);
} catch (cause) {
  // As it is, this error would arrive without a word.
  throw new TypeError(`The result of "${name}" can't be copied: ${cause}`);
}
