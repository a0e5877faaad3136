import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { serversStart } from './describe-with.ts';
import type { TracedResult, TraceEvent } from './trace.ts';

export interface TestResult extends TracedResult {
  /** For a failed test: the claim, the difference, the evidence, one line of code. No stack. */
  readonly error?: string;
}

export interface SuiteResult {
  /** Every test passed or was skipped (with LABS_REQUIRE=all a skip with a reason is a failure), none is missing, and nothing failed outside the tests. */
  readonly ok: boolean;
  /** In the order in which they ended. */
  readonly tests: readonly TestResult[];
  /** What went wrong outside any test: a file that does not load, an unhandled rejection, a hang of the whole run. */
  readonly problems: readonly string[];
  /** Why suites were skipped: the reasons of their missing servers. */
  readonly missing: readonly string[];
  /** Duration of the whole run, start of vitest included. */
  readonly ms: number;
}

export interface SuiteOptions {
  /** The lab's folder. */
  readonly dir: string;
  /** The implementation under test, relative to `dir` (`attempt/index.ts`). Default: what the lab's import map says. */
  readonly impl?: string;
  /** Run only the tests of this very name. None of that name: the result has a problem that says so. */
  readonly testName?: string;
  /** Run only the tests of these very names; each that no test has is a problem. Not together with `testName`. */
  readonly testNames?: readonly string[];
  /** Load only this test file, relative to `dir`: with `testName`, the others would start their servers for nothing. */
  readonly file?: string;
  /** Load only these test files, as `file` does for one. */
  readonly files?: readonly string[];
  /** How often a test may fail before it counts as failed; it passes with its first success. Default 1. */
  readonly attempts?: number;
  /** Ends the run; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called as each test ends. */
  readonly onTest?: (test: TestResult) => void;
  /** Called with what the tests and servers print, as it comes. */
  readonly onOutput?: (text: string) => void;
  /** Milliseconds for the whole run. Default 5 minutes. */
  readonly deadlineMs?: number;
  /** Milliseconds that a test may block the event loop before the run is ended. Default 6000. */
  readonly blockedMs?: number;
  /** Milliseconds that a test file may take to load, the start of servers not counted. Default 30 000. */
  readonly loadMs?: number;
}

const kit = resolve(import.meta.dirname, '..');
/** Milliseconds for vitest to exit after its last report. */
const closeMs = 4000;

/** The file to be graded is not there. */
export class MissingImplementationError extends Error {
  override readonly name = 'MissingImplementationError';
  readonly code = 'MISSING_IMPLEMENTATION';

  constructor(dir: string, impl: string) {
    super(`there is no ${impl} in ${dir}: name a file relative to the lab's folder`);
  }
}

/**
 * Runs a lab's suite against an implementation, in a process group of its own that is ended with the run.
 * A hang is red and named, also one that blocks the event loop; a leaked handle cannot hold up the run.
 * @throws {MissingImplementationError} when `impl` is no file.
 */
export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const { dir, impl, signal, onTest, onOutput } = options;
  signal?.throwIfAborted();
  if (impl !== undefined && !existsSync(resolve(dir, impl))) throw new MissingImplementationError(dir, impl);
  const start = performance.now();
  const scratch = await mkdtemp(join(tmpdir(), 'lab-test-'));
  const traceFile = join(scratch, 'trace.jsonl');
  const tail = await Tail.open(traceFile);
  const run = new Run(options.blockedMs ?? 6000, options.loadMs ?? 30_000, onTest, onOutput);
  const child = spawn(process.execPath, vitestArgs(options), {
    cwd: dir,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env: environment(dir, impl, traceFile),
  });
  // The group outlives neither us nor its own leader.
  const kill = (): void => killGroup(child);
  process.once('exit', kill);
  let output = '';
  const collect = (chunk: Buffer): void => {
    output = `${output}${chunk}`.slice(-4000);
    onOutput?.(String(chunk));
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const exited = new Promise<void>((done, fail) => {
    child.once('exit', () => done());
    child.once('error', fail);
  });
  let over = false;
  const ended = exited.finally(() => {
    over = true;
  });
  try {
    while (!over) {
      await Promise.race([ended, delay(100)]);
      for (const event of await tail.read()) run.take(event);
      const elapsed = performance.now() - start;
      const hang = over ? undefined : run.hang(elapsed, options.deadlineMs ?? 300_000);
      if (hang !== undefined || signal?.aborted) {
        if (hang) run.blame(hang);
        kill();
        await ended;
      } else if (run.doneFor() > closeMs) {
        kill();
        await ended;
      }
    }
    for (const event of await tail.read()) run.take(event);
  } finally {
    kill();
    process.off('exit', kill);
    await tail.close();
    await rm(scratch, { recursive: true, force: true });
  }
  signal?.throwIfAborted();
  return run.result(wantedNames(options), output, performance.now() - start);
}

/** The names of the tests to run; undefined means all. */
const wantedNames = ({ testName, testNames }: SuiteOptions): readonly string[] | undefined =>
  testNames ?? (testName === undefined ? undefined : [testName]);

function vitestArgs(options: SuiteOptions): string[] {
  const { dir, file, files = file === undefined ? [] : [file], attempts = 1 } = options;
  const config = join(kit, 'vitest.config.ts');
  const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
  const names = wantedNames(options)?.map((name) => RegExp.escape(name));
  // With the tests that are wanted runs the one that says why none of them can.
  const filter = names === undefined ? [] : ['--testNamePattern', `(^| )(?:${[serversStart, ...names].join('|')})$`];
  const retries = ['--retry', String(attempts - 1)];
  return [
    vitest,
    'run',
    ...files.map((each) => resolve(dir, each)),
    '--config',
    config,
    '--configLoader',
    'native',
    '--root',
    dir,
    ...filter,
    ...retries,
  ];
}

function environment(dir: string, impl: string | undefined, traceFile: string): NodeJS.ProcessEnv {
  const { LAB_IMPL: _inherited, FORCE_COLOR: _color, ...env } = process.env;
  const hook = pathToFileURL(join(kit, 'src/impl-hook.ts')).href;
  return {
    ...env,
    NO_COLOR: '1',
    // Starting vitest takes 0.4 s with it and 0.65 s without. The folder is the one of module.enableCompileCache().
    NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? join(tmpdir(), 'node-compile-cache'),
    LAB_TRACE: traceFile,
    LAB_LIFELINE: '1',
    ...(impl === undefined
      ? {}
      : {
          LAB_IMPL: resolve(dir, impl),
          // For the processes and worker threads that a test starts: vitest's alias does not reach them.
          NODE_OPTIONS: `${env['NODE_OPTIONS'] ?? ''} --import=${hook}`.trim(),
        }),
  };
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // The group is gone already.
  }
}

/** Reads what was appended to a file since the last read. */
class Tail {
  readonly #file: Awaited<ReturnType<typeof open>>;
  #position = 0;
  #rest = '';

  static async open(path: string): Promise<Tail> {
    return new Tail(await open(path, 'a+'));
  }

  constructor(file: Awaited<ReturnType<typeof open>>) {
    this.#file = file;
  }

  async read(): Promise<TraceEvent[]> {
    const chunks: Buffer[] = [];
    for (;;) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(65_536), 0, 65_536, this.#position);
      if (bytesRead === 0) break;
      this.#position += bytesRead;
      chunks.push(buffer.subarray(0, bytesRead));
    }
    const text = this.#rest + Buffer.concat(chunks).toString();
    const lines = text.split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.map((line) => JSON.parse(line));
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

interface Worker {
  /** When anything was last heard of it, on our clock. */
  heard: number;
  /** Since when it has been loading its file; undefined while servers start and once tests run. */
  loading: number | undefined;
  running: { readonly id: string; readonly name: string } | undefined;
}

/** What is known of a run, from its events. */
class Run {
  readonly #blockedMs: number;
  readonly #loadMs: number;
  readonly #onTest: ((test: TestResult) => void) | undefined;
  readonly #onOutput: ((text: string) => void) | undefined;
  readonly #tests: TestResult[] = [];
  readonly #problems: string[] = [];
  readonly #missing: string[] = [];
  readonly #evidence = new Map<string, string[]>();
  readonly #workers = new Map<number, Worker>();
  #done: number | undefined;

  constructor(
    blockedMs: number,
    loadMs: number,
    onTest: ((test: TestResult) => void) | undefined,
    onOutput: ((text: string) => void) | undefined,
  ) {
    this.#blockedMs = blockedMs;
    this.#loadMs = loadMs;
    this.#onTest = onTest;
    this.#onOutput = onOutput;
  }

  take(event: TraceEvent): void {
    const now = performance.now();
    if ('pid' in event) {
      const worker = this.#workers.get(event.pid) ?? { heard: now, loading: now, running: undefined };
      this.#workers.set(event.pid, worker);
      worker.heard = now;
      if (event.type === 'worker') worker.loading = now;
      if (event.type === 'servers') worker.loading = event.state === 'starting' ? undefined : now;
      if (event.type === 'start') {
        worker.loading = undefined;
        worker.running = { id: event.id, name: event.name };
      }
      if (event.type === 'end' && worker.running?.id === event.id) worker.running = undefined;
    } else if (event.type === 'evidence') {
      this.#evidence.set(event.id, [...(this.#evidence.get(event.id) ?? []), event.text]);
    } else if (event.type === 'result') {
      this.#add(event.result, this.#evidence.get(event.id));
    } else if (event.type === 'missing') {
      this.#missing.push(event.reason);
    } else if (event.type === 'problem') {
      this.#problems.push(event.text);
    } else if (event.type === 'log') {
      this.#onOutput?.(event.text);
    } else {
      this.#done = now;
    }
  }

  #add(traced: TracedResult, evidence: readonly string[] = []): void {
    const result = required(traced);
    const test =
      result.error === undefined || evidence.length === 0
        ? result
        : { ...result, error: insertEvidence(result.error, evidence) };
    this.#tests.push(test);
    this.#onTest?.(test);
  }

  /** Milliseconds since vitest's last report. */
  doneFor(): number {
    return this.#done === undefined ? 0 : performance.now() - this.#done;
  }

  /** Why the run cannot end by itself, if so, and the worker to blame. */
  hang(elapsed: number, deadlineMs: number): { readonly why: string; readonly worker: Worker | undefined } | undefined {
    if (this.#done !== undefined) return undefined;
    const now = performance.now();
    for (const worker of this.#workers.values()) {
      if (worker.running && now - worker.heard > this.#blockedMs) {
        return { why: `hangs: it has blocked the event loop for ${this.#blockedMs} ms`, worker };
      }
      if (worker.loading !== undefined && now - worker.loading > this.#loadMs) {
        return {
          why: `the test file did not load within ${this.#loadMs / 1000} s: a loop or an await at its top level`,
          worker,
        };
      }
    }
    if (elapsed <= deadlineMs) return undefined;
    const worker = [...this.#workers.values()].find((each) => each.running);
    return { why: `the run was not done after ${deadlineMs / 1000} s`, worker };
  }

  blame({ why, worker }: { readonly why: string; readonly worker: Worker | undefined }): void {
    const running = worker?.running;
    if (!running) {
      this.#problems.push(why);
      return;
    }
    this.#add(
      { name: running.name, path: [], file: '', state: 'failed', ms: this.#blockedMs, error: why },
      this.#evidence.get(running.id),
    );
  }

  result(wanted: readonly string[] | undefined, output: string, ms: number): SuiteResult {
    const tests = wanted === undefined ? this.#tests : this.#tests.filter(({ name }) => wanted.includes(name));
    const problems = [...this.#problems];
    if (this.#done === undefined && problems.length === 0 && !tests.some((test) => test.state === 'failed')) {
      problems.push(`vitest ended early:\n${output.trim()}`);
    }
    // Only a run that came to its end, with its servers, knows that a name is nobody's.
    if (problems.length === 0 && this.#missing.length === 0 && this.#done !== undefined) {
      const nobodys = (wanted ?? []).filter((name) => !tests.some((test) => test.name === name));
      const start = this.#tests.find(({ name, state }) => name === serversStart && state === 'failed');
      if (nobodys.length > 0 && start) problems.push(`the servers of the suite did not start: ${start.error ?? ''}`);
      else problems.push(...nobodys.map((name) => `no test is named "${name}"`));
    }
    if (wanted === undefined && tests.length === 0 && problems.length === 0) problems.push('the suite has no test');
    return {
      ok: problems.length === 0 && tests.every((test) => test.state !== 'failed'),
      tests,
      problems,
      missing: this.#missing,
      ms,
    };
  }
}

/** Where everything must be at hand (CI), a test that gives a reason not to run has failed. */
function required(result: TracedResult): TracedResult {
  if (process.env['LABS_REQUIRE'] !== 'all' || result.state !== 'skipped' || result.note === undefined) return result;
  return { ...result, state: 'failed', error: `skipped, which LABS_REQUIRE=all forbids: ${result.note}` };
}

function insertEvidence(error: string, evidence: readonly string[]): string {
  const lines = error.split('\n');
  const at = lines.findLastIndex((line) => line.startsWith('at '));
  lines.splice(at < 0 ? lines.length : at, 0, ...evidence);
  return lines.join('\n');
}
