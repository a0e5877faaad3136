// Flaw: each attempt repeats the header of the first one, so the server works on for a caller who has left.
// Seen in: https://github.com/grpc/grpc-java/issues/4412
// Caught by: each attempt says what is left of the deadline
import { RetryPolicy as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class RetryPolicy extends Reference {
  protected override headerOf(header: Headers, attempt: number, _leftMs: number): Headers {
    return super.headerOf(header, attempt, Number.POSITIVE_INFINITY);
  }
}
