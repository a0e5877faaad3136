// Flaw: the queue has no bound: while the collector is down every span stays in memory, until the process goes down too.
// Seen in: https://github.com/open-telemetry/opentelemetry-rust/issues/2787
// Caught by: a collector that is down costs no memory and no time, and each lost span is counted
import type { SpanExporter } from '@opentelemetry/sdk-trace';
import { type QueueOptions, BoundedProcessor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class BoundedProcessor extends Reference {
  constructor(exporter: SpanExporter, options: QueueOptions = {}) {
    super(exporter, { ...options, maxQueue: 2 ** 31 - 1, maxBatch: options.maxBatch ?? 512 });
  }
}
