import { once } from 'node:events';
import { createServer } from 'node:http';
import { readOtlp, type SpanRecord } from '../src/vendor/tracing/otlp.ts';

/** Where the processes send their spans: OTLP over HTTP, as JSON. */
export async function startCollector() {
  const spans: SpanRecord[] = [];
  const server = createServer(async (request, response) => {
    const body = await new Response(request).text().catch(() => '{}');
    spans.push(...readOtlp(JSON.parse(body)));
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    /** Of one trace, each behind its parent, with how deep it stands. */
    tree(traceId: string): readonly { readonly span: SpanRecord; readonly depth: number }[] {
      const all = spans.filter((span) => span.traceId === traceId).sort((a, b) => a.startMs - b.startMs);
      const known = new Set(all.map(({ spanId }) => spanId));
      const under = (parent: string | undefined, depth: number): { span: SpanRecord; depth: number }[] =>
        all
          .filter((span) => (parent === undefined ? !known.has(span.parentSpanId ?? '') : span.parentSpanId === parent))
          .flatMap((span) => [{ span, depth }, ...under(span.spanId, depth + 1)]);
      return under(undefined, 0);
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
