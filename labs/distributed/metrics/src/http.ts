import { type IncomingMessage, METHODS, type ServerResponse } from 'node:http';
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client';
import { boundedLabel } from './labels.ts';
import { sloBuckets } from './slo.ts';

export interface HttpMetricsOptions {
  /** What is promised, in seconds; see `sloBuckets`. */
  readonly sloSeconds: number;
  /** How many routes may be told apart, beside `unmatched` and `other`. Default 100. */
  readonly maxRoutes?: number;
}

export interface HttpMetrics {
  /**
   * Watches one request; call it as soon as the request is there. A second call for it, by a hook that was put in twice, changes nothing.
   *
   * @param route The pattern that answered, `/orders/:id`, asked once, at the end, when the router knows; `undefined` if none did.
   * What it throws counts as `undefined`: a metric never breaks what it measures.
   */
  watch(request: IncomingMessage, response: ServerResponse, route: () => string | undefined): void;
}

/**
 * RED for an HTTP service (rate, errors, duration: Tom Wilkie, https://grafana.com/blog/2018/08/02/the-red-method-how-to-instrument-your-services/):
 * `http_requests_total` by method, route and status, `http_request_duration_seconds` by method and route, and `http_requests_in_flight`.
 * The histogram has no status: each further label would be paid once a bucket.
 *
 * @throws InvalidArgumentError; the client's Error when the registry has these metrics already
 */
export function httpMetrics(registry: Registry, options: HttpMetricsOptions): HttpMetrics {
  // Before anything is registered: a wrong number can be put right and tried again.
  const bounded = boundedLabel(options.maxRoutes ?? 100);
  const { requests, duration, inFlight } = httpInstruments(registry, sloBuckets(options.sloSeconds));
  const watched = new WeakSet<ServerResponse>();
  return {
    watch(request, response, route) {
      if (watched.has(response)) return;
      watched.add(response);
      const start = performance.now();
      // Not 'finish', which never comes when the client has left.
      const over = () => {
        inFlight.dec();
        const pattern = matched(route);
        const labels = { method: knownMethod(request), route: pattern === undefined ? 'unmatched' : bounded(pattern) };
        // nginx's number for a client that closed the request before it had its answer. A stream of ours that broke is our own fault.
        const unfinished = response.errored ? 500 : 499;
        const status = response.writableFinished ? response.statusCode : unfinished;
        requests.inc({ ...labels, status });
        duration.observe(labels, (performance.now() - start) / 1000);
      };
      inFlight.inc();
      // Who left before we were called is over already, and closes no second time.
      if (response.closed) over();
      else response.once('close', over);
    },
  };
}

/** The three metrics of `httpMetrics`, registered. @param buckets In seconds. */
export function httpInstruments(registry: Registry, buckets: number[]) {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'http_requests_total',
      help: 'Requests that are over, by the status that was sent; 499 if the client left first, 500 if the response broke.',
      labelNames: ['method', 'route', 'status'],
      registers,
    }),
    duration: new Histogram({
      name: 'http_request_duration_seconds',
      help: 'From the request to the end of its response, or to the client leaving.',
      labelNames: ['method', 'route'],
      buckets,
      registers,
    }),
    inFlight: new Gauge({ name: 'http_requests_in_flight', help: 'Requests without an end yet.', registers }),
  };
}

/** The request's method, if HTTP knows it, else `other`. */
export function knownMethod(request: IncomingMessage): string {
  return METHODS.includes(request.method ?? '') ? (request.method ?? '') : 'other';
}

/** What `route` says; `undefined` if it throws, or says what is no text. Express has expressions among its routes: their source. */
export function matched(route: () => unknown): string | undefined {
  try {
    const said = route();
    if (said instanceof Promise) said.catch(() => {});
    return typeof said === 'string' ? said : said instanceof RegExp ? said.source : undefined;
  } catch {
    return undefined;
  }
}
