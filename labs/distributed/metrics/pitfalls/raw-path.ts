// Flaw: the label is the path that was asked for, so each path that a scanner makes up is a series for ever.
// Seen in: https://github.com/moira-mcp/moira/issues/65
// Caught by: paths that nobody serves are one route, and so are routes beyond the limit
import type { Registry } from '@prometheus-io/client';
import { type HttpMetrics, type HttpMetricsOptions, httpInstruments, sloBuckets } from '../src/index.ts';

export * from '../src/index.ts';

export function httpMetrics(registry: Registry, { sloSeconds }: HttpMetricsOptions): HttpMetrics {
  const { requests, duration, inFlight } = httpInstruments(registry, sloBuckets(sloSeconds));
  return {
    watch(request, response) {
      const start = performance.now();
      inFlight.inc();
      response.once('close', () => {
        inFlight.dec();
        const labels = { method: request.method ?? '', route: request.url ?? '' };
        requests.inc({ ...labels, status: response.writableFinished ? response.statusCode : 499 });
        duration.observe(labels, (performance.now() - start) / 1000);
      });
    },
  };
}
