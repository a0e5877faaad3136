import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '@prometheus-io/client';

/**
 * What Prometheus comes for: `GET /metrics`. Keep it off the public port: it tells versions, routes and traffic. A metric whose `collect`
 * throws makes it 500, so that `up` is 0 and an alert says so: half a page would look like a healthy one.
 */
export async function metricsPage(
  registry: Registry,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { allow: 'GET, HEAD' }).end();
    return;
  }
  try {
    const page = await registry.metrics();
    response.writeHead(200, { 'content-type': registry.contentType }).end(page);
  } catch {
    response.writeHead(500, { 'content-type': 'text/plain' }).end('A metric could not be read.\n');
  }
}
