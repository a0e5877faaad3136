import { InvalidArgumentError } from './errors.ts';

/**
 * What survives the journey through Redis; of the numbers, the finite ones. A result of `undefined`, or one in a list,
 * comes as null. Declare payloads by `type`: an `interface` could grow a method later.
 */
export type Json = string | number | boolean | null | undefined | readonly Json[] | { readonly [key: string]: Json };

// biome-ignore lint/suspicious/noConfusingVoidType: a task without a result is a function that returns void.
export type Result = Json | void;

/** What a task knows of its own run. */
export interface TaskContext {
  /** The same in every run of this task: the idempotency key to pass on. That of a flow's part is the id of no ticket. */
  readonly id: string;
  /** 1 in the first run, 2 in the first retry. A run that a dead worker left behind doesn't count. */
  readonly attempt: number;
  /** Aborts when the task is revoked, exceeds `softLimitMs`, or when another worker has taken it over. */
  readonly signal: AbortSignal;
  /** Tells whoever watches how far it is, 0 to 100. */
  progress(percent: number): Promise<void>;
}

export interface RetryPolicy {
  /** Runs in all, the first included, from 1 on. Default 3. */
  readonly attempts?: number;
  /** Milliseconds that the first retry waits for at most; each later one twice as long. Default 1000. */
  readonly baseMs?: number;
}

export interface TaskOptions {
  readonly retry?: RetryPolicy;
  /**
   * Milliseconds of a run after which `context.signal` aborts, 1 to 2 147 483 647. A task that doesn't listen goes on:
   * nothing ends a function from outside, but `sandboxed` its thread. Default: none.
   */
  readonly softLimitMs?: number;
}

export interface Task<P extends Json, R extends Result> extends TaskOptions {
  readonly run: (payload: P, context: TaskContext) => R | Promise<R>;
  /** Made by `sandboxed`: the module whose default export `run` is, and the milliseconds after which its thread ends. */
  readonly sandbox?: { readonly module: URL; readonly hardLimitMs: number };
}

/**
 * Declares a task; the types of payload and result are inferred from `run`. One that looks at no payload takes any.
 * @throws InvalidArgumentError on a `softLimitMs` that no timer can keep, and on numbers in `retry` that are not whole
 */
export function task<P extends Json, R extends Result>(
  run: Task<P, R>['run'],
  options: TaskOptions = {},
): Task<NoInfer<P>, NoInfer<R>> {
  checkTask(options);
  return { ...options, run };
}

export function checkTask({ softLimitMs, retry: { attempts = 1, baseMs = 0 } = {} }: TaskOptions): void {
  if (softLimitMs !== undefined) checkLimit('softLimitMs', softLimitMs);
  integerFrom('attempts', attempts, 1);
  integerFrom('baseMs', baseMs, 0);
}

export function integerFrom(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new InvalidArgumentError(`${name} must be a whole number from ${least} on; it is ${value}.`);
}

/** @throws TypeError on what JSON can't say, or would say as null: NaN and the infinities. */
export function checkJson(value: Json): void {
  JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part === 'number' && !Number.isFinite(part)) throw new TypeError(`JSON has no ${part}`);
    return part;
  });
}

/** A timer that is asked for more than 2^31 - 1 ms fires at once. */
export function checkLimit(name: string, ms: number): void {
  if (Number.isInteger(ms) && ms >= 1 && ms < 2 ** 31) return;
  throw new InvalidArgumentError(`${name} must be a whole number of milliseconds from 1 to 2147483647; it is ${ms}.`);
}

/** The task map: what producers may send and workers can do. Both sides import the same one. */
export type Tasks = Readonly<Record<string, Task<never, Result>>>;

export type NameOf<M extends Tasks> = keyof M & string;
export type PayloadOf<M extends Tasks, N extends keyof M> = Parameters<M[N]['run']>[0];
/** As it comes back from Redis. */
export type ResultOf<M extends Tasks, N extends keyof M> = Stored<Awaited<ReturnType<M[N]['run']>>>;
// Not member by member: the NoInfer of `task` keeps them together. Void is no Json, and promises nothing.
type Stored<R> = [undefined, R] extends [R, Json] ? (R & {}) | null : R;

/** The names of the tasks whose payload may be an `In`. */
export type Taking<M extends Tasks, In> = {
  // As a whole: a link takes all that the one before may give.
  [N in NameOf<M>]: [Passed<In>] extends [PayloadOf<M, N>] ? N : never;
}[NameOf<M>];
// What a function that returns void has returned may be anything that is stored.
type Passed<In> = [In] extends [Json] ? In : [In] extends [readonly unknown[]] ? Json[] : Json;

/**
 * `L` itself where every link takes what the one before gives. At the first that doesn't, the names of those that would:
 * so the compiler's error stands at that very link.
 */
export type Links<M extends Tasks, First extends NameOf<M>, L extends readonly string[]> =
  L extends Checked<M, First, L, []> ? L : Checked<M, First, L, []>;

type Checked<
  M extends Tasks,
  Before extends NameOf<M>,
  L extends readonly string[],
  Good extends readonly string[],
> = L extends readonly [infer N extends string, ...infer Rest extends readonly string[]]
  ? N extends Taking<M, ResultOf<M, Before>>
    ? Checked<M, N, Rest, [...Good, N]>
    : [...Good, Taking<M, ResultOf<M, Before>>, ...Rest]
  : Good;

/** What a chain of `First` and then `L` gives in the end. */
export type ChainResult<M extends Tasks, First extends NameOf<M>, L extends readonly string[]> = ResultOf<
  M,
  L extends readonly [...string[], infer Last extends NameOf<M>] ? Last : First
>;

/** One call of a task, not sent yet. */
export interface Signature<N extends string = string> {
  readonly task: N;
  readonly payload: Json;
  readonly options: SendOptions;
}

/** The results of several signatures, in the order of the signatures. */
export type ResultsOf<M extends Tasks, S extends readonly Signature[]> = {
  -readonly [I in keyof S]: S[I] extends Signature<infer N extends NameOf<M>> ? ResultOf<M, N> : never;
};

/** What the callback of a chord gets. One that is skipped leaves no hole: the others move up. */
export type Parts<M extends Tasks, S extends readonly Signature[], F> = 'skip' extends F
  ? ResultsOf<M, S>[number][]
  : ResultsOf<M, S>;

/** `urgent` overtakes `normal`, which overtakes `background`; within one of them it is first come, first served. */
export type Priority = 'urgent' | 'normal' | 'background';

export interface SendOptions {
  /**
   * The idempotency key: while a task with this id is known, sending it again does nothing, and the first payload stays.
   * No colon, not a whole number nor any below 0, and none of the words that BullMQ keeps for itself (`events`, `failed`,
   * …). Default: a random UUID.
   */
  readonly id?: string;
  /** Milliseconds before it may run. Default 0. */
  readonly countdownMs?: number;
  /** The moment before which it doesn't run. Not together with `countdownMs`. */
  readonly eta?: Date;
  /** The moment after which it won't be begun. Wall clocks of two machines are compared: leave room. Default: never. */
  readonly expires?: Date;
  /** Default `normal`. */
  readonly priority?: Priority;
}

/** What is stored as a job's data. */
export interface Envelope {
  readonly payload?: Json;
  /** What a part of a flow knows itself by, whenever that is sent. Default: the id of its job. */
  readonly key?: string;
  /** The payload is the result of the task with this id, which ran before. */
  readonly previous?: string;
  /** The payload is the list of the results of these tasks. */
  readonly all?: readonly string[];
  /** Milliseconds since 1970. */
  readonly expires?: number;
  /** Taken back while it ran, or while others waited for it: no run of it begins any more. */
  readonly revoked?: true;
}
