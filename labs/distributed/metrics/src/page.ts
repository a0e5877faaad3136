import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '@prometheus-io/client';

/**
 * What Prometheus comes for: `GET /metrics`. Keep it off the public port: it tells versions, routes and traffic. A metric whose `collect`
 * throws makes it 500, so that `up` is 0 and an alert says so: half a page would look like a healthy one. Where an answer has been begun
 * while the metrics were read (a timeout's 503), that one stands. Never rejects.
 */
export async function metricsPage(
  registry: Registry,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const answer = (status: number, headers: Readonly<Record<string, string>>, text?: string) => {
    if (!response.headersSent) response.writeHead(status, headers).end(text);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    answer(405, { allow: 'GET, HEAD' });
    return;
  }
  await registry.metrics().then(
    (page) => answer(200, { 'content-type': registry.contentType }, page),
    () => answer(500, { 'content-type': 'text/plain' }, 'A metric could not be read.\n'),
  );
}
