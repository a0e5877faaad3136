import { ApiError, ProblemError } from './errors.ts';
import { type Readable, type Store, store } from './store.ts';

export interface SubmissionState<Result> {
  readonly status: 'idle' | 'sending' | 'sent' | 'failed';
  readonly result: Result | undefined;
  readonly failure: unknown;
}

export interface SubmissionOptions<Input, Result> {
  /** Sends it under `key`, its Idempotency-Key. */
  readonly send: (input: Input, key: string, signal: AbortSignal) => Promise<Result>;
  /** Default `crypto.randomUUID`, which a browser has on https and localhost alone. */
  readonly newKey?: () => string;
}

/** A form that is sent once, however often one clicks, and however often it has to be tried. */
export class Submission<Input, Result> {
  protected readonly options: SubmissionOptions<Input, Result>;
  protected readonly current: Store<SubmissionState<Result>>;
  #sending = new AbortController();
  #flight: Promise<void> | undefined;
  /**
   * Of what is wanted, until the server's answer to it is known. It is kept even if the form changes: what was sent first may be
   * in the books, and a server that has it refuses the key for anything else.
   */
  protected key: string | undefined;

  constructor(options: SubmissionOptions<Input, Result>) {
    this.options = options;
    this.current = store<SubmissionState<Result>>({ status: 'idle', result: undefined, failure: undefined });
  }

  get state(): Readable<SubmissionState<Result>> {
    return this.current;
  }

  /** Sends it, unless it is being sent. Resolves once the answer is in `state`, whatever it is. */
  submit(input: Input): Promise<void> {
    if (this.#flight) return this.#flight;
    const flight = this.send(input).finally(() => {
      if (this.#flight === flight) this.#flight = undefined;
    });
    this.#flight = flight;
    return flight;
  }

  /** Ends what is under way, and forgets the answer. The key is kept: it may have arrived. */
  stop(): void {
    this.#sending.abort();
    this.#flight = undefined;
    this.current.set({ status: 'idle', result: undefined, failure: undefined });
  }

  /** One try. */
  protected async send(input: Input): Promise<void> {
    this.#sending = new AbortController();
    const { signal } = this.#sending;
    this.current.set({ status: 'sending', result: undefined, failure: undefined });
    const again = this.key !== undefined;
    try {
      this.key ??= (this.options.newKey ?? newUuid)();
      const result = await this.options.send(input, this.key, signal);
      if (signal.aborted) return;
      this.key = undefined;
      this.current.set({ status: 'sent', result, failure: undefined });
    } catch (failure) {
      if (signal.aborted) return;
      const refused = failure instanceof ApiError && !failure.outcomeUnknown;
      if (refused && (!again || isOfTheBooks(failure))) this.key = undefined;
      this.current.set({ status: 'failed', result: undefined, failure });
    }
  }
}

/**
 * Whether the refusal of a second try tells what became of the first. A wrong field, too many requests and a session that is over
 * are seen before the books are: the first try may stand in them all the same.
 */
const isOfTheBooks = (refusal: ApiError): boolean =>
  refusal instanceof ProblemError && [409, 422].includes(refusal.status) && refusal.problem.errors.length === 0;

const newUuid = () => crypto.randomUUID();
