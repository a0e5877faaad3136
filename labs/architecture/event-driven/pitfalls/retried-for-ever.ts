// Flaw: no last try: poison is tried again without end, at whatever rate the machine gives.
// Seen in: https://github.com/rabbitmq/rabbitmq-server/issues/1020
// Caught by: streams: poison becomes a dead letter with its reason, and the others pass
import { type Dispatcher, type Reader, StreamsBus as Reference, type SubscribeOptions } from '../src/index.ts';

export * from '../src/index.ts';

export class StreamsBus extends Reference {
  protected override dispatcher(group: string, reader: Reader, options: Required<SubscribeOptions>): Dispatcher {
    return super.dispatcher(group, reader, { ...options, maxAttempts: Number.POSITIVE_INFINITY });
  }
}
