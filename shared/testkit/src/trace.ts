import { appendFileSync } from 'node:fs';

/**
 * What the workers and the reporter tell the process that supervises them, one JSON line each in the file LAB_TRACE.
 * Written synchronously: a test that blocks the event loop forever has still said its name.
 */
export type TraceEvent =
  | { readonly type: 'worker'; readonly pid: number }
  | { readonly type: 'beat'; readonly pid: number }
  | { readonly type: 'start'; readonly pid: number; readonly id: string; readonly name: string }
  | { readonly type: 'end'; readonly pid: number; readonly id: string }
  | { readonly type: 'evidence'; readonly id: string; readonly text: string }
  | { readonly type: 'servers'; readonly pid: number; readonly state: 'starting' | 'started' }
  | { readonly type: 'missing'; readonly suite: string; readonly reason: string }
  | { readonly type: 'result'; readonly id: string; readonly result: TracedResult }
  | { readonly type: 'problem'; readonly text: string }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'done' };

export interface TracedResult {
  readonly name: string;
  readonly path: readonly string[];
  readonly file: string;
  readonly state: 'passed' | 'failed' | 'skipped';
  readonly ms: number;
  readonly error?: string;
  readonly note?: string;
}

const file = process.env['LAB_TRACE'];

/** Does nothing outside `lab-test` and `runSuite`, so that a plain `vitest run` works too. */
export function trace(event: TraceEvent): void {
  if (file) appendFileSync(file, `${JSON.stringify(event)}\n`);
}
