// Flaw: the source is never told to wait, so what a slow reader doesn't read fills the server's memory.
// Seen in: https://github.com/elixir-grpc/grpc/issues/496
// Caught by: a slow reader slows its source
import { StreamBuffer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class StreamBuffer<T> extends Reference<T> {
  protected override hasRoom(): boolean {
    return true;
  }
}
