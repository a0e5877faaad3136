import { ExportResultCode } from '@opentelemetry/core';
import { BatchSpanProcessor, type SpanExporter, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { BoundedProcessor } from './src/index.ts';

const SPANS = 200;
const well: SpanExporter = {
  export: (_spans, done) => done({ code: ExportResultCode.SUCCESS }),
  shutdown: () => Promise.resolve(),
};
const silent: SpanExporter = { export: () => {}, shutdown: () => Promise.resolve() };

await tell({ title: 'The bounded queue against BatchSpanProcessor', dir: import.meta.dirname }, async (story) => {
  const tracerOf = (processor: SpanProcessor) => new TracerProvider({ spanProcessors: [processor] }).getTracer('bench');
  const attributes = {
    'http.request.method': 'GET',
    'url.path': '/parcels',
    'db.query.text': "SELECT 1 WHERE name = 'x'",
  };
  for (const [title, exporter] of [
    ['A request of 200 spans, the collector is well', well],
    ['A request of 200 spans, the collector is silent', silent],
  ] as const) {
    await story.scene(title, async () => {
      const lab = new BoundedProcessor(exporter);
      const peer = new BatchSpanProcessor({ exporter, exportTimeoutMillis: 1_000 });
      const request = (processor: SpanProcessor) => {
        const tracer = tracerOf(processor);
        return async () => {
          for (let n = 0; n < SPANS; n++) tracer.startSpan('order', { attributes }).end();
        };
      };
      const standings = await contest(
        { lab: request(lab), BatchSpanProcessor: request(peer) },
        { workers: 1, rounds: 9 },
      );
      story.table(standingsTable(standings));
      const [mine, theirs] = standings;
      if (!mine || !theirs) throw new Error('two contestants');
      const times = ratio(mine, theirs);
      story.say(
        'The lab redacts each span that it takes; the peer sends it as it is, and counts in a metric what it drops.',
      );
      story.verdict('at least a third as many', `${times.toFixed(2)} ×`, times >= 0.33);
      await lab.shutdown(10);
      await peer.shutdown().catch(() => {});
    });
  }

  await story.scene('The end, while the collector is silent', async () => {
    const endOf = async (processor: SpanProcessor, shutdown: () => Promise<void>) => {
      tracerOf(processor).startSpan('last').end();
      const start = performance.now();
      await shutdown().catch(() => {});
      return performance.now() - start;
    };
    const lab = new BoundedProcessor(silent);
    const peer = new BatchSpanProcessor({ exporter: silent, exportTimeoutMillis: 3_000 });
    const [mine, theirs] = await Promise.all([
      endOf(lab, () => lab.shutdown(1_000)),
      endOf(peer, () => peer.shutdown()),
    ]);
    story.table({
      columns: ['', 'shutdown took'],
      rows: [
        ['lab, deadline 1 s', `${mine.toFixed(0)} ms`],
        ['BatchSpanProcessor, export timeout 3 s (30 s by default)', `${theirs.toFixed(0)} ms`],
      ],
    });
    story.verdict('The lab ends at its deadline', `${mine.toFixed(0)} ms`, mine < theirs);
  });
});
