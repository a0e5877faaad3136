// Flaw: the time limit is a race that the call does not hear of, so it goes on, and holds its socket.
// Seen in: https://github.com/KanishJebaMathewM/Truxify/pull/11360 and https://github.com/meilisearch/meilisearch-js/issues/1654
// Caught by: a call beyond its time limit is cancelled, told to its caller, and has failed
import type { Call } from '../src/index.ts';
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override execute<T>(call: Call<T>, signal: AbortSignal | undefined, limitMs: number) {
    return super.execute(() => call(new AbortController().signal), signal, limitMs);
  }
}
