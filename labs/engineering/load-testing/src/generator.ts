import { performance } from 'node:perf_hooks';
import { setTimeout as delay, setImmediate } from 'node:timers/promises';
import { Pool } from 'undici';
import { AssertionFailed } from './errors.ts';
import { Histogram, type Times } from './histogram.ts';
import type { Settings } from './plan.ts';
import { exchange, failureOf, MAX_BODY } from './request.ts';
import { arrivalsUntil, dueAt, lengthOf, levelAt, type Share, shareOf } from './stages.ts';
import { type Failure, type SeriesData, Stats } from './stats.ts';
import { pick, type Session, seeded, type Task, type User } from './user.ts';
import { judge } from './verdict.ts';

/** What a generator has counted since it last said so. */
export interface Delta {
  readonly series: readonly SeriesData[];
  /** Sessions that are here now. */
  readonly users: number;
  /** Users whose `onStart` failed, since the last time. */
  readonly turnedAway: number;
  /** Sessions that had not ended when the drain was over. */
  readonly unfinished: number;
  /** The share of time in which this process's event loop was busy, from 0 to 1, since the last time. */
  readonly utilization: number;
  /** How long it is since the last time. */
  readonly ms: number;
  /** By how much that was too long: the process was stopped, or got no processor. */
  readonly lateMs: number;
}

/** The steps of a run that have a wrong way to do them; a variant (see pitfalls/) changes one. */
export interface Steps {
  pick(tasks: User['tasks'], random: () => number): Task;
  levelAt: typeof levelAt;
  dueAt: typeof dueAt;
  /** From when an answer's time counts: `due` is when its arrival had to begin; undefined in the closed model. In ms. */
  countedFrom(due: number | undefined, sent: number): number;
  failureOf(error: unknown): Failure;
  /** A meter: each call says how busy this process's event loop was since the call before, from 0 to 1. */
  utilization(): () => number;
  histogram(): Times;
  /** Why a worker's share is missing now that its process has ended; undefined when it had done all of it. */
  lost(exit: Exit): string | undefined;
  judge: typeof judge;
}

/** How a worker's process ended. */
export interface Exit {
  /** It had said that its share was done. */
  readonly done: boolean;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export const steps: Steps = {
  pick,
  levelAt,
  dueAt,
  countedFrom: (due, sent) => due ?? sent,
  failureOf,
  utilization() {
    let last = performance.eventLoopUtilization();
    return () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return utilization;
    };
  },
  histogram: () => new Histogram(),
  lost: ({ done, code, signal }) => (done ? undefined : (signal ?? `exit code ${code}`)),
  judge,
};

/** How often the number of users is brought to what the stages say, in milliseconds. */
const ADJUST_MS = 10;
/** How often a generator says what it has counted, in milliseconds: its busiest second has to be seen in the longest run. */
export const SAYS_MS = 500;
const TASK = '(task)';
const NEVER_SENT = '(never sent)';

/** The users, or the arrivals, that one process has of the whole load. */
export class Generator {
  readonly #user: User;
  readonly #settings: Settings;
  readonly #share: Share;
  readonly #steps: Steps;
  readonly #stats: Stats;
  readonly #pool: Pool;
  readonly #stopped = new AbortController();
  /** Each has a signal of its own: what a task leaves on it goes when its user does. */
  readonly #here = new Set<AbortController>();
  #start = Number.POSITIVE_INFINITY;
  #sessions = 0;
  #turnedAway = 0;
  #stoppedAt = Number.POSITIVE_INFINITY;
  #over = false;

  constructor(user: User, settings: Settings, share: Share, own = steps) {
    this.#user = user;
    this.#settings = settings;
    this.#share = share;
    this.#steps = own;
    this.#stats = new Stats(own.histogram);
    this.#pool = new Pool(settings.origin, { headersTimeout: 0, bodyTimeout: 0, maxResponseSize: MAX_BODY });
  }

  /** Nobody comes any more; `run` ends when those under way have left. */
  stop(): void {
    this.#stoppedAt = Math.min(this.#stoppedAt, this.#now);
    this.#stopped.abort();
  }

  /** Plays all stages and calls `emit` every `everyMs`, and once in the end. */
  async run(emit: (delta: Delta) => void): Promise<void> {
    const { stages } = this.#settings;
    const everyMs = Math.min(this.#settings.everyMs, SAYS_MS);
    const meter = this.#steps.utilization();
    let said = performance.now();
    const say = (unfinished = 0) => {
      const ms = performance.now() - said;
      said += ms;
      emit({
        series: this.#stats.take(),
        users: this.#here.size,
        turnedAway: this.#turnedAway,
        unfinished,
        utilization: meter(),
        ms,
        lateMs: Math.max(0, ms - everyMs),
      });
      this.#turnedAway = 0;
    };
    this.#start = performance.now();
    const ticker = setInterval(say, everyMs);
    const end = setTimeout(() => this.#stopped.abort(), lengthOf(stages) * 1_000);
    try {
      await (this.#settings.model === 'closed' ? this.#closed() : this.#open());
      for (const leave of this.#here) leave.abort();
      await this.#drained();
    } finally {
      clearInterval(ticker);
      clearTimeout(end);
      this.#over = true;
      say(this.#here.size);
      await this.#pool.destroy();
    }
  }

  get #now(): number {
    return (performance.now() - this.#start) / 1_000;
  }

  /** As many users as the stages say; who is one too many leaves after the task that he is at. */
  async #closed(): Promise<void> {
    const crowd: AbortController[] = [];
    while (!this.#stopped.signal.aborted) {
      const wanted = shareOf(Math.round(this.#steps.levelAt(this.#settings.stages, this.#now)), this.#share);
      while (crowd.length < wanted) {
        const leave = new AbortController();
        crowd.push(leave);
        void this.#visit(leave, (session) => this.#live(session));
      }
      while (crowd.length > wanted) crowd.pop()?.abort();
      await rest(ADJUST_MS, this.#stopped.signal);
    }
  }

  /** Each arrival at its time, however many of those before it are still waiting for their answers. */
  async #open(): Promise<void> {
    const { stages, maxInFlight } = this.#settings;
    const { signal } = this.#stopped;
    for (let begun = 0; ; ) {
      const due = this.#steps.dueAt(stages, begun * this.#share.of + this.#share.index);
      const until = signal.aborted ? Math.min(this.#stoppedAt, lengthOf(stages)) : Number.POSITIVE_INFINITY;
      if (due > until) return;
      if (due > this.#now) await rest((due - this.#now) * 1_000, signal);
      else if (this.#here.size < maxInFlight) {
        begun++;
        const once = async (visitor: Visitor) => void (await this.#perform(this.#task(visitor), visitor));
        void this.#visit(new AbortController(), once, this.#start + due * 1_000);
      } else if (signal.aborted) {
        return this.#stats.fail(NEVER_SENT, 'dropped', shareOf(arrivalsUntil(stages, until), this.#share) - begun);
      } else await rest(1, signal);
    }
  }

  /** One session from beginning to end. */
  async #visit(leave: AbortController, stay: (visitor: Visitor) => Promise<void>, due?: number): Promise<void> {
    const visitor = this.#visitor(leave.signal, due);
    this.#here.add(leave);
    try {
      const { onStart } = this.#user;
      if (onStart === undefined || (await this.#perform(onStart, visitor))) await stay(visitor);
      else this.#turnedAway++;
    } catch {
      this.#stats.fail(TASK, 'script');
    } finally {
      this.#here.delete(leave);
    }
  }

  async #live(visitor: Visitor): Promise<void> {
    while (!visitor.signal.aborted) {
      await this.#perform(this.#task(visitor), visitor);
      await rest(this.#user.wait(visitor.random) * 1_000, visitor.signal);
    }
  }

  #task({ random }: Session): Task {
    return this.#steps.pick(this.#user.tasks, random);
  }

  /** Whether the task ended, and none of its requests failed. */
  async #perform(task: Task, visitor: Visitor): Promise<boolean> {
    visitor.failed = false;
    try {
      await task(visitor);
    } catch (error) {
      visitor.failed = true;
      this.#stats.fail(TASK, error instanceof AssertionFailed ? 'assertion' : 'script');
    }
    return !visitor.failed;
  }

  #visitor(signal: AbortSignal, due: number | undefined): Visitor {
    const { timeoutMs, seed } = this.#settings;
    const id = this.#sessions++ * this.#share.of + this.#share.index;
    let waited = due;
    const visitor: Visitor = {
      id,
      random: seeded(Math.imul(seed + id, 0x9e3779b1)),
      headers: {},
      signal,
      failed: false,
      request: async (path, o = {}) => {
        // A task that asks until it gets its answer would keep the process for ever.
        if (this.#over) return new Promise(() => {});
        const from = this.#steps.countedFrom(waited, performance.now());
        // Only the first request of an arrival was due at a time; the others follow from its answer.
        waited = undefined;
        const answer = await exchange(
          this.#pool,
          path,
          { ...o, timeoutMs: o.timeoutMs ?? timeoutMs },
          visitor.headers,
          this.#steps.failureOf,
        );
        const name = o.name ?? `${o.method ?? 'GET'} ${path.split('?', 1)[0]}`;
        this.#stats.record(name, performance.now() - from, answer.failure);
        visitor.failed ||= !answer.ok;
        // What was never sent took no turn of the event loop, and whoever tries it again would leave none to the others.
        if (answer.failure === 'script') await setImmediate();
        return answer;
      },
    };
    return visitor;
  }

  async #drained(): Promise<void> {
    const enough = AbortSignal.timeout(this.#settings.drainMs);
    while (this.#here.size > 0 && !enough.aborted) await rest(ADJUST_MS, enough);
  }
}

interface Visitor extends Session {
  /** Whether anything failed in the task that it is at, or was at last. */
  failed: boolean;
}

/** Given up when `signal` aborts. At least one turn of the event loop: who never waits would else stop all others. */
async function rest(ms: number, signal: AbortSignal): Promise<void> {
  if (!(ms > 0) || signal.aborted) return void (await setImmediate());
  await delay(Math.min(ms, 2 ** 31 - 1), undefined, { signal }).catch(() => {});
}
