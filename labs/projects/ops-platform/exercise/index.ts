import { checkIntegerIn } from '../src/errors.ts';
import {
  type Anchor,
  type AuditEntry,
  type BatchedJob,
  type CommandSpec,
  type Decision,
  digestOf,
  type Execute,
  type FileSpec,
  fill,
  AuditLog as GivenAuditLog,
  Machine as GivenMachine,
  type Mask as GivenMask,
  Ops as GivenOps,
  InvalidArgumentError,
  type Step,
  type StepReport,
  type Vars,
  type Verdict,
} from '../src/index.ts';
import type { Db } from '../src/vendor/optimistic-lock/index.ts';

// What is not the idea is given: tables, HTTP, agents, files, processes, tokens. What is here runs commands on machines while
// nothing goes wrong, and has the flaws that its comments name. Make it an operations platform. `h` in `pnpm lab learn
// ops-platform` gives a hint. The classes that are extended here have solutions of what is yours: don't call `super` for it.
// What a comment names and nothing imports yet (`skipped`, `StaleFenceError`, `GENESIS`) is in ../src/index.ts. The tables
// are those of ../src/schema.ts.
export * from '../src/index.ts';

export class Machine extends GivenMachine {
  /**
   * The program and its arguments, with the values of `vars` filled in: `fill('{{host}}', vars)`.
   * Its flaw: it makes a line of them for a shell, which reads what a value says as a command.
   */
  protected override argv(words: readonly string[], vars: Vars): string[] {
    return ['/bin/sh', '-c', words.map((word) => fill(word, vars)).join(' ')];
  }

  /**
   * Sees to it that the file has this content and this mode (its permissions), and says whether that was a change.
   * With `check` it says so and changes nothing. `this.look(path)` is what is there: undefined, or `{ content, mode }`,
   * of which `content` is a Buffer, or undefined for a folder. `this.put(path, content, mode)` writes.
   * Its flaw: it writes, always.
   */
  protected override async file({ path, content, mode }: FileSpec, _check: boolean): Promise<boolean> {
    await this.put(path, content, mode);
    return true;
  }

  /**
   * Runs a program: `await execute(argv)` is how it ended, 0 when all is well, and `this.refuse(code)` throws for
   * what is not. Says whether it has run it. Not where `creates` is there (`this.look`), nor where the program
   * `unless` ends with 0. With `check` it says so and doesn't run `argv`; `unless` is a look, and runs.
   * Its flaw: it runs it, always.
   */
  protected override async command({ argv }: CommandSpec, _check: boolean, execute: Execute): Promise<boolean> {
    this.refuse(await execute(argv));
    return true;
  }

  /**
   * Executes each step when all that it needs (`step.needs`, names) are done, those that need nothing of each other
   * at the same time. A step of which one needed has `failed` or was `skipped` is not executed: its report is
   * `skipped(step, thatReport)`. Gives a report for each step. No steps need each other in a circle.
   * Its flaw: it executes them all, in the order in which they were written.
   */
  protected override async graph(
    steps: readonly Step[],
    execute: (step: Step) => Promise<StepReport>,
  ): Promise<readonly StepReport[]> {
    const reports: StepReport[] = [];
    for (const step of steps) reports.push(await execute(step));
    return reports;
  }

  /**
   * Ends a program, and all that it has started. `pid` is the program's number and that of its group of processes.
   * SIGTERM asks; what is still there after `graceMs` milliseconds gets SIGKILL. Resolves when that is done; that
   * nobody is there is no error.
   * Its flaw: it asks the program, and goes.
   */
  protected override async stop(pid: number, _graceMs: number): Promise<void> {
    try {
      process.kill(pid, 'SIGTERM');
    } catch {
      // It has ended already.
    }
  }

  protected override mask(secrets: readonly string[]): Pick<GivenMask, 'push' | 'end'> {
    return new Mask(secrets);
  }
}

/**
 * Puts `•••` in the place of each secret in a stream. Chunks end anywhere. `push` gives what is sure to be no part of
 * a secret, `end` the rest. Work on text of one letter a byte (latin1): then a chunk's end cuts no letter. `#pattern`
 * finds a secret in it, of two at one place the longer one, and `longest` is the length of the longest.
 * Its flaw: it looks at each chunk for itself.
 */
export class Mask {
  readonly #pattern: RegExp;
  protected readonly longest: number;

  constructor(secrets: readonly string[]) {
    if (secrets.includes('')) throw new InvalidArgumentError('A secret is empty: leave it out.');
    const texts = secrets.map((secret) => Buffer.from(secret).toString('latin1'));
    texts.sort((a, b) => b.length - a.length);
    this.longest = texts[0]?.length ?? 1;
    this.#pattern = new RegExp(texts.map((text) => RegExp.escape(text)).join('|') || '(?!)', 'g');
  }

  push(chunk: Buffer): Buffer {
    return Buffer.from(this.#masked(chunk.toString('latin1')), 'latin1');
  }

  end(): Buffer {
    return Buffer.alloc(0);
  }

  /** With all secrets replaced that are in `text` as a whole. */
  #masked(text: string): string {
    return text.replace(this.#pattern, Buffer.from('•••').toString('latin1'));
  }
}

export class Ops extends GivenOps {
  /**
   * What comes next in a run. Each job is one host's: its `batch` counts from 0; it is `waiting`, then `queued` and
   * `running`, then `ok`, `changed`, `failed` or `unknown`. `wait` while a job is queued or running. Then `abort` when
   * of the latest batch that has run more than `maxFailedPercent` (0 to 100) have failed or are unknown, also when it
   * was the last one. Otherwise `start` the next batch, or `done` when none is left.
   * Its flaw: all at once.
   */
  protected override decide(jobs: readonly BatchedJob[], _maxFailedPercent: number): Decision {
    const [first] = jobs.filter(({ state }) => state === 'waiting');
    if (first) return { next: 'start', batch: first.batch };
    return { next: jobs.some(({ state }) => state === 'queued' || state === 'running') ? 'wait' : 'done' };
  }

  /**
   * Ends the jobs (`ops_jobs`) that are queued or running, and of whose host nobody has heard for `silentMs`
   * milliseconds: `since` is the last word. Gives how many. (A hardening law: a job that is queued waits, while its host
   * is heard of otherwise, `seen` in `ops_hosts`.)
   * Its flaw: no news is good news.
   */
  override async lose(tx: Db, silentMs: number): Promise<number> {
    const { rowCount } = await tx.query(
      `UPDATE ops_jobs SET state = 'ok'
        WHERE state = 'running' AND since <= clock_timestamp() - $1::integer * interval '1 ms'`,
      [silentMs],
    );
    return rowCount ?? 0;
  }

  /**
   * Makes `holder` the leader for `ttlMs` milliseconds from now, or renews it: the row 'leader' of `ops_leases`
   * (name, holder, fence, ends). Gives the lease's number (`nextval('ops_fences')` makes one, larger than all before;
   * a renewal keeps it), or undefined while another one's has not ended, by the clock of Postgres. `this.run(async
   * (tx) => …)` is a transaction.
   * Its flaw: whoever asks leads.
   */
  override async acquire(_holder: string, ttlMs: number): Promise<bigint | undefined> {
    checkIntegerIn('ttlMs', ttlMs, 1);
    const { rows } = await this.run((tx) => tx.query<{ fence: string }>("SELECT nextval('ops_fences') AS fence"));
    return rows[0] && BigInt(rows[0].fence);
  }

  /**
   * `write` in a transaction, if `fence` is still the number of the lease; a StaleFenceError if it isn't, and nothing
   * is written. Nobody takes over between the look and the commit.
   * Its flaw: it doesn't look.
   */
  override lead<T>(_fence: bigint, write: (tx: Db) => Promise<T>): Promise<T> {
    return this.run(write);
  }

  /**
   * Whether this is the first alert with this `fingerprint` for `cooldownMs` milliseconds, by the clock of Postgres:
   * `ops_alerts` (fingerprint, at) has the last one that was.
   * Its flaw: each is.
   */
  protected override async claimAlert(_tx: Db, _fingerprint: string, _cooldownMs: number): Promise<boolean> {
    return true;
  }
}

export class AuditLog extends GivenAuditLog {
  /** SHA-256, as hex, of all that the entry says: `digestOf(value)` makes one of any value. Its flaw: of what was done only. */
  override hash({ action, detail }: Omit<AuditEntry, 'hash'>): string {
    return digestOf({ action, detail });
  }

  /**
   * Whether these are all entries, as they were written, one after the other: `seq` counts from 1; `previous` is the
   * hash of the one before, GENESIS for the first. `{ intact: true, entries: n }`, or `{ intact: false, seq, why }`
   * with the first that is wrong or missing, and why, for people. An `anchor` is an entry that somebody has seen at
   * its place (a `seq` of 0: none yet): when another one is there, or none, its `seq` is the wrong one.
   * Its flaw: each entry is looked at for itself.
   */
  override verify(entries: readonly AuditEntry[], _anchor?: Anchor): Verdict {
    const wrong = entries.find((entry) => entry.hash !== this.hash(entry));
    return wrong ? { intact: false, seq: wrong.seq, why: 'it was changed' } : { intact: true, entries: entries.length };
  }
}
