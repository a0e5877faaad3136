import { setTimeout as delay } from 'node:timers/promises';
import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type Interceptor, type UnaryRequest } from '@connectrpc/connect';
import { countWithin, LONGEST_WAIT_MS, numberWithin } from './errors.ts';

/** Time as a retry sees it. Inject another one in a test; a product passes nothing. */
export interface RetryClock {
  /** Milliseconds on a monotonic clock. */
  mono(): number;
  /** Resolves after `ms`; rejects when `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<unknown>;
}

export interface RetryOptions {
  /** Attempts in all, the first one included. Default 4. */
  readonly maxAttempts?: number;
  /** Milliseconds before the second attempt, give or take a fifth. Default 50. */
  readonly initialBackoffMs?: number;
  /** Milliseconds between two attempts at most, before jitter. Default 1 000. */
  readonly maxBackoffMs?: number;
  /** By how much each pause is longer than the one before. Default 2. */
  readonly multiplier?: number;
  /** Shared by all calls to one service. Default: one of its own. */
  readonly budget?: RetryBudget;
  readonly clock?: RetryClock;
}

/**
 * How many retries a client has left for one service, so that an outage is not multiplied by `maxAttempts`.
 * Tokens: a failure costs one, a success brings `tokenRatio` back; at half of `maxTokens` or below nothing is retried.
 * Source: gRFC A6, https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
 */
export class RetryBudget {
  protected readonly maxTokens: number;
  protected readonly tokenRatio: number;
  #tokens: number;

  /** @throws BadRpcOptionError on tokens below 1 or above 1000, or a ratio that is not above 0 and at most 1. */
  constructor(options: { readonly maxTokens?: number; readonly tokenRatio?: number } = {}) {
    this.maxTokens = numberWithin('maxTokens', options.maxTokens ?? 10, 1, 1_000);
    this.tokenRatio = numberWithin('tokenRatio', options.tokenRatio ?? 0.1, 0.001, 1);
    this.#tokens = this.maxTokens;
  }

  get tokens(): number {
    return this.#tokens;
  }

  /** Whether a retry may be sent now. */
  get allows(): boolean {
    return this.#tokens > this.maxTokens / 2;
  }

  onFailure(): void {
    this.#tokens = Math.max(0, this.#tokens - 1);
  }

  onSuccess(): void {
    this.#tokens = Math.min(this.maxTokens, this.#tokens + this.tokenRatio);
  }
}

/**
 * Repeats unary calls whose failure a repetition can mend, as gRFC A6 says: of methods that the contract declares
 * idempotent, after UNAVAILABLE, within the call's deadline and the budget, at the server's own pace where it names one
 * (`grpc-retry-pushback-ms`). Streams pass: whoever has read half of one must decide himself where to go on.
 */
export class RetryPolicy {
  /** For a client's transport: `openChannel(url, { interceptors: [policy.interceptor] })`. */
  readonly interceptor: Interceptor = (next) => (request) =>
    request.stream ? next(request) : this.#run(next, request);
  readonly budget: RetryBudget;
  protected readonly clock: RetryClock;
  protected readonly maxAttempts: number;
  readonly #backoff: { readonly initialMs: number; readonly maxMs: number; readonly multiplier: number };

  /** @throws BadRpcOptionError */
  constructor(options: RetryOptions = {}) {
    this.maxAttempts = countWithin('maxAttempts', options.maxAttempts ?? 4, 1, 100);
    this.budget = options.budget ?? new RetryBudget();
    this.clock = options.clock ?? systemTime;
    this.#backoff = {
      initialMs: numberWithin('initialBackoffMs', options.initialBackoffMs ?? 50, 0, LONGEST_WAIT_MS),
      maxMs: numberWithin('maxBackoffMs', options.maxBackoffMs ?? 1_000, 0, LONGEST_WAIT_MS),
      multiplier: numberWithin('multiplier', options.multiplier ?? 2, 1, 100),
    };
  }

  async #run(next: ReturnType<Interceptor>, request: UnaryRequest) {
    const { signal, method } = request;
    const deadline = this.clock.mono() + timeoutOf(request.header);
    for (let attempt = 1, step = 1; ; attempt++) {
      try {
        const header = this.headerOf(request.header, attempt, deadline - this.clock.mono());
        const response = await next({ ...request, header });
        this.budget.onSuccess();
        return response;
      } catch (thrown) {
        const error = ConnectError.from(thrown);
        const pushback = this.pushbackOf(error);
        if (error.code === Code.Unavailable || pushback === 'never') this.budget.onFailure();
        const pauseMs = typeof pushback === 'number' ? pushback : this.backoffMs(step);
        const inTime = pauseMs < deadline - this.clock.mono();
        const allowed = attempt < this.maxAttempts && pushback !== 'never' && this.budget.allows;
        if (!allowed || !inTime || signal.aborted || !this.canMend(method, error)) throw error;
        step = typeof pushback === 'number' ? 1 : step + 1;
        await this.clock.sleep(pauseMs, signal).catch((broken) => {
          throw signal.aborted ? signal.reason : broken;
        });
      }
    }
  }

  // The steps of the policy, each a method of its own, so that a variant (see pitfalls/) changes just one.

  /** Whether a repetition is harmless, and may help. */
  protected canMend(method: DescMethod, error: ConnectError): boolean {
    return method.idempotency !== Idempotency.IDEMPOTENCY_UNKNOWN && error.code === Code.Unavailable;
  }

  /** What the server says of another attempt: after how many milliseconds, never (a negative number, or none), nothing. */
  protected pushbackOf(error: ConnectError): number | 'never' | undefined {
    const text = error.metadata.get('grpc-retry-pushback-ms');
    if (text === null) return undefined;
    return /^\d{1,9}$/.test(text) ? Number(text) : 'never';
  }

  /** The pause before the `step`th repetition: exponential, give or take a fifth. */
  protected backoffMs(step: number): number {
    const { initialMs, maxMs, multiplier } = this.#backoff;
    return Math.min(initialMs * multiplier ** (step - 1), maxMs) * (0.8 + 0.4 * Math.random());
  }

  /** An attempt's header: it says what is left of the deadline, not what was there at the first attempt. */
  protected headerOf(header: Headers, attempt: number, leftMs: number): Headers {
    const own = withTimeLeft(header, leftMs);
    if (attempt > 1) own.set('grpc-previous-rpc-attempts', `${attempt - 1}`);
    return own;
  }
}

const systemTime: RetryClock = {
  mono: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal && { signal }),
};

/** Milliseconds in the call's `grpc-timeout`, as Connect writes it; Infinity without one. */
export function timeoutOf(header: Headers): number {
  const [, ms] = /^(\d+)m$/.exec(header.get('grpc-timeout') ?? '') ?? [];
  return ms === undefined ? Number.POSITIVE_INFINITY : Number(ms);
}

/** A copy that says how much time is left. */
export function withTimeLeft(header: Headers, leftMs: number): Headers {
  const own = new Headers(header);
  if (Number.isFinite(leftMs)) own.set('grpc-timeout', `${Math.max(1, Math.floor(leftMs))}m`);
  return own;
}
