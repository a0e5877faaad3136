import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import pLimit, { type LimitFunction } from 'p-limit';
import { InvalidArgumentError, isForeseen } from './errors.ts';
import { condition, type Scope, settle, truthy, type Value } from './expression.ts';
import { commitOf, git } from './git.ts';
import { type Execution, type JobReport, type Part, runCell } from './job.ts';
import { type Conclusion, rules as house, type Rules } from './rules.ts';
import { expandMatrix, type Job, parseWorkflow, type Workflow } from './workflow.ts';

export interface RunOptions {
  /** A folder of a git repository. */
  readonly repository: string;
  /** Path of the workflow in it. Default `.github/workflows/ci.yml`. It is read from the commit, too. */
  readonly workflow?: string;
  /** The commit to run. Default HEAD. */
  readonly ref?: string;
  /** Added to the github context: `event`, `event_name`, `head_ref` … */
  readonly github?: { readonly [name: string]: Value };
  readonly inputs?: { readonly [name: string]: Value };
  /** The repository's variables: the vars context. */
  readonly vars?: { readonly [name: string]: Value };
  /** Masked in all that comes out. */
  readonly secrets?: { readonly [name: string]: string };
  /** Variables for all steps. Of our own environment they see PATH alone. */
  readonly env?: { readonly [name: string]: string };
  /** Actions, without their version, whose work this machine has done. Default `actions/checkout`: the clone is it. */
  readonly provided?: readonly string[];
  /** Jobs at once. Default: the processors. */
  readonly maxJobs?: number;
  /** From SIGTERM to SIGKILL, and for each step that cleans up after the end of a job. Default 5,000 ms. */
  readonly graceMs?: number;
  /** Characters that are kept of what a step writes, the last ones. Default 1,000,000. */
  readonly maxLog?: number;
  /** Cancels the run, which then resolves and says so. Steps with `if: always()` still run. */
  readonly signal?: AbortSignal;
}

export interface RunReport {
  readonly conclusion: Conclusion;
  readonly sha: string;
  readonly jobs: readonly JobReport[];
  /** Failures that the conclusion does not show, as `job / step`: `continue-on-error` made a success of each. */
  readonly hidden: readonly string[];
  /** Actions, and jobs for another machine, as `job / step`. */
  readonly notExecuted: readonly string[];
  /** Changed files, and files that git doesn't know: the run did not see them. */
  readonly uncommitted: readonly string[];
}

/**
 * Runs the `run:` steps of a workflow as processes of this machine, each job in a clean clone of the commit.
 *
 * Needs git, bash and a POSIX system. What is green or red on GitHub is so here. What can't be executed here is reported,
 * and never passes. `on:`, `concurrency`, `permissions`, environments, `max-parallel` and an action's `with:` are not
 * looked at.
 *
 * @throws InvalidArgumentError; CheckoutError without the commit, or the workflow in it; WorkflowError on what is no
 *   workflow, before anything has run. However its steps end, it resolves.
 */
export async function runWorkflow(options: RunOptions, rules: Rules = house): Promise<RunReport> {
  const {
    maxJobs = availableParallelism(),
    graceMs = 5_000,
    maxLog = 1_000_000,
    provided = ['actions/checkout'],
  } = options;
  check(options, { maxJobs, graceMs, maxLog });
  const { github = {}, inputs = {}, vars = {}, secrets = {}, env = {}, signal } = options;
  const commit = await commitOf(options.repository, options.ref ?? 'HEAD');
  const file = options.workflow ?? '.github/workflows/ci.yml';
  const workflow = parseWorkflow(await git(commit.top, 'show', `${commit.sha}:${file}`));
  const root = await mkdtemp(join(tmpdir(), 'workflow-'));
  const start = performance.now();
  const execution: Execution = {
    ...{ rules, commit, workflow, root, given: { inputs, vars }, secrets, env, provided, graceMs, maxLog },
    github: {
      sha: commit.sha,
      ref: commit.ref,
      ref_name: commit.ref.replace(/^refs\/(?:heads|tags)\//, ''),
      event_name: 'push',
      event: {},
      workflow: workflow.name ?? file,
      ...github,
    },
    now: () => performance.now() - start,
  };
  try {
    const jobs = await runJobs(execution, pLimit(maxJobs), signal);
    const steps = jobs.flatMap((job) => job.steps.map((step) => ({ ...step, name: `${job.name} / ${step.name}` })));
    const elsewhere = jobs.filter((job) => job.outcome === 'incomplete' && job.steps.length === 0);
    const names = (all: readonly { name: string }[]) => all.map(({ name }) => name);
    return {
      conclusion: rules.runConclusion(jobs.map((job) => job.conclusion)),
      sha: commit.sha,
      jobs,
      hidden: names([...steps, ...jobs].filter((it) => it.outcome === 'failure' && it.conclusion === 'success')),
      notExecuted: names([
        ...steps.filter((step) => step.outcome === 'not-executed' || step.outcome === 'provided'),
        ...elsewhere,
      ]),
      uncommitted: commit.uncommitted,
    };
  } finally {
    await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  }
}

function check(options: RunOptions, numbers: { [name: string]: number }): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new InvalidArgumentError(`${name} must be a whole number above 0; it is ${inspect(value)}.`);
  }
  const { repository, workflow = 'ci.yml', ref = 'HEAD', secrets = {}, env = {} } = options;
  for (const [name, value] of Object.entries({ repository, workflow, ref, ...secrets, ...env })) {
    const text = typeof value === 'string' && !value.includes('\0');
    if (!text) throw new InvalidArgumentError(`${name} must be a text without U+0000; it is of type ${typeof value}.`);
  }
}

async function runJobs(
  execution: Execution,
  limit: LimitFunction,
  signal: AbortSignal | undefined,
): Promise<JobReport[]> {
  const { workflow } = execution;
  const ended = new Map<string, Promise<JobReport[]>>();
  const begin = async (id: string, job: Job): Promise<JobReport[]> => {
    // What it needs may stand below it in the file: all are entered first.
    await null;
    const before = new Map<string, JobReport[]>();
    for (const each of ancestorsOf(workflow, id)) before.set(each, (await ended.get(each)) ?? []);
    return runJob(execution, { id, job, before, limit, signal });
  };
  for (const [id, job] of Object.entries(workflow.jobs)) ended.set(id, begin(id, job));
  // Nothing goes on behind the back of whoever is told of an error.
  await Promise.allSettled(ended.values());
  return (await Promise.all(ended.values())).flat();
}

interface Start {
  readonly id: string;
  readonly job: Job;
  /** How all that it needs, near and far, has ended. */
  readonly before: ReadonlyMap<string, readonly JobReport[]>;
  readonly limit: LimitFunction;
  readonly signal: AbortSignal | undefined;
}

async function runJob(execution: Execution, { id, job, before, limit, signal }: Start): Promise<JobReport[]> {
  const { rules, now, github, given, secrets } = execution;
  const from = now();
  const report = (outcome: Conclusion, reason?: string): JobReport[] => [
    { id, name: id, outcome, conclusion: outcome, steps: [], outputs: {}, reason, from, to: now() },
  ];
  const results = new Map([...before].map(([each, cells]) => [each, resultOf(cells)]));
  const needs: Value = Object.fromEntries(
    job.needs.map((each) => [
      each,
      {
        result: results.get(each) ?? 'skipped',
        outputs: Object.assign({}, ...(before.get(each) ?? []).map((cell) => cell.outputs)),
      },
    ]),
  );
  const status = signal?.aborted ? 'cancelled' : rules.statusOf([...results.values()]);
  const scope: Scope = { contexts: { github, ...given, needs }, status, workspace: execution.root };
  try {
    if (!rules.mayRun(condition(String(job.if ?? 'success()')), scope))
      return report(signal?.aborted ? 'cancelled' : 'skipped');
    const { matrix } = job.strategy ?? {};
    const cells = matrix === undefined ? [{}] : expandMatrix(settle(matrix as Value, scope));
    const failFast = truthy(settle(job.strategy?.['fail-fast'] ?? true, scope));
    using stop = linked(signal);
    const run = async (part: Part) => {
      const result = await runCell(execution, part);
      if (failFast && result.conclusion === 'failure') stop.abort();
      return result;
    };
    return await Promise.all(
      cells.map((cell, index) => {
        const strategy = { 'fail-fast': failFast, 'job-index': index, 'job-total': cells.length };
        return limit(run, { id, job, cell, strategy, needs, signal: stop.signal });
      }),
    );
  } catch (error) {
    if (!isForeseen(error)) throw error;
    return report('failure', rules.mask(error.message, Object.values(secrets)));
  }
}

/** Of the cells of a matrix the worst counts. */
function resultOf(cells: readonly JobReport[]): Conclusion {
  const order: Conclusion[] = ['failure', 'cancelled', 'incomplete', 'skipped'];
  return order.find((each) => cells.some((cell) => cell.conclusion === each)) ?? 'success';
}

function ancestorsOf({ jobs }: Workflow, id: string): Set<string> {
  const found = new Set(jobs[id]?.needs);
  for (const each of found) for (const further of jobs[each]?.needs ?? []) found.add(further);
  return found;
}

/** A controller that follows `signal`, and leaves nothing on it. */
function linked(signal: AbortSignal | undefined) {
  const own = new AbortController();
  const follow = () => own.abort(signal?.reason);
  signal?.addEventListener('abort', follow);
  if (signal?.aborted) follow();
  return {
    signal: own.signal,
    abort: () => own.abort(),
    [Symbol.dispose]: () => signal?.removeEventListener('abort', follow),
  };
}
