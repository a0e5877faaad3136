import type { SuiteResult, TestResult } from '../suite.ts';

/** What a host is asked to run. */
export interface RunRequest {
  /** Relative to the lab's folder. */
  readonly impl?: string;
  readonly names?: readonly string[];
  readonly files?: readonly string[];
  readonly attempts: number;
  readonly bail: boolean;
  readonly env: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  readonly blockedMs: number;
  readonly loadMs: number;
}

export type ToHost =
  | { readonly type: 'run'; readonly id: number; readonly request: RunRequest }
  | { readonly type: 'cancel'; readonly id: number };

export type FromHost =
  | { readonly type: 'test'; readonly id: number; readonly test: TestResult }
  | { readonly type: 'output'; readonly id: number; readonly text: string }
  | { readonly type: 'result'; readonly id: number; readonly result: SuiteResult }
  | { readonly type: 'broken'; readonly id: number; readonly why: string }
  /** A process group that runs tests: whoever outlives the other, we or the host, ends it. */
  | { readonly type: 'group'; readonly pid: number; readonly up: boolean };

/** Ends a process and all that it started, unless that made groups of its own. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}
