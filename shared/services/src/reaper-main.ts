// Holds the reading end of a pipe to its parent. However the parent ends, the kernel closes the other end: then every
// belonging that the parent has not taken back is settled. A child of the parent between fork and exec still holds
// that end open, so none can be missed: at the end of the pipe each lives in the folder that it was started in.
import { createInterface } from 'node:readline';
import { type Belonging, settle } from './estate.ts';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const belongings = new Map<number, Belonging>();
for await (const line of createInterface({ input: process.stdin })) {
  const message: { id: number; add?: Belonging } = JSON.parse(line);
  if (message.add === undefined) belongings.delete(message.id);
  else belongings.set(message.id, message.add);
}
await Promise.allSettled([...belongings.values()].map(settle));
