import { ROOT_CONTEXT, SpanKind } from '@opentelemetry/api';
import { TracerProvider } from '@opentelemetry/sdk-trace';
import { startPostgres, startRedis } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { sampleTraces as dice } from './pitfalls/each-rolls-its-dice.ts';
import { BoundedProcessor as Endless } from './pitfalls/endless-queue.ts';
import { BoundedProcessor, criticalPath, type SpanRecord, sampleTraces } from './src/index.ts';
import { startCollector, startCompany } from './test/parcel/processes.ts';

const SLOW_MS = 800;
const percent = (share: number) => `${(share * 100).toFixed(0)} %`;
const short = (name: string) =>
  name.includes('JOIN') ? 'SELECT … JOIN …' : name.replace('grpc.parcel.Payment/Pay', 'call Pay').slice(0, 30);

const options = {
  title: 'Tracing 链路追踪',
  subtitle: 'A parcel with one waybill, from Beijing to Guangzhou, and who made it late',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const [redis, postgres] = await Promise.all([story.use(startRedis()), story.use(startPostgres())]);
  await using bin = new AsyncDisposableStack();
  /** One order through three processes; all of its spans. */
  const ship = async (name: string, how: { hook: boolean; waybill: boolean; slowMs: number }) => {
    const collector = bin.use(await startCollector());
    const company = bin.use(
      await startCompany({
        redis: redis.nodes[0].url,
        postgres: postgres.url,
        prefix: `${redis.namespace}${name}`,
        collector: collector.url,
        ratio: 1,
        delayMs: 60_000,
        ...how,
      }),
    );
    await company.order('parcel');
    await until(() => company.delivered('parcel'), { timeoutMs: 10_000, what: 'the parcel to arrive' });
    await company.end('SIGTERM');
    const spans = collector.spans.toSorted((a, b) => a.startMs - b.startMs);
    return { spans, text: collector.text(), traces: Map.groupBy(spans, ({ traceId }) => traceId) };
  };
  type Shipped = Awaited<ReturnType<typeof ship>>;
  const count = (shipped: Shipped, which: (span: SpanRecord) => boolean) => shipped.spans.filter(which).length;
  const HOPS: readonly (readonly [string, (span: SpanRecord) => boolean])[] = [
    ['HTTP', ({ attributes }) => 'http.request.method' in attributes],
    ['gRPC', ({ attributes }) => attributes['rpc.system'] === 'grpc'],
    ['Redis', ({ attributes }) => attributes['db.system.name'] === 'redis'],
    ['Postgres', ({ attributes }) => attributes['db.system.name'] === 'postgresql'],
  ];
  const naive = await ship('naive', { hook: false, waybill: false, slowMs: 40 });
  const lost = await ship('lost', { hook: true, waybill: false, slowMs: 40 });
  const whole = await ship('whole', { hook: true, waybill: true, slowMs: SLOW_MS });

  await story.scene('A scanner in every depot, and most of them are off', async () => {
    story.say(
      'A shop (HTTP), a payment (gRPC) and a courier (a queue): three processes, all with an SDK, a list of instrumentations ' +
        'and `node --import`. No error, no warning. But without the hook for ESM only what some CommonJS package requires, as HTTP here, is patched.',
    );
    story.table({
      columns: [
        'spans of one parcel',
        { label: 'without the hook', align: 'right' },
        { label: 'with it', align: 'right' },
      ],
      rows: HOPS.map(([hop, which]) => [hop, count(naive, which), count(whole, which)]),
    });
    const silent = HOPS.filter(([, which]) => count(naive, which) === 0 && count(whole, which) > 0).map(([hop]) => hop);
    story.verdict('Without the hook spans are missing, and nothing says so', silent.join(', '), silent.length >= 2);
    story.code('src/modules.ts', { from: 'for (const [name, load]', to: 'throw new NotPatchedError' });
  });

  await story.scene('The queue has no headers', async () => {
    story.say(
      'HTTP and gRPC carry the waybill number in their headers. A job is what its payload says. Unless the number is in ' +
        'there, the courier begins a new trace, and the parcel is lost between two depots.',
    );
    const withCourier = ({ traces }: Shipped) =>
      [...traces.values()].filter((spans) => new Set(spans.map(({ service }) => service)).size === 3).length;
    story.verdict('Without it one parcel has two waybills', `${lost.traces.size} traces`, lost.traces.size === 2);
    story.code('src/propagation.ts', {
      from: 'const read = (key: keyof Carrier)',
      to: 'return trace.setSpanContext',
    });
    story.verdict(
      'With it there is one, from the click to Guangzhou',
      `${whole.traces.size} trace through ${withCourier(whole) === 1 ? 3 : 'fewer than 3'} processes, ${whole.spans.length} spans`,
      whole.traces.size === 1 && withCourier(whole) === 1,
    );
    const typed = ['@example.org', '4242424242424242', 'did not take', 'email='].filter((word) =>
      whole.text.includes(word),
    );
    story.verdict(
      'A mail address, a card and the bank’s words went in, and none came out',
      `${typed.length} of 4`,
      typed.length === 0,
    );
  });

  await story.scene('Who made it late?', async () => {
    const { culprits, segments, totalMs, orphans } = criticalPath(whole.spans);
    const start = segments[0]?.fromMs ?? 0;
    const lanes = Map.groupBy(segments, ({ span }) => short(span.attributes['db.query.text'] ?? span.name));
    const longest = culprits.slice(0, 5).map(({ name }) => short(name));
    story.timeline({
      title: 'What the customer waited for',
      unit: 'ms',
      lanes: longest.map((label) => ({
        label,
        spans: (lanes.get(label) ?? []).map(({ span, fromMs, toMs }) => ({
          from: fromMs - start,
          to: toMs - start,
          label: span.service,
          tone: label.includes('JOIN') ? 'bad' : 'accent',
        })),
      })),
      picture: true,
    });
    story.table({
      columns: [
        'to blame',
        'process',
        { label: 'ms', align: 'right' },
        { label: 'share', align: 'right' },
        { label: 'spans', align: 'right' },
      ],
      rows: culprits
        .slice(0, 5)
        .map((each) => [short(each.name), each.service, each.ms.toFixed(0), percent(each.share), each.spans]),
    });
    const [first] = culprits;
    story.verdict(
      'Of three queries it is the join',
      `${first?.ms.toFixed(0)} of ${totalMs.toFixed(0)} ms`,
      first?.name.includes('JOIN') === true && orphans.length === 0,
    );
    const attempts = whole.spans.filter(
      ({ service, kind, name }) => service === 'shop' && kind === 'client' && name.includes('Pay'),
    );
    const failed = attempts.filter(({ error }) => error).length;
    story.verdict(
      'The payment was tried twice',
      `${attempts.length} calls, ${failed} failed`,
      attempts.length === 2 && failed === 1,
    );
    const courier = whole.spans.filter(({ service }) => service === 'courier').length;
    const blamed = segments.filter(({ span }) => span.service === 'courier').length;
    story.verdict(
      'Nobody waited for the courier',
      `${courier} spans of his, ${blamed} on the path`,
      courier > 0 && blamed === 0,
    );
  });

  await story.scene('One parcel in ten', async () => {
    story.say(
      'Three processes keep a tenth of the traces. Each draws lots, or the first decides by the number on the waybill.',
    );
    const ids = Array.from({ length: 2_000 }, () =>
      Array.from({ length: 32 }, () => Math.floor(story.random() * 16).toString(16)).join(''),
    );
    const outcome = (make: typeof sampleTraces) => {
      const processes = [make(0.1), make(0.1), make(0.1)];
      const kept = ids.map(
        (id) =>
          processes.filter((each) => each.shouldSample(ROOT_CONTEXT, id, '', SpanKind.SERVER, {}, []).decision === 2)
            .length,
      );
      return { whole: kept.filter((n) => n === 3).length, torn: kept.filter((n) => n === 1 || n === 2).length };
    };
    const drawn = outcome(dice);
    const agreed = outcome(sampleTraces);
    story.verdict(
      'Lots tear traces apart',
      `${drawn.torn} torn, ${drawn.whole} whole of 2000`,
      drawn.torn > 10 * drawn.whole,
    );
    story.verdict(
      'By the number they are kept whole',
      `${agreed.torn} torn, ${agreed.whole} whole`,
      agreed.torn === 0 && agreed.whole > 100,
    );
  });

  await story.scene('The data centre is down', async () => {
    story.say('A collector takes the first request and never answers. The shop goes on, with 5000 spans.');
    const silent = { export: () => {}, shutdown: () => Promise.resolve() };
    const work = async (Queue: typeof BoundedProcessor) => {
      const processor = new Queue(silent, { maxQueue: 500, maxBatch: 100, delayMs: 1 });
      const tracer = new TracerProvider({ spanProcessors: [processor] }).getTracer('shop');
      for (let n = 0; n < 5_000; n++) tracer.startSpan('order').end();
      const { counts } = processor;
      await processor.shutdown(10);
      return counts;
    };
    const endless = await work(Endless);
    story.verdict('A queue without a bound keeps them all', `${endless.waiting} in memory`, endless.waiting === 5_000);
    const { waiting, dropped } = await work(BoundedProcessor);
    story.verdict(
      'A bounded one drops, and says how many',
      `${waiting} in memory, ${dropped} dropped`,
      waiting === 500 && dropped === 4_500,
    );
  });

  story.next([
    '`pnpm lab learn tracing` to build it yourself',
    '`pnpm lab tracing zipkin` to look at the trace in Zipkin’s page, in a real browser',
  ]);
});
