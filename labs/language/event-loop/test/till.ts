// What the story's threads and tills do.
import { pbkdf2Sync } from 'node:crypto';
import { type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';

/** A fixed amount of work: the same steps wherever they run. */
export const total = (steps: number): number => {
  let sum = 1;
  for (let step = 0; step < steps; step++) sum = (sum * 16_807) % 2_147_483_647;
  return sum;
};

export const password = (rounds: number): string => pbkdf2Sync('guest', 'salt', rounds, 32, 'sha256').toString('hex');

const count = (lines: readonly unknown[]): number => lines.length;

/** A receipt whose total nobody has looked at twice. */
export const receipts = {
  loop: (size: number): number => total(size),
  regex: (size: number): boolean => /^(a+)+$/.test(`${'a'.repeat(size)}!`),
  json: (size: number): number => count(JSON.parse(`[${'{"price":[1,2,3,"pomelo"]},'.repeat(size)}0]`)),
};

/** A customer who came at `at` (ms since the door opened), and waited for `ms`. */
export interface Customer {
  readonly at: number;
  readonly ms: number;
}

/**
 * Customers who come every `everyMs` from outside, whether the one before has been served or not: a thread that sends a
 * message, which our event loop answers.
 */
export async function openDoor(everyMs: number): Promise<{ close(): Promise<Customer[]> }> {
  const street = new Worker(new URL(import.meta.url), { workerData: { everyMs } });
  await new Promise((resolve) => street.once('message', resolve));
  const serve = (customer: number) => street.postMessage(customer);
  street.on('message', serve);
  return {
    async close() {
      street.off('message', serve);
      // One more customer may come before the door hears of it.
      const told = new Promise<Customer[]>((resolve) => {
        street.on('message', (said: number | Customer[]) => void (typeof said !== 'number' && resolve(said)));
      });
      street.postMessage('close');
      const customers = await told;
      await street.terminate();
      return customers;
    },
  };
}

function beTheStreet(port: MessagePort, everyMs: number): void {
  const came: number[] = [];
  const served: number[] = [];
  port.postMessage('open');
  const start = performance.now();
  const walk = setInterval(() => {
    // Who should have come while we were not scheduled comes now.
    for (; came.length * everyMs <= performance.now() - start; ) port.postMessage(came.push(performance.now()) - 1);
  }, 1);
  port.on('message', (customer: number | 'close') => {
    if (customer !== 'close') {
      served[customer] = performance.now();
      return;
    }
    clearInterval(walk);
    const customers = came.flatMap((at, index) => {
      const end = served[index];
      return end === undefined ? [] : [{ at: at - start, ms: end - at }];
    });
    port.postMessage(customers);
  });
}

if (parentPort && typeof workerData?.everyMs === 'number') beTheStreet(parentPort, workerData.everyMs);
