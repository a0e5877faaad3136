// Flaw: one AbortController for the circuit: a call that runs out of time aborts all others, and those to come.
// Seen in: https://github.com/nodeshift/opossum/issues/780
// Caught by: one call beyond its time limit leaves all other calls alone
import { type Call, CallTimeoutError, CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  readonly #controller = new AbortController();

  protected override async execute<T>(call: Call<T>, signal: AbortSignal | undefined, limitMs: number): Promise<T> {
    try {
      return await super.execute(() => call(this.#controller.signal), signal, limitMs);
    } catch (error) {
      if (error instanceof CallTimeoutError) this.#controller.abort(error);
      throw error;
    }
  }
}
