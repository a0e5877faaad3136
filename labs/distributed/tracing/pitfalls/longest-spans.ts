// Flaw: the longest spans are blamed, whether or not anybody waited for them: the job in the queue, and the work that ran beside.
// Seen in: https://github.com/jaegertracing/jaeger-ui/issues/2371
// Caught by: the critical path names the join of 800 ms and the payment that was tried twice
import { type CriticalPath, criticalPath as reference, type SpanRecord } from '../src/index.ts';

export * from '../src/index.ts';

export function criticalPath(spans: readonly SpanRecord[], rootId?: string): CriticalPath {
  const path = reference(spans, rootId);
  const culprits = spans.map(({ service, name, startMs, endMs, error }) => {
    const ms = endMs - startMs;
    return { service, name, ms, share: ms / path.totalMs, spans: 1, errors: error ? 1 : 0 };
  });
  return { ...path, culprits: culprits.sort((a, b) => b.ms - a.ms) };
}
