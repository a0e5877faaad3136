import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parentPort } from 'node:worker_threads';
import type { TaskContext } from '#lab';

// Not from #lab: every run pays for what its thread imports, and that would be all of BullMQ.
const lab = resolve(import.meta.dirname, '..');
const own = resolve(lab, process.env['LAB_IMPL'] ?? 'src/index.ts', '../errors.ts');
const errors = pathToFileURL(existsSync(own) ? own : resolve(lab, 'src/errors.ts'));
const { PermanentError }: typeof import('#lab') = await import(errors.href);

/**
 * A loop that nobody ends gives up after so many microseconds, so that a suite ends too: of its own computing, so that a
 * slow machine gives those who should end it as much.
 */
const ENOUGH = 400_000;

export type Order =
  | { readonly act: 'tell' | 'refuse' | 'crash' | 'forget' | 'chat' | 'print' }
  /** Says over a line what happens to it, and ignores it; the line is closed when the task's thread ends. */
  | { readonly act: 'wait' | 'loop'; readonly port: number };

/** The task of the laws about threads. */
export default async function run(order: Order, { id, attempt, signal, progress }: TaskContext) {
  if (!('port' in order)) {
    if (order.act === 'refuse') throw new PermanentError(`refused in run ${attempt}`);
    if (order.act === 'crash') process.exit(7);
    if (order.act === 'forget') return JSON.parse('[0]', (key, part) => (key === '' ? part : Promise.resolve()));
    if (order.act === 'print') {
      await new Promise((said) => process.stdout.write(`print 0 of ${id}\n`, said));
      // More than may wait to be read: what comes after it waits in this thread.
      console.log('.'.repeat(100_000));
      for (let line = 1; line < 50; line++) console.log(`print ${line} of ${id}`);
    }
    // As modules do that are made for other threads than ours.
    for (const said of order.act === 'chat' ? [{ value: 'another' }, 'ready', null] : []) parentPort?.postMessage(said);
    await progress(40);
    return `${id} in run ${attempt}`;
  }
  const line = connect(order.port, '127.0.0.1');
  signal.addEventListener('abort', () => line.write(`${signal.reason.name}\n`));
  await new Promise((said) => line.write('begun\n', said));
  const start = process.threadCpuUsage();
  while (order.act === 'loop') {
    const { user, system } = process.threadCpuUsage(start);
    if (user + system > ENOUGH) return 'nobody has ended the loop';
  }
  return new Promise<string>(() => {});
}
