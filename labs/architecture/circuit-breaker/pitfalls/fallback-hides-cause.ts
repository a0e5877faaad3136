// Flaw: a fallback that fails throws its own error, and nobody learns why it was needed.
// Seen in: https://github.com/Netflix/Hystrix/issues/1313
// Caught by: a fallback that fails does not hide the first error
import { CircuitBreaker as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class CircuitBreaker extends Reference {
  protected override async fallBack<T>(error: unknown, fallback: (error: unknown) => T | PromiseLike<T>): Promise<T> {
    return fallback(error);
  }
}
