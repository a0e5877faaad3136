// Sends one transfer many times at once, each on accounts of its own. The n-th stands still after the n-th answer (of the
// database, or of the slow call outside); when all of them stand, the process says so, and is killed by whoever forked it.
import { AsyncLocalStorage } from 'node:async_hooks';
import { Client, type QueryResult } from 'pg';
import type { Transfers as Bank, ConnectionPool as Pool } from '#lab';

export interface Job {
  readonly url: string;
  readonly schema: string;
  /** The implementation that is graded. */
  readonly lab: string;
  readonly copies: number;
}

const { url, schema, lab, copies }: Job = JSON.parse(process.argv[2] ?? '{}');
const { ConnectionPool, Transfers }: { ConnectionPool: typeof Pool; Transfers: typeof Bank } = await import(lab);

const steps = new AsyncLocalStorage<{ left: number; after: string; stand: (after: string) => void }>();
async function step(after: string): Promise<void> {
  const copy = steps.getStore();
  if (copy === undefined) return;
  copy.left--;
  if (copy.left > 0) return;
  copy.stand(after);
  await new Promise(() => {});
}
const query: (...args: unknown[]) => Promise<QueryResult> = Client.prototype.query;
Object.assign(Client.prototype, {
  async query(this: Client, ...args: unknown[]) {
    const answer = await query.apply(this, args);
    await step(String(args[0]).slice(0, 12));
    return answer;
  },
});

const connection = { connectionString: url, options: `-c search_path=${schema}`, application_name: schema };
const pool = new ConnectionPool({ connection, max: copies });
const standing: string[] = [];
const bank = new Transfers(pool, async () => {
  await step('the call');
  return 'done';
});
await Promise.all(
  Array.from({ length: copies }, (_, n) => {
    const stood = new Promise<void>((resolve) => {
      const stand = (after: string) => {
        standing[n] = after;
        resolve();
      };
      const order = { id: `t${n}`, payer: `a${n}`, payee: `b${n}`, amount: 10n };
      steps.run({ left: n + 1, after: '', stand }, () => bank.send(order).then(() => stand('its end')));
    });
    return stood;
  }),
);
process.send?.(standing);
setInterval(() => {}, 1_000);
