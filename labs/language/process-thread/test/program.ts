// A program of the laws: it prints the ids of its processes when both threads are in a loop that never yields.
import { existsSync, readFileSync } from 'node:fs';
import { until } from '@shared/testkit';
import { hybrid } from '#lab';
import type * as Kitchen from './kitchen.ts';

const gate = process.argv[2] ?? '';
const entry = new URL('./kitchen.ts', import.meta.url);
const shop = hybrid<typeof Kitchen>({ processes: 1, threadsPerProcess: 2, entry });
for (const name of ['a', 'b']) shop.run({ dish: 'spin', name, gate }).catch(() => {});
await until(() => existsSync(`${gate}/begun`) && readFileSync(`${gate}/begun`, 'utf8').length === 4, {
  timeoutMs: 15_000,
});
console.log(JSON.stringify(shop.stats().pids));
