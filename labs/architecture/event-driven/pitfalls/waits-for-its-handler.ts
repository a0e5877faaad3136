// Flaw: no try has a time: as many handlers as may be at work hang, and the group stands still until somebody looks.
// Seen in: https://github.com/bbc/sqs-consumer/issues/136
// Caught by: handlers that hang are given up after their time, and give their places back
import { type Dispatcher, type Reader, MemoryBus as Reference, type SubscribeOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class MemoryBus extends Reference {
  protected override dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return super.dispatcher(group, reader, { ...options, timeoutMs: 2 ** 31 - 1 });
  }
}
