// What runs in each process: threads that take turns at the tasks. Started by hybrid-base.ts, imported by nobody.
import { Worker } from 'node:worker_threads';
import { describeThrown, type FromProcess, isFromProcess, type ToProcess } from './protocol.ts';

interface Seat {
  readonly thread: Worker;
  ready: boolean;
  /** The task that runs in it. */
  job: number | undefined;
}

const [entry = '', threads = ''] = process.argv.slice(2);
const file = import.meta.url.endsWith('.ts')
  ? new URL('./hybrid-thread.ts', import.meta.url)
  : new URL('./hybrid-thread.js', import.meta.url);
const seats = new Set<Seat>();
/** Given to us while a new thread starts in the place of one that has gone. */
const waiting = new Map<number, ToProcess>();

// The parent has ended, perhaps by SIGKILL. Its tasks have nobody to tell, and a thread may be in a loop that never yields:
// this thread isn't, and SIGKILL waits for none.
const orphaned = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', orphaned);
if (!process.connected) orphaned();

const tellParent = (message: FromProcess) => void process.send?.(message, undefined, undefined, () => {});

function open(): void {
  const thread = new Worker(file, { workerData: entry });
  const seat: Seat = { thread, ready: false, job: undefined };
  let cause: unknown;
  seats.add(seat);
  thread.on('error', (error) => {
    cause = error;
  });
  thread.on('message', (said: unknown) => {
    if (!isFromProcess(said)) return;
    if (said.type === 'ready') {
      seat.ready = true;
      if ([...seats].every(({ ready }) => ready)) tellParent(said);
    } else if (said.type === 'done' && said.id === seat.job) {
      seat.job = undefined;
      tellParent(said);
    }
    fillSeats();
  });
  thread.on('exit', (exitCode) => {
    seats.delete(seat);
    if (seat.job !== undefined) tellParent({ type: 'done', id: seat.job, result: { exitCode } });
    if (seat.ready) open();
    else
      tellParent({
        type: 'failed',
        error: describeThrown(cause ?? `a thread ended with ${exitCode} before it was ready`),
      });
  });
}

function fillSeats(): void {
  for (const seat of seats) {
    if (!seat.ready || seat.job !== undefined) continue;
    for (const [id, message] of waiting) {
      waiting.delete(id);
      seat.job = id;
      seat.thread.postMessage(message);
      break;
    }
  }
}

function abort(id: number): void {
  if (waiting.delete(id)) tellParent({ type: 'done', id, result: { exitCode: 0 } });
  for (const { job, thread } of seats) if (job === id) void thread.terminate();
}

for (let seat = 0; seat < Number(threads); seat++) open();
process.on('message', (message: ToProcess) => {
  if (message.type === 'run') waiting.set(message.id, message);
  else if (message.type === 'abort') abort(message.id);
  else process.exit();
  fillSeats();
});
