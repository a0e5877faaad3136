import type { DescFile, DescMessage, DescMethod, MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { numberWithin } from '../src/errors.ts';
import { changedEnums, changedServices, messagesOf, wireOf } from '../src/evolution.ts';
import {
  type BreakingChange,
  type Caller,
  type Propagated,
  type PropagateOptions,
  RetryPolicy as Retrying,
  RpcServer as Server,
} from '../src/index.ts';

// What is not the idea is given: servers listen, channels connect, attempts are counted, options are checked. Who calls
// whom for how long, what is sent again, who waits for whom and how a server leaves is yours. `h` in `pnpm lab learn grpc`
// gives a hint. The other files of src/ hold solutions; so does `super`, of the methods below.
export type {
  BreakingChange,
  Caller,
  Channel,
  ChannelOptions,
  DrainOptions,
  Propagated,
  PropagateOptions,
  RetryClock,
  RetryOptions,
  ServeOptions,
} from '../src/index.ts';
export { BadRpcOptionError, Health, openChannel, withDeadline } from '../src/index.ts';

/**
 * The options for calls that are made on behalf of `caller`: what is left of his time (`caller.timeoutMs()`, undefined
 * where he named no deadline) less `marginMs` (default 5), and his signal. Connect takes whole milliseconds only, and 0 for "no
 * deadline". Its flaw: each hop calls as if it were the first.
 *
 * @throws ConnectError DEADLINE_EXCEEDED when nothing is left; the signal's reason when he has left already.
 * @throws BadRpcOptionError on a margin below 0, a default below 1. (`numberWithin` checks; for the hardening laws.)
 */
export function propagate(_caller: Caller, options: PropagateOptions = {}): Propagated {
  const defaultMs = numberWithin('defaultMs', options.defaultMs ?? 10_000, 1, 2 ** 31 - 1);
  return { timeoutMs: defaultMs, signal: new AbortController().signal };
}

/**
 * How many retries a client has left for one service. A failure costs a token, a success brings `tokenRatio` back; there
 * are never more than `maxTokens`, nor less than none. Its flaw: it never says no.
 */
export class RetryBudget {
  protected readonly maxTokens: number;
  protected readonly tokenRatio: number;
  #tokens: number;

  constructor(options: { readonly maxTokens?: number; readonly tokenRatio?: number } = {}) {
    this.maxTokens = numberWithin('maxTokens', options.maxTokens ?? 10, 1, 1_000);
    this.tokenRatio = numberWithin('tokenRatio', options.tokenRatio ?? 0.1, 0.001, 1);
    this.#tokens = this.maxTokens;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** Whether a retry may be sent now: while more than half of the tokens are there. */
  get allows(): boolean {
    return true;
  }

  onFailure(): void {}

  onSuccess(): void {}
}

/** Given: the attempts of a call, their pauses, its deadline. Yours: what may be sent again, and what it says. */
export class RetryPolicy extends Retrying {
  /** Whether a repetition is harmless, and may help. Its flaw: it always is. */
  protected override canMend(_method: DescMethod, _error: ConnectError): boolean {
    return true;
  }

  /**
   * What the server says of another attempt, in `grpc-retry-pushback-ms` of `error.metadata`: after how many
   * milliseconds; never (a negative number, or no number); nothing. (For the hardening laws.)
   */
  protected override pushbackOf(_error: ConnectError): number | 'never' | undefined {
    return undefined;
  }

  /**
   * An attempt's header: the call's, with `grpc-timeout` ("250m" is 250 ms; whole, at least 1; left as it is where
   * `leftMs` is Infinity), and from the second attempt on with `grpc-previous-rpc-attempts`. Its flaw: the call's header
   * is what the first attempt said.
   */
  protected override headerOf(header: Headers, _attempt: number, _leftMs: number): Headers {
    return new Headers(header);
  }
}

interface Entry<T> {
  readonly value: T;
  /** Lets its source go on. */
  readonly accept: () => void;
  /** Tells its source that nobody reads any more. */
  readonly refuse: (reason: unknown) => void;
}

/** Between a source that pushes and a stream that one reader pulls. Yours: `push`, `hasRoom`, and a line of `#next`. */
export class StreamBuffer<T> implements AsyncIterable<T, undefined> {
  /** By number: the first has `#first`, the next one more. */
  readonly #queue = new Map<number, Entry<T>>();
  #first = 0;
  readonly #signal: AbortSignal | undefined;
  protected readonly limit: number;
  #waking: (() => void)[] = [];
  #over: { readonly refusal: unknown; readonly error?: unknown } | undefined;
  #taken = false;

  constructor(options: { readonly limit?: number; readonly signal?: AbortSignal } = {}) {
    this.limit = numberWithin('limit', options.limit ?? 16, 1, Number.MAX_SAFE_INTEGER);
    this.#signal = options.signal;
    this.#signal?.addEventListener('abort', this.#onAbort);
    if (this.#signal?.aborted) this.#onAbort();
  }

  get size(): number {
    return this.#queue.size;
  }

  /**
   * Resolves when the value has been accepted, in the order of the calls: at once while there is room.
   * Its flaw: it is always accepted at once.
   */
  async push(value: T): Promise<void> {
    if (this.#over) throw this.#over.refusal;
    this.#queue.set(this.#first + this.size, { value, accept: () => {}, refuse: () => {} });
    this.#wake();
  }

  /** Whether the newest value may wait without its source: no more than `limit` do. */
  protected hasRoom(): boolean {
    return true;
  }

  /** The next value for the reader. Who waits at place `limit` of the queue then has room. */
  async #next(): Promise<IteratorResult<T, undefined>> {
    while (this.size === 0 && !this.#over) await new Promise<void>((wake) => this.#waking.push(wake));
    const entry = this.#queue.get(this.#first);
    if (entry) this.#queue.delete(this.#first++);
    if (entry) return { done: false, value: entry.value };
    if (this.#over?.error !== undefined) throw this.#over.error;
    return { done: true, value: undefined };
  }

  end(error?: unknown): void {
    this.#close({ refusal: new ConnectError('The stream has ended.', Code.FailedPrecondition), error });
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    if (this.#taken) throw new ConnectError('A stream buffer has one reader.', Code.FailedPrecondition);
    this.#taken = true;
    return {
      next: () => this.#next(),
      return: async () => {
        this.#leave(new ConnectError('The reader has left.', Code.Canceled));
        return { done: true, value: undefined };
      },
    };
  }

  readonly #onAbort = () => this.#leave(this.#signal?.reason);

  #leave(reason: unknown): void {
    for (const { refuse } of this.#queue.values()) refuse(reason);
    this.#queue.clear();
    this.#close({ refusal: reason, error: reason });
  }

  #close(over: { readonly refusal: unknown; readonly error?: unknown }): void {
    this.#over ??= over;
    this.#signal?.removeEventListener('abort', this.#onAbort);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waking.splice(0)) wake();
  }
}

/** Given: it listens, answers, counts its calls. Yours: how it leaves. */
export class RpcServer extends Server {
  /**
   * Says NOT_SERVING (`this.health.shutDown()`), and serves on for `lameDuckMs`; then takes no new connection
   * (`this.listener.close()`), tells each of `this.sessions` to send nothing more (a session of node:http2 has `goaway()`),
   * and ends when no call is under way (`this.calls`) and the sessions are gone, or have had `lingerMs` to go; at the
   * latest after `limitMs`. `this.within(ms, done)` waits. `this.cutOff()` ends what is left, and counts it.
   * Its flaw: nobody is waited for.
   */
  protected override async leave(_lameDuckMs: number, _limitMs: number, _lingerMs: number): Promise<number> {
    return this.cutOff();
  }
}

/** What in `after` would misread bytes that `before` wrote, or fail calls that it makes. Yours: the messages. */
export function breakingChanges(before: DescFile, after: DescFile): BreakingChange[] {
  const messages = messagesOf(before, after).flatMap(([old, now]) => ofMessage(old, now));
  return [...messages, ...changedEnums(before, after), ...changedServices(before, after)];
}

/**
 * The `element` of a change is `shop.v1.GetPriceResponse.cents`: `typeName` of the message, `name` of the old field.
 * A field that is gone is no harm if its number is reserved: `after.proto.reservedRange` has `start`, and `end` behind the
 * last. `wireOf(field)` of src/evolution.ts says how a field is sent: its `shape`, its `type`, and `readAs`, the types that
 * its readers can take for it. (A field that changes its `oneof` breaks too; buf's word on that is a hardening law.)
 * Its flaw: a field is compared by its name, which is not sent.
 */
function ofMessage(before: DescMessage, after: DescMessage): BreakingChange[] {
  const types = new Map(after.fields.map((field) => [field.name, wireOf(field).type]));
  return before.fields
    .filter((field) => types.get(field.name) !== wireOf(field).type)
    .map(({ name }) => ({ element: `${before.typeName}.${name}`, what: 'is another' }));
}

/** A copy with some fields changed, and all that the sender knows and we don't. (A hardening law.) */
export function amend<Desc extends DescMessage>(
  _schema: Desc,
  _message: MessageShape<Desc>,
  _changes: Partial<Omit<MessageShape<Desc>, '$typeName' | '$unknown'>>,
): MessageShape<Desc> {
  throw new Error('amend is not written yet: its comment in attempt/index.ts is the task.');
}
