// Flaw: shutdown waits for the collector for as long as that takes: a process that is to end hangs, until somebody kills it and all that waited.
// Seen in: https://github.com/open-telemetry/opentelemetry-python/issues/2284
// Caught by: at the end what waits is sent, until a deadline
import { BoundedProcessor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class BoundedProcessor extends Reference {
  override async shutdown(): Promise<void> {
    await this.forceFlush();
    await super.shutdown();
  }
}
