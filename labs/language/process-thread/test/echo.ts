// A thread or a process of the demo that gives back what it gets: copied, or handed over.
import { isMainThread, parentPort } from 'node:worker_threads';

if (process.argv[2] === 'end') process.exit();
if (isMainThread) process.on('message', (bytes) => process.send?.(bytes)).on('disconnect', () => process.exit());
else
  parentPort?.on('message', ({ bytes, move }: { bytes: Uint8Array<ArrayBuffer>; move: boolean }) =>
    parentPort?.postMessage(bytes, move ? [bytes.buffer] : []),
  );
