import { setTimeout as delay } from 'node:timers/promises';

/** A scanner that looks at nothing but its film: done after `ms` milliseconds, whatever anybody says. */
export default async function scan(ms: number) {
  await delay(ms);
  return 'scanned';
}
