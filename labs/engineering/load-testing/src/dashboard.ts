import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { InvalidPlanError } from './errors.ts';
import { html } from './page.ts';
import type { Point, Report } from './recorder.ts';

export interface DashboardOptions {
  /** Default 0: a free one. */
  readonly port?: number;
}

/** A live page of one run. */
export interface Dashboard extends AsyncDisposable {
  readonly url: string;
  /** The plan's `onPoint`. */
  readonly show: (point: Point) => void;
  /** The run is over: the page shows its verdict, and `/report.json` and `/report.html` hold it. */
  finish(report: Report): void;
}

/** A reader who takes nothing is let go when so many bytes wait for him; his browser asks again. */
const MOST_WAITING = 2 ** 20;

/**
 * Serves the live page on 127.0.0.1, to this machine only.
 * @throws InvalidPlanError when the port is taken or none
 */
export async function startDashboard({ port = 0 }: DashboardOptions = {}): Promise<Dashboard> {
  const readers = new Set<ServerResponse>();
  const events: string[] = [];
  let over: Report | undefined;
  const tell = (name: string, data: unknown) => {
    const event = `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
    events.push(event);
    for (const reader of readers) {
      if (reader.writableLength > MOST_WAITING) reader.destroy();
      else reader.write(event);
    }
  };
  const server = createServer((request, response) => {
    // A page from elsewhere that has got its own name to lead here has no business with it.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) return response.writeHead(421).end();
    if (request.url === '/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.write(events.join('') || ': nothing yet\n\n');
      readers.add(response);
      return response.once('close', () => readers.delete(response));
    }
    const page = { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': POLICY };
    if (request.url === '/') return response.writeHead(200, page).end(html());
    if (over && request.url === '/report.html') return response.writeHead(200, page).end(html(over));
    if (over && request.url === '/report.json') {
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(over));
    }
    return response.writeHead(404).end();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1' }, resolve);
  }).catch((cause: unknown) => {
    throw new InvalidPlanError(`The page has no port ${port}: ${cause instanceof Error ? cause.message : cause}`);
  });
  const address: AddressInfo | string | null = server.address();
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : port}`;
  return {
    url,
    show: (point) => tell('point', point),
    finish: (report) => {
      over = report;
      tell('report', report);
    },
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'";
