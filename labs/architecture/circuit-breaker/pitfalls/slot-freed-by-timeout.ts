// Flaw: a slot is given back when its caller leaves, though the call goes on: a hung dependency gets more and more.
// Seen in: https://github.com/modelence/modelence/pull/363 (the review: "exactly how a hung job bypasses the cap")
// Caught by: a slot is free when its call has ended, not when its caller has gone

import { runCancellable } from '../src/call.ts';
import { type Call, Bulkhead as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Bulkhead extends Reference {
  protected override async execute<T>(call: Call<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
      return await runCancellable(call, signal);
    } finally {
      this.leave();
    }
  }
}
