import { afterAll } from 'vitest';
import { type RunOptions, type RunReport, runWorkflow } from '#lab';
import { newProject } from './project.ts';

export const project = newProject();
afterAll(() => project[Symbol.dispose]());

export const PATH = '.github/workflows/ci.yml';
/** Commits the jobs as a workflow. */
export const commit = (jobs: string) => project.commit({ [PATH]: `on: push\njobs:\n${jobs.replace(/^/gm, '  ')}` });
export const run = (options: Partial<RunOptions> = {}) =>
  runWorkflow({ repository: project.folder, graceMs: 500, ...options });
/** Commits a workflow of these jobs, and runs it. */
export const runJobs = (jobs: string, options?: Partial<RunOptions>) => {
  commit(jobs);
  return run(options);
};
export const steps = (lines: string) => `runs-on: ubuntu-latest\n  steps:\n${lines.replace(/^/gm, '    ')}`;
/** How it went, to be read in a failing law. */
export const tale = ({ conclusion, jobs }: RunReport) => ({
  conclusion,
  ...Object.fromEntries(
    jobs.map((job) => [job.name, [job.conclusion, ...job.steps.map((step) => step.conclusion)].join(' ')]),
  ),
});
export const logOf = ({ jobs }: RunReport) => jobs.flatMap((job) => job.steps.map((step) => step.log)).join('');
export const failed = ({ jobs }: RunReport) =>
  jobs.flatMap((job) => [job.reason, ...job.steps.map((step) => step.log)]).join('\n');
