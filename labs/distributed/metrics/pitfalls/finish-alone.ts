// Flaw: only a response that was sent to its end is counted; whoever leaves stays in flight for ever, and nobody hears of him.
// Seen in: https://github.com/Ptrskay3/axum-prometheus/issues/7
// Caught by: a request whose client leaves is over too: 499, and in flight no more
import type { Registry } from '@prometheus-io/client';
import { boundedLabel, type HttpMetrics, type HttpMetricsOptions, httpInstruments, sloBuckets } from '../src/index.ts';

export * from '../src/index.ts';

export function httpMetrics(registry: Registry, { sloSeconds, maxRoutes = 100 }: HttpMetricsOptions): HttpMetrics {
  const { requests, duration, inFlight } = httpInstruments(registry, sloBuckets(sloSeconds));
  const bounded = boundedLabel(maxRoutes);
  return {
    watch(request, response, route) {
      const start = performance.now();
      inFlight.inc();
      response.once('finish', () => {
        inFlight.dec();
        const labels = { method: request.method ?? '', route: bounded(route() ?? 'unmatched') };
        requests.inc({ ...labels, status: response.statusCode });
        duration.observe(labels, (performance.now() - start) / 1000);
      });
    },
  };
}
