// Flaw: the request is counted when it comes, so its status is the one that no handler has set yet: 200.
// Seen in: https://github.com/tom-draper/api-analytics/issues/49
// Caught by: a request is counted once, when it is over, by its method, route and status
import type { Registry } from '@prometheus-io/client';
import { type HttpMetrics, type HttpMetricsOptions, httpInstruments, sloBuckets } from '../src/index.ts';

export * from '../src/index.ts';

export function httpMetrics(registry: Registry, { sloSeconds }: HttpMetricsOptions): HttpMetrics {
  const { requests, duration, inFlight } = httpInstruments(registry, sloBuckets(sloSeconds));
  return {
    watch(request, response, route) {
      const start = performance.now();
      const labels = { method: request.method ?? '', route: route() ?? 'unmatched' };
      requests.inc({ ...labels, status: response.statusCode });
      inFlight.inc();
      response.once('close', () => {
        inFlight.dec();
        duration.observe(labels, (performance.now() - start) / 1000);
      });
    },
  };
}
