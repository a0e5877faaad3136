import type { RemoteError } from './remote-error.ts';

/** What a worker is told. One task at a time: the next comes when it has answered. */
export type ToWorker =
  | {
      readonly type: 'start';
      readonly file: string;
      readonly initializer: { name: string; input?: unknown } | undefined;
    }
  | { readonly type: 'run'; readonly id: number; readonly task: string; readonly parcel: unknown }
  | { readonly type: 'end' };

/** What a worker tells. */
export type FromWorker =
  | { readonly type: 'pool:ready' }
  | { readonly type: 'pool:failed'; readonly error: RemoteError }
  | Answer;

/** The outcome of a run: the results of its inputs, up to the first that failed. */
export interface Answer {
  readonly type: 'pool:done';
  readonly id: number;
  readonly values: readonly unknown[];
  readonly error?: RemoteError;
}

/** Whether a message is ours: a task may send some of its own (`parentPort.postMessage`, `process.send`). */
export function isFromWorker(message: unknown): message is FromWorker {
  if (typeof message !== 'object' || message === null || !('type' in message)) return false;
  return message.type === 'pool:ready' || message.type === 'pool:failed' || message.type === 'pool:done';
}

/**
 * How a process tells it. A channel that can't read what it was sent throws where nobody can catch it, so it is sent
 * bytes, and we read them.
 */
export interface Packed {
  readonly type: 'pool:packed';
  readonly bytes: Uint8Array;
}

export function isPacked(message: unknown): message is Packed {
  if (typeof message !== 'object' || message === null || !('type' in message) || !('bytes' in message)) return false;
  return message.type === 'pool:packed' && message.bytes instanceof Uint8Array;
}
