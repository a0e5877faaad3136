// What runs in each process: threads that take turns at the tasks. Started by hybrid-base.ts, imported by nobody.
import { finished } from 'node:stream/promises';
import { Worker } from 'node:worker_threads';
import { type RemoteError, readThrown } from './errors.ts';
import { type FromProcess, isFromProcess, type ToProcess } from './protocol.ts';

interface Seat {
  readonly thread: Worker;
  ready: boolean;
  /** The task that runs in it, or will when it is ready. */
  job: Extract<ToProcess, { type: 'run' }> | undefined;
  /** Its task was given up: it takes no other, and what it still says of this one comes too late. */
  leaving: boolean;
}

const [entry = '', threads = ''] = process.argv.slice(2);
const file = import.meta.url.endsWith('.ts')
  ? new URL('./hybrid-thread.ts', import.meta.url)
  : new URL('./hybrid-thread.js', import.meta.url);
const seats = new Set<Seat>();
/** What threads have printed, on its way: it may arrive after their end. */
const printing = new Set<Promise<void>>();
let ending = false;

// The parent has ended, perhaps by SIGKILL. Its tasks have nobody to tell, and a thread may be in a loop that never yields:
// this thread isn't, and SIGKILL waits for none.
const orphaned = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', orphaned);
if (!process.connected) orphaned();
// Ctrl-C and service managers signal the whole group. How we end is for the parent to say, who may want to finish first.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

/** Not before everything that was printed is out: exit() waits for nothing. */
async function leave(): Promise<void> {
  await Promise.all(printing);
  process.stdout.write('', () => process.stderr.write('', () => process.exit()));
}

const tellParent = (message: FromProcess) => void process.send?.(message, undefined, undefined, () => {});

function open(): void {
  const seat: Seat = { thread: new Worker(file, { workerData: entry }), ready: false, job: undefined, leaving: false };
  const { thread } = seat;
  for (const stream of [thread.stdout, thread.stderr]) {
    const printed = finished(stream)
      .catch(() => {})
      .finally(() => printing.delete(printed));
    printing.add(printed);
  }
  let error: RemoteError | undefined;
  seats.add(seat);
  thread.on('error', (thrown) => {
    error = readThrown(thrown);
  });
  thread.on('message', (said: unknown) => {
    if (!isFromProcess(said)) return;
    if (said.type === 'ready') {
      seat.ready = true;
      if (seat.job) thread.postMessage(seat.job);
      if ([...seats].every(({ ready }) => ready)) tellParent(said);
    } else if (said.type === 'done' && said.id === seat.job?.id && !seat.leaving) {
      seat.job = undefined;
      tellParent(said);
    }
  });
  thread.on('exit', (code) => {
    seats.delete(seat);
    if (seat.job) tellParent({ type: 'done', id: seat.job.id, result: { exit: { code, signal: null, error } } });
    if (ending && seats.size === 0) void leave();
    if (ending) return;
    if (seat.ready || seat.leaving) open();
    else tellParent({ type: 'failed', error: error ?? readThrown(`a thread ended with ${code} at its start`) });
  });
}

for (let seat = 0; seat < Number(threads); seat++) open();
process.on('message', (message: ToProcess) => {
  ending ||= message.type === 'end';
  // We are given no more than we have threads.
  for (const seat of seats) {
    if (ending && seat.ready) seat.thread.postMessage(message);
    else if (ending || (message.type === 'abort' && seat.job?.id === message.id)) {
      seat.leaving = true;
      void seat.thread.terminate();
    } else if (message.type === 'run' && !seat.job) {
      seat.job = message;
      if (seat.ready) seat.thread.postMessage(message);
      break;
    }
  }
});
