import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { chmod, lstat, mkdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { checkIntegerIn, InvalidArgumentError, StepFailedError } from './errors.ts';
import { Bounded, clean, Mask } from './output.ts';
import {
  type CommandSpec,
  type FileSpec,
  fill,
  MOST_STEPS,
  Name,
  type ServiceSpec,
  type Step,
  Steps,
  Vars,
} from './runbook.ts';
import { endOfService, readService, startService } from './service.ts';

/** Bytes: more than the content of a step can have. */
const LARGEST = 2 ** 18;

/** What a machine is given to do. */
export const Job = z.object({
  run: z.uuid(),
  /** Say what would change, and change nothing. */
  check: z.boolean(),
  steps: Steps,
  vars: Vars,
  /** Values, too, that are in no output. */
  secrets: Vars,
});
export type Job = z.output<typeof Job>;

export const StepReport = z.object({
  name: Name,
  /** `changed` in check mode: it would change. */
  state: z.enum(['running', 'ok', 'changed', 'failed', 'skipped']),
  /** Why, in a sentence. */
  note: z.string().max(2_000),
  output: z.string().max(20_000),
});
export type StepReport = z.output<typeof StepReport>;
export const StepReports = z.array(StepReport).max(MOST_STEPS);

export interface MachineOptions {
  /** The folder that is this machine: files of steps are in it, programs run in it. */
  readonly root: string;
  /** Milliseconds from SIGTERM to SIGKILL. Default 5,000. */
  readonly graceMs?: number;
  /** Bytes of each step's output that are kept, from 64 to 16,384. Default 8,192. */
  readonly outputBytes?: number;
}

/** Runs a program of a step, and says how it ended. @throws StepFailedError when it can't be started or was ended */
export type Execute = (argv: readonly string[]) => Promise<number>;

export const skipped = ({ name }: Step, missing: StepReport): StepReport => ({
  name,
  state: 'skipped',
  note: `needs ${missing.name}`,
  output: '',
});

/** Does what a job says, on the machine that it is on. */
export class Machine {
  readonly #root: string;
  protected readonly graceMs: number;
  readonly #outputBytes: number;

  /** @throws InvalidArgumentError */
  constructor({ root, graceMs = 5_000, outputBytes = 8_192 }: MachineOptions) {
    checkIntegerIn('graceMs', graceMs, 0);
    checkIntegerIn('outputBytes', outputBytes, 64, 16_384);
    this.#root = resolve(root);
    this.graceMs = graceMs;
    this.#outputBytes = outputBytes;
  }

  /**
   * Throws nothing: a step that fails says so in its report.
   * @param signal ends what runs, and fails it
   * @param tell hears of each step as it begins, says something, and ends
   */
  async run(
    job: Job,
    signal: AbortSignal,
    tell: (report: StepReport) => void = () => {},
  ): Promise<readonly StepReport[]> {
    const reports = await this.graph(job.steps, (step) => this.#step(step, job, signal, tell));
    for (const report of reports) tell(report);
    return reports;
  }

  /** Each step as soon as all that it needs are done; none that needs what has not been done. */
  protected graph(
    steps: readonly Step[],
    execute: (step: Step) => Promise<StepReport>,
  ): Promise<readonly StepReport[]> {
    const begun = new Map<string, Promise<StepReport>>();
    const begin = (step: Step): Promise<StepReport> => {
      const known = begun.get(step.name);
      if (known) return known;
      const needed = steps.filter(({ name }) => step.needs.includes(name)).map(begin);
      const ended = Promise.all(needed).then((reports) => {
        const missing = reports.find(({ state }) => state === 'failed' || state === 'skipped');
        return missing ? skipped(step, missing) : execute(step);
      });
      begun.set(step.name, ended);
      return ended;
    };
    return Promise.all(steps.map(begin));
  }

  async #step(step: Step, job: Job, signal: AbortSignal, tell: (report: StepReport) => void): Promise<StepReport> {
    const { name } = step;
    const secrets = Object.values(job.secrets);
    const kept = new Bounded(this.#outputBytes);
    const report = (state: StepReport['state'], note = '') => ({ name, state, note, output: kept.read().text });
    const limit = new AbortController();
    const timer = setTimeout(
      () => limit.abort(new StepFailedError(`It was not done in ${step.timeoutMs} ms.`)),
      step.timeoutMs,
    );
    const cancel = () => limit.abort(signal.reason);
    signal.addEventListener('abort', cancel);
    if (signal.aborted) cancel();
    const vars = { ...job.vars, ...job.secrets };
    const execute: Execute = (argv) => {
      const masks = { out: this.mask(secrets), err: this.mask(secrets) };
      return this.#execute(this.argv(argv, vars), limit.signal, (stream, chunk) => {
        kept.push(chunk === undefined ? masks[stream].end() : masks[stream].push(chunk));
        tell(report('running'));
      });
    };
    try {
      limit.signal.throwIfAborted();
      tell(report('running'));
      const changed = await this.#module(step, vars, job.check, execute);
      const ended = report(changed ? 'changed' : 'ok');
      tell(ended);
      return ended;
    } catch (error) {
      const mask = this.mask(secrets);
      const words = Buffer.from(error instanceof Error ? error.message : String(error));
      const note = clean(Buffer.concat([mask.push(words), mask.end()]))
        .slice(0, 1_000)
        .toWellFormed();
      const ended = report('failed', note);
      tell(ended);
      return ended;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', cancel);
    }
  }

  #module(step: Step, vars: Vars, check: boolean, execute: Execute): Promise<boolean> {
    const into = (text: string) => fill(text, vars);
    if ('file' in step) {
      const { path, content, mode } = step.file;
      return this.file({ path: into(path), content: into(content), mode }, check);
    }
    if ('service' in step) {
      return this.#service(step.name, { ...step.service, argv: this.argv(step.service.argv, vars) }, check);
    }
    const { creates, ...command } = step.command;
    return this.command({ ...command, ...(creates !== undefined && { creates: into(creates) }) }, check, execute);
  }

  /** The words that a program gets: each word with its values is one word, whatever the values say. */
  protected argv(words: readonly string[], vars: Vars): string[] {
    return words.map((word) => fill(word, vars));
  }

  /** @returns whether it has changed, or would change, the file */
  protected async file({ path, content, mode }: FileSpec, check: boolean): Promise<boolean> {
    const now = await this.look(path);
    if (now?.content?.equals(Buffer.from(content)) && now.mode === mode) return false;
    if (!check) await this.put(path, content, mode);
    return true;
  }

  /** @returns whether it has run, or would run, the program */
  protected async command({ argv, creates, unless }: CommandSpec, check: boolean, execute: Execute): Promise<boolean> {
    if (creates !== undefined && (await this.look(creates))) return false;
    if (unless && (await execute(unless)) === 0) return false;
    if (check) return true;
    this.refuse(await execute(argv));
    return true;
  }

  /** @throws StepFailedError unless it is 0 */
  protected refuse(code: number): void {
    if (code !== 0) throw new StepFailedError(`The program has ended with ${code}.`);
  }

  protected mask(secrets: readonly string[]): Pick<Mask, 'push' | 'end'> {
    return new Mask(secrets);
  }

  /**
   * What is there; undefined where nothing is, without content where it is no file or larger than any step's.
   * @throws InvalidArgumentError for a path that leads out of the machine's folder
   */
  protected async look(
    path: string,
  ): Promise<{ readonly content: Buffer | undefined; readonly mode: number } | undefined> {
    const file = await this.#inside(path);
    try {
      const found = await lstat(file);
      const readable = found.isFile() && found.size < LARGEST;
      return { content: readable ? await readFile(file) : undefined, mode: found.mode & 0o777 };
    } catch (error) {
      if (hasCode(error, 'ENOENT') || hasCode(error, 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /**
   * All of it or nothing, also when the power fails.
   * @throws InvalidArgumentError for a path that leads out of the machine's folder
   */
  protected async put(path: string, content: string, mode: number): Promise<void> {
    const file = await this.#inside(path);
    await mkdir(dirname(file), { recursive: true });
    // In the same folder, and not with its name, which may be as long as a name can be.
    const temporary = join(dirname(file), `.${randomUUID()}`);
    try {
      await writeFile(temporary, content, { mode: 0o600, flush: true });
      // Not by the mode of the write, from which the umask takes away.
      await chmod(temporary, mode);
      await rename(temporary, file);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  /** Links are followed before it is decided whether it is inside. */
  async #inside(path: string): Promise<string> {
    const root = await realpath(this.#root);
    const file = resolve(root, path);
    const within = (it: string) => it.startsWith(root === sep ? sep : root + sep) && it !== root;
    if (!within(file)) throw new InvalidArgumentError(`${path} is not inside of the machine's folder.`);
    let parent = dirname(file);
    while (!(await exists(parent))) parent = dirname(parent);
    const real = (await realpath(parent)) + file.slice(parent.length);
    if (!within(real)) throw new InvalidArgumentError(`${path} leads out of the machine's folder by a link.`);
    return real;
  }

  async #execute(
    argv: readonly string[],
    signal: AbortSignal,
    hear: (stream: 'out' | 'err', chunk?: Buffer) => void,
  ): Promise<number> {
    const [file = '', ...args] = argv;
    signal.throwIfAborted();
    // A group of its own: its children and theirs are ended with it.
    const child = spawn(file, args, { ...this.#place(), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    closed.catch(() => {});
    child.stdout.on('data', (chunk: Buffer) => hear('out', chunk));
    child.stderr.on('data', (chunk: Buffer) => hear('err', chunk));
    const { pid } = child;
    let ending: Promise<void> | undefined;
    const cancel = () => {
      if (pid !== undefined) ending ??= this.stop(pid, this.graceMs);
    };
    signal.addEventListener('abort', cancel);
    try {
      const [code, by] = await once(child, 'exit');
      await ending;
      // What it has left in its group ends with it: what is to go on is a service.
      if (pid !== undefined) await this.stop(pid, 0);
      // One that has left the group may hold the pipes for ever.
      await Promise.race([closed, delay(200, undefined, { ref: false })]);
      signal.throwIfAborted();
      if (by) throw new StepFailedError(`The program was ended by ${by}.`);
      return Number(code);
    } catch (error) {
      if (signal.aborted || error instanceof StepFailedError) throw error;
      throw new StepFailedError(`${file} can't be run: ${error instanceof Error ? error.message : error}`);
    } finally {
      signal.removeEventListener('abort', cancel);
      child.stdout.destroy();
      child.stderr.destroy();
      hear('out');
      hear('err');
    }
  }

  /** Ends a group of processes: politely, and after `graceMs` by SIGKILL. Resolves when it has. */
  protected async stop(pid: number, graceMs: number): Promise<void> {
    const end = performance.now() + graceMs;
    signalGroup(pid, 'SIGTERM');
    while (signalGroup(pid, 0) && performance.now() < end) await delay(10);
    signalGroup(pid, 'SIGKILL');
  }

  /** Nothing of the agent's own environment, such as its token. */
  #place(): { cwd: string; env: NodeJS.ProcessEnv } {
    return { cwd: this.#root, env: { PATH: process.env['PATH'], HOME: this.#root, LANG: 'C.UTF-8' } };
  }

  async #service(name: string, { argv, state }: ServiceSpec, check: boolean): Promise<boolean> {
    const record = await this.#inside(join('.services', name));
    const now = await readService(record);
    const right = state === 'stopped' ? now === undefined : isDeepStrictEqual(now?.argv, argv);
    if (right || check) return !right;
    if (now) {
      await this.stop(now.pid, this.graceMs);
      await endOfService(record);
    }
    if (state === 'running') await startService(record, argv, this.#place());
    return true;
  }
}

/** @returns false where nobody is left in the group */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

const exists = (path: string) =>
  stat(path)
    .then(() => true)
    .catch(() => false);

const hasCode = (error: unknown, code: string): boolean =>
  typeof error === 'object' && error !== null && 'code' in error && error.code === code;
