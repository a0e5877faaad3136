import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ExportResultCode } from '@opentelemetry/core';
import { BatchSpanProcessor, type SpanExporter, type SpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { BoundedProcessor } from './src/processor.ts';

const SPANS = 200;
const well: SpanExporter = {
  export: (_spans, done) => done({ code: ExportResultCode.SUCCESS }),
  shutdown: () => Promise.resolve(),
};
const silent: SpanExporter = { export: () => {}, shutdown: () => Promise.resolve() };

/** What each does in a process of its own before the application's first line: `bench.ts NAME`. */
const starts: Readonly<Record<string, () => Promise<unknown>>> = {
  nothing: async () => {},
  lab: async () => {
    const { start } = await import('./src/start.ts');
    await start({ service: 'shop', modules: { http: () => import('node:http'), pg: () => import('pg') } });
  },
  NodeSDK: async () => {
    const { NodeSDK } = await import('@opentelemetry/sdk-node');
    const { HttpInstrumentation } = await import('@opentelemetry/instrumentation-http');
    const { PgInstrumentation } = await import('@opentelemetry/instrumentation-pg');
    new NodeSDK({
      serviceName: 'shop',
      instrumentations: [new HttpInstrumentation(), new PgInstrumentation()],
    }).start();
    await Promise.all([import('node:http'), import('pg')]);
  },
};
const ROUNDS = 7;

const [, , alone = ''] = process.argv;
if (Object.hasOwn(starts, alone)) {
  await starts[alone]?.();
  process.exit();
}

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

  await story.scene('Before the first line', async () => {
    const times = new Map(Object.keys(starts).map((name) => [name, [] as number[]]));
    for (let round = 0; round <= ROUNDS; round++) {
      for (const name of Object.keys(starts)) {
        const began = performance.now();
        await promisify(execFile)(process.execPath, [import.meta.filename, name]);
        // The first round fills the caches of the disk.
        if (round > 0) times.get(name)?.push(performance.now() - began);
      }
    }
    const median = (name: string) => times.get(name)?.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN;
    const bare = median('nothing');
    const [mine, theirs] = [median('lab') - bare, median('NodeSDK') - bare];
    story.table({
      columns: ['', 'longer than without'],
      rows: [
        ['lab: start(), with its check of what is patched', `${mine.toFixed(0)} ms`],
        ['NodeSDK.start(), both times with HTTP and pg', `${theirs.toFixed(0)} ms`],
      ],
    });
    story.say(
      'Tracers are loaded in each of the three. NodeSDK brings metrics, logs and every exporter along, and configures them from the environment.',
    );
    story.verdict(
      'To look whether all is patched costs no second start',
      `${(mine / theirs).toFixed(2)} ×`,
      mine < 2 * theirs,
    );
  });

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
