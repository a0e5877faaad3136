import type { RemoteError } from './errors.ts';

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
    | { readonly exitCode: number };
}

export type FromProcess = { readonly type: 'ready' } | { readonly type: 'failed'; readonly error: RemoteError } | Done;

/** A process of ours may have been given other things to say, by the code that runs in it. */
export function isFromProcess(said: unknown): said is FromProcess {
  if (typeof said !== 'object' || said === null || !('type' in said)) return false;
  return said.type === 'ready' || said.type === 'failed' || said.type === 'done';
}

/** An error's texts, whatever it was that was thrown: this never throws itself. */
export function describeThrown(thrown: unknown): RemoteError {
  try {
    if (thrown instanceof Error) {
      const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined;
      return { name: `${thrown.name}`, message: `${thrown.message}`, stack: `${thrown.stack}`, code };
    }
    return { name: typeof thrown, message: String(thrown), stack: '', code: undefined };
  } catch {
    return { name: typeof thrown, message: "what was thrown can't be read", stack: '', code: undefined };
  }
}
