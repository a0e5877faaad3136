import { type ChildProcess, fork } from 'node:child_process';
import { deserialize, serialize } from 'node:v8';
import { type Transferable, Worker } from 'node:worker_threads';
import type { WorkerExit } from './errors.ts';
import { type FromWorker, isFromWorker, isPacked, type ToWorker } from './protocol.ts';

export type WorkerKind = 'thread' | 'process';

/** A worker as the pool sees it. */
export interface WorkerHandle {
  /** @throws what structured clone throws. Posting to a worker that has ended is silently nothing. */
  post(message: ToWorker, transfer?: readonly Transferable[]): void;
  /** While it is held, it keeps our process alive. It is when it starts. */
  hold(on: boolean): void;
  /** Ends it wherever it stands, a loop that never yields included. No `finally` of it runs. */
  kill(): void;
}

export interface WorkerEvents {
  message(message: FromWorker): void;
  /** What it has sent is too deep for our stack, or of a kind that only the sender knows. */
  unreadable(cause: unknown): void;
  /** Once, after the last message. */
  exit(exit: WorkerExit): void;
}

/** What travels. While it waits it is a copy, so that what the caller does to the original has no effect. */
export interface Parcel {
  readonly body: unknown;
  readonly transfer: readonly Transferable[];
}

// Where src/ is compiled, so is the worker. Below node_modules it has to be: Node strips no types there.
const entry = import.meta.url.endsWith('.ts')
  ? new URL('./worker.ts', import.meta.url)
  : new URL('./worker.js', import.meta.url);

/** @throws what structured clone throws for what can't be copied. */
export function pack(kind: WorkerKind, inputs: readonly unknown[], transfer: readonly Transferable[]): Parcel {
  if (kind === 'process') return { body: serialize(inputs), transfer: [] };
  return structuredClone({ body: inputs, transfer }, { transfer: [...transfer] });
}

/** Heap of a worker, in MB. */
export interface Limits {
  readonly maxOldGenerationSizeMb?: number;
}

export function startWorker(kind: WorkerKind, limits: Limits, events: WorkerEvents): WorkerHandle {
  return kind === 'thread' ? threadHandle(limits, events) : processHandle(limits, events);
}

function threadHandle(resourceLimits: Limits, { message, unreadable, exit }: WorkerEvents): WorkerHandle {
  const execArgv = ownFlags();
  // Flags of the whole process are refused when they are named, and taken over when they are not.
  const flags = execArgv.length === process.execArgv.length ? {} : { execArgv };
  const thread = new Worker(entry, { resourceLimits, ...flags });
  let cause: unknown;
  thread.on('message', (said: unknown) => isFromWorker(said) && message(said));
  thread.on('messageerror', unreadable);
  thread.on('error', (error) => {
    cause = error;
  });
  thread.on('exit', (code) => exit({ code, signal: null, cause }));
  return {
    post: (told, transfer = []) => thread.postMessage(told, [...transfer]),
    hold: (on) => (on ? thread.ref() : thread.unref()),
    kill: () => void thread.terminate(),
  };
}

/** Who calls `process.exit` leaves no child behind, whatever it computes. (Else each ends when its channel closes.) */
const children = new Set<ChildProcess>();
const killAll = () => {
  for (const child of children) child.kill('SIGKILL');
};

function processHandle(limits: Limits, { message, unreadable, exit }: WorkerEvents): WorkerHandle {
  const heap = limits.maxOldGenerationSizeMb;
  const execArgv = [...ownFlags(), ...(heap === undefined ? [] : [`--max-old-space-size=${heap}`])];
  const child = fork(entry, [], { serialization: 'advanced', execArgv });
  let cause: unknown;
  if (children.size === 0) process.on('exit', killAll);
  children.add(child);
  child.on('message', (packed: unknown) => {
    if (!isPacked(packed)) return;
    let said: unknown;
    try {
      said = deserialize(packed.bytes);
    } catch (cause) {
      return unreadable(cause);
    }
    if (isFromWorker(said)) message(said);
  });
  child.on('error', (error) => {
    cause = error;
    if (child.pid === undefined) closed(null, null);
  });
  // Not 'exit': that may come before the last message.
  child.on('close', (code, signal) => closed(code, signal));
  const closed = (code: number | null, signal: NodeJS.Signals | null) => {
    if (!children.delete(child)) return;
    if (children.size === 0) process.off('exit', killAll);
    exit({ code, signal, cause });
  };
  return {
    // What the channel says of a child that has died is said by its exit.
    post(told) {
      const bare = told.type === 'run' && !(told.parcel instanceof Uint8Array);
      child.send(bare ? { ...told, parcel: serialize(told.parcel) } : told, () => {});
    },
    hold(on) {
      child[on ? 'ref' : 'unref']();
      child.channel?.[on ? 'ref' : 'unref']();
    },
    kill: () => void child.kill('SIGKILL'),
  };
}

/** The flags that we were started with, less a program that is no file (`node -e CODE`): each worker would run it. */
function ownFlags(): string[] {
  const withValue = /^(-e|-p|-pe|--eval|--print|--input-type)$/;
  return process.execArgv.filter(
    (flag, at, flags) =>
      !withValue.test(flag) && !withValue.test(flags[at - 1] ?? '') && !/^--(eval|print|input-type)=/.test(flag),
  );
}
