import type { Exit, RemoteError } from './errors.ts';

/** From us to one of our processes. */
export type ToProcess =
  | { readonly type: 'run'; readonly id: number; readonly body: Uint8Array }
  /** Ends the thread in which the task runs, and puts a new one in its place. */
  | { readonly type: 'abort'; readonly id: number }
  | { readonly type: 'end' };

/** The last that is heard of a task: from now on its place is free. */
export interface Done {
  readonly type: 'done';
  readonly id: number;
  /** What it returned, as `serialize` of node:v8 wrote it; or it threw, or returned what can't be copied, or its thread has gone. */
  readonly result:
    | { readonly body: Uint8Array }
    | { readonly thrown: RemoteError }
    | { readonly uncloneable: string }
    | { readonly exit: Exit };
}

export type FromProcess = { readonly type: 'ready' } | { readonly type: 'failed'; readonly error: RemoteError } | Done;

/** The code that runs in a thread of ours may have other things to say. */
export function isFromProcess(said: unknown): said is FromProcess {
  if (typeof said !== 'object' || said === null || !('type' in said)) return false;
  if (said.type === 'done') return 'result' in said && typeof said.result === 'object' && said.result !== null;
  return said.type === 'ready' || said.type === 'failed';
}
