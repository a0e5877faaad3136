import { randomUUID } from 'node:crypto';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ExpressionError, isForeseen } from './errors.ts';
import { condition, type Scope, type Status, settle, textOf, truthy, type Value } from './expression.ts';
import type { Commit } from './git.ts';
import { Processes } from './process.ts';
import type { Conclusion, Rules, StepConclusion } from './rules.ts';
import type { Cell, Job, Step, Workflow } from './workflow.ts';

export interface StepReport {
  readonly name: string;
  /** How it ended. */
  readonly outcome: StepConclusion;
  /** What counts: with `continue-on-error` a failure is a success. */
  readonly conclusion: StepConclusion;
  readonly exitCode: number | null;
  readonly timedOut: boolean;
  /** What it wrote, secrets masked. */
  readonly log: string;
  readonly ms: number;
}

export interface JobReport {
  readonly id: string;
  /** Its id; in a matrix with its cell, as `test (24, linux)`. */
  readonly name: string;
  readonly outcome: Conclusion;
  readonly conclusion: Conclusion;
  readonly steps: readonly StepReport[];
  readonly outputs: { readonly [name: string]: string };
  /** Why it ended otherwise than by its steps. */
  readonly reason: string | undefined;
  /** Milliseconds since the run began. */
  readonly from: number;
  readonly to: number;
}

/** What all jobs of a run share. */
export interface Execution {
  readonly rules: Rules;
  readonly commit: Commit;
  readonly workflow: Workflow;
  /** A folder that is ours, and goes when the run ends. */
  readonly root: string;
  readonly github: { readonly [name: string]: Value };
  /** Contexts as they were given: inputs, vars. */
  readonly given: { readonly [name: string]: Value };
  readonly secrets: { readonly [name: string]: string };
  readonly env: { readonly [name: string]: string };
  readonly provided: readonly string[];
  readonly graceMs: number;
  readonly maxLog: number;
  now(): number;
}

/** A job, or one cell of its matrix. */
export interface Part {
  readonly id: string;
  readonly job: Job;
  readonly cell: Cell;
  readonly strategy: Value;
  readonly needs: Value;
  readonly signal: AbortSignal;
}

type Env = { [name: string]: string };

const SIX_HOURS = 360;
/** What of the github context is in the environment, too. */
const NAMES = [
  'sha',
  'ref',
  'ref_name',
  'event_name',
  'head_ref',
  'base_ref',
  'workflow',
  'repository',
  'actor',
  'run_id',
];
/** GitHub's limit on what a step hands on. */
const MOST_HANDED_ON = 2 ** 20;

/** Names come from outside: an object without a prototype takes `__proto__` for what it is, a name. */
const nothing = (): Env => Object.create(null);

export async function runCell(execution: Execution, part: Part): Promise<JobReport> {
  const { rules, now } = execution;
  const from = now();
  const values = Object.values(part.cell).map((value) =>
    typeof value === 'object' ? JSON.stringify(value) : textOf(value),
  );
  const name = values.length > 0 ? `${part.id} (${values.join(', ')})` : part.id;
  const reports: StepReport[] = [];
  const report = (outcome: Conclusion, carryOn: boolean, outputs: Env, reason?: string): JobReport => {
    const conclusion = carryOn && outcome === 'failure' ? 'success' : outcome;
    return { id: part.id, name, outcome, conclusion, steps: reports, outputs, reason, from, to: now() };
  };
  if (part.signal.aborted) return report('cancelled', false, nothing());
  using run = new CellRun(execution, part);
  try {
    const elsewhere = run.elsewhere();
    if (elsewhere !== undefined) return report('incomplete', false, nothing(), elsewhere);
    await run.prepare();
    for (const [index, step] of (part.job.steps ?? []).entries()) reports.push(await run.step(step, index));
    const outcome = rules.jobOutcome(reports.map((each) => each.conclusion));
    const ended = outcome === 'success' && run.cutShort ? 'cancelled' : outcome;
    return report(ended, run.carryOn, run.outputs());
  } catch (error) {
    if (!isForeseen(error)) throw error;
    return report('failure', run.carryOn, nothing(), run.hide(error.message));
  }
}

class CellRun {
  carryOn = false;
  /** A step was left out since the run was cancelled. */
  cutShort = false;
  readonly #execution: Execution;
  readonly #part: Part;
  readonly #folder: string;
  readonly #work: string;
  readonly #processes: Processes;
  readonly #steps: { [id: string]: Value } = Object.create(null);
  readonly #exported = nothing();
  /** Folders that steps have put before PATH, the last one first. */
  readonly #paths: string[] = [];
  readonly #hidden: string[];
  #deadline = Number.POSITIVE_INFINITY;
  #status: Status = 'success';

  constructor(execution: Execution, part: Part) {
    this.#execution = execution;
    this.#part = part;
    this.#folder = join(execution.root, randomUUID());
    this.#work = join(this.#folder, 'work');
    this.#hidden = Object.values(execution.secrets);
    this.#processes = new Processes(execution.rules.signalGroup);
  }

  hide(text: string): string {
    return this.#execution.rules.mask(text, this.#hidden);
  }

  /** Why this machine can't execute it. */
  elsewhere(): string | undefined {
    const { job } = this.#part;
    if (job.uses !== undefined) return `it is the reusable workflow ${job.uses}`;
    if (job.container !== undefined || job.services !== undefined) return 'it runs in containers';
    const machine = settle(job['runs-on'] ?? null, this.#scope({}));
    const foreign = /\b(windows|macos)\b/i.exec(JSON.stringify(machine));
    return foreign ? `it runs on ${foreign[0]}` : undefined;
  }

  async prepare(): Promise<void> {
    const { job } = this.#part;
    const scope = this.#scope({});
    this.carryOn = truthy(settle(job['continue-on-error'] ?? false, scope));
    this.#deadline = performance.now() + minutes(job['timeout-minutes'], scope);
    await mkdir(join(this.#folder, 'temp'), { recursive: true });
    await this.#execution.rules.checkout(this.#execution.commit, this.#work);
  }

  #scope(env: Env): Scope {
    const { github, given, secrets } = this.#execution;
    const { cell, strategy, needs, id } = this.#part;
    const runner = { os: process.platform === 'darwin' ? 'macOS' : 'Linux', temp: join(this.#folder, 'temp') };
    const contexts = {
      ...given,
      secrets,
      strategy,
      needs,
      matrix: cell,
      steps: this.#steps,
      env,
      runner,
      job: { status: this.#status },
    };
    return {
      contexts: { ...contexts, github: { ...github, job: id, workspace: this.#work } },
      status: this.#status,
      workspace: this.#work,
    };
  }

  /** Later ones win, each written in terms of those before; what the runner says of itself wins over all. */
  #env(step: Step): Env {
    const { workflow, env, github, rules } = this.#execution;
    let all: Env = { ...env };
    const layer = (texts: Step['env']) => {
      const scope = this.#scope(all);
      const own = Object.entries(texts ?? {}).map(([name, value]) => [name, rules.interpolate(textOf(value), scope)]);
      all = { ...all, ...Object.fromEntries(own) };
    };
    layer(workflow.env);
    layer(this.#part.job.env);
    all = { ...all, ...this.#exported };
    layer(step.env);
    const file = (name: string) => join(this.#folder, 'temp', name);
    const own: Env = {
      CI: 'true',
      GITHUB_ACTIONS: 'true',
      GITHUB_JOB: this.#part.id,
      GITHUB_WORKSPACE: this.#work,
      HOME: this.#folder,
      LANG: 'C.UTF-8',
      PATH: process.env['PATH'] ?? '',
      RUNNER_OS: process.platform === 'darwin' ? 'macOS' : 'Linux',
      RUNNER_TEMP: file('.'),
      TMPDIR: file('.'),
      GITHUB_OUTPUT: file('output'),
      GITHUB_ENV: file('env'),
      GITHUB_PATH: file('path'),
      GITHUB_STEP_SUMMARY: file('summary'),
    };
    for (const name of NAMES) own[`GITHUB_${name.toUpperCase()}`] = textOf(github[name] ?? null);
    const path = [...this.#paths, all['PATH'] ?? own['PATH'] ?? ''];
    return { ...all, ...own, PATH: path.join(':') };
  }

  async step(step: Step, index: number): Promise<StepReport> {
    const { rules, provided } = this.#execution;
    const start = performance.now();
    let name = step.name ?? step.uses ?? step.run?.trim().split('\n', 1)[0] ?? '';
    const outputs = nothing();
    let carryOn = false;
    let [exitCode, timedOut, log]: [number | null, boolean, string] = [null, false, ''];
    if (this.#part.signal.aborted && this.#status === 'success') this.#status = 'cancelled';
    const perform = async (): Promise<StepConclusion> => {
      const env = this.#env(step);
      const scope = this.#scope(env);
      name = rules.interpolate(name, scope);
      if (!rules.mayRun(condition(String(step.if ?? 'success()')), scope)) {
        this.cutShort ||= this.#status === 'cancelled';
        return 'skipped';
      }
      carryOn = truthy(settle(step['continue-on-error'] ?? false, scope));
      if (step.uses !== undefined) return rules.action(step.uses, provided);
      const end = await this.#script(step, index, env, scope);
      [exitCode, timedOut, log] = [end.exitCode, end.ended === 'timed out', end.log];
      for (const command of end.commands) {
        const [, mask, name = '', value = ''] = COMMAND.exec(command) ?? [];
        if (mask !== undefined) this.#hidden.push(unescaped(mask));
        else outputs[name] = unescaped(value);
      }
      if (end.ended === 'cancelled') return 'cancelled';
      Object.assign(outputs, readVariables(await this.#written('output')));
      Object.assign(this.#exported, readVariables(await this.#written('env')));
      for (const each of (await this.#written('path')).split(/\r?\n/)) if (each !== '') this.#paths.unshift(each);
      return end.exitCode === 0 && !timedOut ? 'success' : 'failure';
    };
    let outcome: StepConclusion;
    try {
      outcome = await perform();
    } catch (error) {
      if (!isForeseen(error)) throw error;
      log += `${error.message}\n`;
      outcome = 'failure';
    }
    const conclusion = carryOn && outcome === 'failure' ? 'success' : outcome;
    if (this.#status === 'success' && (conclusion === 'failure' || conclusion === 'cancelled'))
      this.#status = conclusion;
    if (step.id !== undefined) this.#steps[step.id] = { outcome, conclusion, outputs };
    return {
      name: this.hide(name),
      outcome,
      conclusion,
      exitCode,
      timedOut,
      log: this.hide(log),
      ms: performance.now() - start,
    };
  }

  async #script(step: Step, index: number, env: Env, scope: Scope) {
    const { rules, workflow, graceMs, maxLog } = this.#execution;
    const defaults = { ...workflow.defaults?.run, ...this.#part.job.defaults?.run };
    const temp = join(this.#folder, 'temp');
    const shell = step.shell ?? defaults.shell;
    const file = join(temp, `step-${index}.sh`);
    await mkdir(temp, { recursive: true });
    await writeFile(file, rules.interpolate(step.run ?? '', scope));
    for (const name of ['output', 'env', 'path', 'summary']) await writeFile(join(temp, name), '');
    const folder = rules.interpolate(step['working-directory'] ?? defaults['working-directory'] ?? '.', scope);
    // What cleans up after the end of the job has a moment of its own.
    const over = this.#part.signal.aborted || performance.now() >= this.#deadline;
    const left = over ? graceMs : this.#deadline - performance.now();
    return this.#processes.run(rules.shell(shell === undefined ? undefined : rules.interpolate(shell, scope), file), {
      cwd: resolve(this.#work, folder),
      env,
      signal: over ? new AbortController().signal : this.#part.signal,
      timeoutMs: Math.min(minutes(step['timeout-minutes'], scope), left),
      graceMs,
      maxLog,
    });
  }

  /** What the step has written to $GITHUB_OUTPUT, _ENV or _PATH: nothing when it has removed the file. */
  async #written(name: string): Promise<string> {
    const file = join(this.#folder, 'temp', name);
    const { size } = (await stat(file).catch(() => undefined)) ?? { size: 0 };
    if (size > MOST_HANDED_ON) throw new ExpressionError(`$GITHUB_${name.toUpperCase()}`, 'it is larger than 1 MiB.');
    return size === 0 ? '' : readFile(file, 'utf8');
  }

  /** As on GitHub: one that holds a secret goes no further. */
  outputs(): Env {
    const scope = this.#scope(nothing());
    const all = Object.entries(this.#part.job.outputs ?? {}).map(
      ([name, value]) => [name, textOf(settle(value, scope))] as const,
    );
    return Object.fromEntries(all.filter(([, value]) => this.hide(value) === value));
  }

  [Symbol.dispose](): void {
    this.#processes[Symbol.dispose]();
  }
}

/** `::add-mask::VALUE`, or `::set-output name=NAME::VALUE`. */
const COMMAND = /^::(?:add-mask::(.+)|set-output name=([^:]+)::(.*))$/;
const unescaped = (value: string) => value.replaceAll('%0D', '\r').replaceAll('%0A', '\n').replaceAll('%25', '%');

function minutes(setting: Value | undefined, scope: Scope): number {
  const value = Number(settle(setting ?? SIX_HOURS, scope));
  if (!(value > 0)) throw new ExpressionError(String(setting), 'a time limit is a number of minutes above 0.');
  return value * 60_000;
}

/** `name=value` lines, and `name<<WORD`, lines, `WORD`. @throws ExpressionError on anything else */
function readVariables(text: string): Env {
  const found = nothing();
  const lines = text.split(/\r?\n/);
  for (let line = lines.shift(); line !== undefined; line = lines.shift()) {
    if (line === '') continue;
    const [, name, sign, rest = ''] = /^([^=<]+)(=|<<)(.*)$/.exec(line) ?? [];
    if (name === undefined) throw new ExpressionError(line, 'what a step hands on is name=value, or name<<WORD.');
    const end = sign === '<<' ? lines.indexOf(rest) : -1;
    if (sign === '<<' && end < 0) throw new ExpressionError(line, `no line says ${rest}.`);
    found[name] =
      sign === '='
        ? rest
        : lines
            .splice(0, end + 1)
            .slice(0, -1)
            .join('\n');
  }
  return found;
}
