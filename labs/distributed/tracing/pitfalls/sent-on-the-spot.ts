// Flaw: each span is sent by whoever ends it, a request each: the collector's trouble is the customer's, and nothing waits that could be counted.
// Seen in: https://github.com/open-telemetry/opentelemetry-rust/pull/502
// Caught by: a collector that is down costs no memory and no time, and each lost span is counted
import { type ReadableSpan, SimpleSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace';
import { type QueueOptions, BoundedProcessor as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class BoundedProcessor extends Reference {
  readonly #simple: SimpleSpanProcessor;

  constructor(exporter: SpanExporter, options: QueueOptions = {}) {
    super(exporter, options);
    this.#simple = new SimpleSpanProcessor({ exporter });
  }

  override onEnd(span: ReadableSpan): void {
    this.#simple.onEnd(span);
  }
}
