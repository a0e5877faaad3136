// A program whose only work is to wait for a mutex, and for how late its loop is: it must wait for the one alone.
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { Mutex, measureDelay } from '#lab';

if (parentPort) {
  const { buffer, word } = workerData;
  const held = new Mutex(buffer);
  held.lock(() => {
    Atomics.store(word, 0, 1);
    Atomics.notify(word, 0);
    Atomics.wait(word, 1, 0, 300);
  });
} else {
  measureDelay();
  const mutex = new Mutex();
  const word = new Int32Array(new SharedArrayBuffer(8));
  new Worker(new URL(import.meta.url), { workerData: { buffer: mutex.buffer, word } }).unref();
  while (Atomics.load(word, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await mutex.lockAsync(() => console.log('in'));
}
