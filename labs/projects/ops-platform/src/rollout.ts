import type { StepReport } from './machine.ts';

/**
 * Of a job, which is what one host does in one run. `unknown`: nobody can say whether it has done anything, or does it still.
 */
export const JOB_STATES = ['waiting', 'queued', 'running', 'ok', 'changed', 'failed', 'skipped', 'unknown'] as const;
export type JobState = (typeof JOB_STATES)[number];

export interface BatchedJob {
  readonly batch: number;
  readonly state: JobState;
}

export type Decision =
  | { readonly next: 'wait' | 'done' | 'abort' }
  | { readonly next: 'start'; readonly batch: number };

/** Cuts hosts into batches: a number of hosts, or percent of all, at least one. @returns the batch of each host, from 0 */
export function batchesOf(hosts: readonly string[], batch: number | string): ReadonlyMap<string, number> {
  const share = typeof batch === 'string' ? Math.floor((hosts.length * Number.parseFloat(batch)) / 100) : batch;
  const size = Math.max(1, share);
  return new Map(hosts.map((host, n) => [host, Math.floor(n / size)]));
}

/**
 * What comes next in a run: one batch after the other, and none after a batch of which more than `maxFailedPercent` have
 * failed or are unknown.
 */
export function decide(jobs: readonly BatchedJob[], maxFailedPercent: number): Decision {
  if (jobs.some(({ state }) => state === 'queued' || state === 'running')) return { next: 'wait' };
  const begun = jobs.filter(({ state }) => state !== 'waiting');
  const latest = Math.max(...begun.map(({ batch }) => batch));
  const batch = begun.filter((job) => job.batch === latest);
  const bad = batch.filter(({ state }) => state === 'failed' || state === 'unknown');
  if (bad.length * 100 > maxFailedPercent * batch.length) return { next: 'abort' };
  const waiting = jobs.filter(({ state }) => state === 'waiting').map((job) => job.batch);
  return waiting.length === 0 ? { next: 'done' } : { next: 'start', batch: Math.min(...waiting) };
}

/** What the steps come to. One that was skipped has not been done; one without a last word makes it `unknown`. */
export function stateOf(steps: readonly string[], reports: readonly StepReport[]): JobState {
  const states = new Set(steps.map((name) => reports.findLast((report) => report.name === name)?.state ?? 'running'));
  if (states.has('failed') || states.has('skipped')) return 'failed';
  if (states.has('running')) return 'unknown';
  return states.has('changed') ? 'changed' : 'ok';
}
