// A thread that locks, waits until it is told to leave, and dies in the lock.
import { workerData } from 'node:worker_threads';
import { Mutex } from '#lab';

const words = new Int32Array(workerData.door);
new Mutex(workerData.mutex).lock(() => {
  Atomics.store(words, 1, 1);
  while (Atomics.load(words, 2) === 0) Atomics.wait(words, 2, 0, 1_000);
  process.exit(7);
});
