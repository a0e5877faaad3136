import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import {
  type BaggageEntry,
  baggageEntryMetadataFromString,
  type Context,
  context,
  createTraceState,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { ExportResultCode, W3CBaggagePropagator, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { type ReadableSpan, SamplingDecision, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace';
import { outcome, random, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  assertPatched,
  BoundedProcessor,
  criticalPath,
  extract,
  hookImports,
  InvalidArgumentError,
  inject,
  instrument,
  isChosen,
  type Kind,
  NotPatchedError,
  parseTraceparent,
  provide,
  type QueueOptions,
  readOtlp,
  redact,
  redactAddress,
  redactStatement,
  type SpanRecord,
  sampleTraces,
  waybill,
} from '#lab';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const GOOD = `00-${TRACE}-${SPAN}-01`;

/** As a job goes through a queue. */
const posted = (carrier: unknown): unknown => JSON.parse(JSON.stringify({ carrier })).carrier;
const inSpan = (traceFlags: number = TraceFlags.SAMPLED, spanId = SPAN): Context =>
  trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId, traceFlags });
const baggageOf = (from: Context) =>
  Object.fromEntries((propagation.getBaggage(from)?.getAllEntries() ?? []).map(([key, { value }]) => [key, value]));
const withBaggage = (entries: Iterable<readonly [string, string]>) => {
  let baggage = propagation.createBaggage();
  for (const [key, value] of entries) baggage = baggage.setEntry(key, { value });
  return propagation.setBaggage(ROOT_CONTEXT, baggage);
};

/** An exporter that answers when the test says so. */
class Collector implements SpanExporter {
  readonly got: ReadableSpan[] = [];
  readonly batches: number[] = [];
  readonly #open: (() => void)[] = [];
  /** undefined: silent. */
  answer: ExportResultCode | undefined = ExportResultCode.SUCCESS;
  closed = 0;

  export(spans: ReadableSpan[], done: (result: { code: ExportResultCode }) => void): void {
    this.batches.push(spans.length);
    const reply = () => {
      if (this.answer === ExportResultCode.SUCCESS) this.got.push(...spans);
      done({ code: this.answer ?? ExportResultCode.FAILED });
    };
    if (this.answer === undefined) this.#open.push(reply);
    else reply();
  }
  /** Answers what was left without an answer, and all that comes. */
  recover(): void {
    this.answer = ExportResultCode.SUCCESS;
    for (const reply of this.#open.splice(0)) reply();
  }
  shutdown(): Promise<void> {
    this.closed++;
    return Promise.resolve();
  }
}

const line = (exporter: SpanExporter, options: QueueOptions) => {
  const processor = new BoundedProcessor(exporter, options);
  const provider = new TracerProvider({ spanProcessors: [processor] });
  const tracer = provider.getTracer('test');
  onTestFinished(async () => {
    if (exporter instanceof Collector) exporter.recover();
    await processor.shutdown(0);
  });
  const end = (count: number) => {
    for (let n = 0; n < count; n++) tracer.startSpan(`span ${n}`).end();
  };
  return { processor, end };
};

interface Extra {
  readonly service?: string;
  readonly kind?: Kind;
  readonly error?: boolean;
  readonly query?: string;
}
/** `name` is the span's id too. */
const record = (
  name: string,
  parent: string | undefined,
  startMs: number,
  endMs: number,
  extra: Extra = {},
): SpanRecord => ({
  traceId: TRACE,
  spanId: name,
  ...(parent !== undefined && { parentSpanId: parent }),
  service: extra.service ?? 'shop',
  name: name.replace(/ \d$/, ''),
  kind: extra.kind ?? 'internal',
  startMs,
  endMs,
  error: extra.error ?? false,
  attributes: extra.query ? { 'db.query.text': extra.query } : {},
});
const blame = (spans: readonly SpanRecord[], root?: string) =>
  Object.fromEntries(criticalPath(spans, root).culprits.map(({ name, ms }) => [name, Math.round(ms)]));

describe('tracing', () => {
  // ── core ──

  test('a job carries the waybill of the span that sent it', () => {
    expect(inject(inSpan()), 'what goes into the payload').toMatchObject({ traceparent: GOOD });
    const arrived = trace.getSpanContext(extract(posted(inject(inSpan()))));
    expect(arrived, 'what the worker goes on with').toMatchObject({
      traceId: TRACE,
      spanId: SPAN,
      traceFlags: TraceFlags.SAMPLED,
      isRemote: true,
    });
    const next = inject(inSpan(TraceFlags.SAMPLED, 'b7ad6b7169203331'));
    expect(next.traceparent, 'from another span of the trace').toBe(`00-${TRACE}-b7ad6b7169203331-01`);
    expect(inject(ROOT_CONTEXT), 'where there is no trace').toEqual({});
    expect(inject(inSpan(TraceFlags.NONE)).traceparent, 'of a trace that is not kept').toBe(`00-${TRACE}-${SPAN}-00`);
  });

  test('a malformed waybill begins a new trace, and is never an error', () => {
    const bad: unknown[] = [
      undefined,
      null,
      7,
      [],
      '',
      GOOD.toUpperCase(),
      `${GOOD}-more`,
      GOOD.slice(0, -1),
      `${GOOD}\n`,
      ` ${GOOD}`,
      `ff-${TRACE}-${SPAN}-01`,
      `00-${'0'.repeat(32)}-${SPAN}-01`,
      `00-${TRACE}-${'0'.repeat(16)}-01`,
      `00-${TRACE.slice(1)}g-${SPAN}-01`,
      `00-${TRACE}-${SPAN}`,
      { toString: 1 },
    ];
    for (const traceparent of bad) {
      expect(parseTraceparent(traceparent), `traceparent ${JSON.stringify(traceparent)}`).toBeUndefined();
      expect(trace.getSpanContext(extract({ traceparent })), `of ${JSON.stringify(traceparent)}`).toBeUndefined();
    }
    for (const carrier of [undefined, null, 'x', 7, [], {}, { tracestate: 'a=b' }]) {
      expect(trace.getSpanContext(extract(carrier)), `a job with ${JSON.stringify(carrier)}`).toBeUndefined();
    }
    const provider = new TracerProvider();
    const tracer = provider.getTracer('test');
    const ids = bad.map((traceparent) => tracer.startSpan('job', {}, extract({ traceparent })).spanContext().traceId);
    expect(new Set(ids).size, 'traces begun').toBe(bad.length);
    expect(parseTraceparent(`00-${TRACE}-${SPAN}-10`)?.traceFlags, 'flags are hexadecimal').toBe(0);
    const future = parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-comes-after`);
    expect(future, 'a version of the future').toMatchObject({ traceId: TRACE, spanId: SPAN });
  });

  test('a trace is kept by every process that meets it, or by none', () => {
    const { shouldSample } = sampleTraces(0.5);
    const rng = random(SEED);
    const ids = Array.from({ length: 400 }, () =>
      Array.from({ length: 4 }, () =>
        rng
          .int(1, 2 ** 32 - 1)
          .toString(16)
          .padStart(8, '0'),
      ).join(''),
    );
    const asked = (parent: Context, id: string, sampler = shouldSample) =>
      sampler(parent, id, 'order', SpanKind.SERVER, {}, []).decision === SamplingDecision.RECORD_AND_SAMPLED;
    const kept = ids.filter((id) => asked(ROOT_CONTEXT, id));
    expect(kept.length, 'of 400 traces, at a ratio of a half').toBeGreaterThan(150);
    expect(kept.length, 'of 400 traces, at a ratio of a half').toBeLessThan(250);
    const elsewhere = sampleTraces(0.5).shouldSample;
    expect(
      ids.filter((id) => asked(ROOT_CONTEXT, id, elsewhere)),
      'what another process keeps',
    ).toEqual(kept);
    const always = sampleTraces(1).shouldSample;
    const never = sampleTraces(0).shouldSample;
    for (const id of ids.slice(0, 50)) {
      expect(asked(inSpan(TraceFlags.SAMPLED), id, never), 'kept by who began it, at a ratio of 0 here').toBe(true);
      expect(asked(inSpan(TraceFlags.NONE), id, always), 'not kept by who began it, at a ratio of 1 here').toBe(false);
    }
    const less = ids.filter((id) => asked(ROOT_CONTEXT, id, sampleTraces(0.1).shouldSample));
    expect(
      less.filter((id) => !kept.includes(id)),
      'kept at 0.1 and not at 0.5',
    ).toEqual([]);
  });

  test('baggage arrives as it was; an entry that is too much stays behind whole', () => {
    const entries = { customer: 'Ada & Söhne, "VIP"; 100 %=', 收件人: 'no token', city: '广州', half: '\ud800' };
    const carrier = inject(withBaggage(Object.entries(entries)));
    expect(baggageOf(extract(posted(carrier))), 'what arrived').toEqual({ customer: entries.customer, city: '广州' });
    const many = Array.from({ length: 70 }, (_, n) => [`k${n}`, 'v'] as const);
    expect(Object.keys(baggageOf(extract(inject(withBaggage(many))))), 'of 70 entries').toHaveLength(64);
    const large = [
      ['a', 'x'.repeat(8_000)],
      ['b', 'y'.repeat(300)],
      ['c', 'z'],
    ] as const;
    const sent = inject(withBaggage(large)).baggage ?? '';
    expect(Buffer.byteLength(sent), 'bytes sent').toBeLessThanOrEqual(8_192);
    expect(baggageOf(extract({ baggage: sent })), 'b would be beyond 8192 bytes').toEqual({ a: large[0][1], c: 'z' });
  });

  test('a collector that is down costs no memory and no time, and each lost span is counted', async () => {
    const collector = new Collector();
    collector.answer = undefined;
    const { processor, end } = line(collector, { maxQueue: 100, maxBatch: 10, delayMs: 1 });
    end(1_000);
    expect(collector.batches, 'requests begun while spans ended').toEqual([]);
    expect(processor.counts, 'of 1000 spans').toEqual({ exported: 0, dropped: 900, failed: 0, waiting: 100 });
    await until(() => collector.batches.length > 0, { timeoutMs: 2_000, what: 'a batch to be sent' });
    end(50);
    expect(processor.counts, 'of 1050 spans').toEqual({ exported: 0, dropped: 950, failed: 0, waiting: 100 });
    collector.recover();
    await processor.forceFlush();
    expect(processor.counts, 'once the collector is back').toEqual({
      exported: 100,
      dropped: 950,
      failed: 0,
      waiting: 0,
    });
    expect(collector.batches, 'batches').toEqual(Array(10).fill(10));
  });

  test('at the end what waits is sent, until a deadline', async () => {
    const well = new Collector();
    const first = line(well, { delayMs: 60_000 });
    first.end(3);
    await first.processor.shutdown();
    expect(
      well.got.map(({ name }) => name),
      'sent at the end',
    ).toEqual(['span 0', 'span 1', 'span 2']);
    first.end(2);
    expect(first.processor.counts, 'two more after the end').toMatchObject({ exported: 3, dropped: 2, waiting: 0 });
    const silent = new Collector();
    silent.answer = undefined;
    const second = line(silent, { maxBatch: 2, delayMs: 60_000, exportTimeoutMs: 60_000 });
    second.end(5);
    const closed = second.processor.shutdown(20).then(() => 'closed');
    expect(
      await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, 1_000, 'hangs'))]),
      'a silent collector',
    ).toBe('closed');
    expect(second.processor.counts, 'of 5 spans, 2 on their way').toEqual({
      exported: 0,
      dropped: 3,
      failed: 2,
      waiting: 0,
    });
  });

  test('what people typed is not on the waybill', () => {
    const ended: ReadableSpan[] = [];
    const settled = () => Promise.resolve();
    const keep = {
      onStart: () => {},
      onEnd: (span: ReadableSpan) => void ended.push(span),
      forceFlush: settled,
      shutdown: settled,
    };
    const tracer = new TracerProvider({ spanProcessors: [keep] }).getTracer('test');
    const secret = /ada|4242|hunter2|secret/i;
    const span = tracer.startSpan('GET', {
      attributes: {
        'url.full': 'https://ada:hunter2@bank.example/pay?card=4242#secret',
        'url.query': 'card=4242',
        'http.target': '/pay?card=4242',
        'db.query.text': "UPDATE t SET note = 'ada''s secret' WHERE id = 4242 AND name = $1",
        'db.query.parameter.0': 'ada@example.org',
        'http.request.header.cookie': ['sid=secret'],
        'client.address': '10.0.0.4',
        'grpc.error_message': 'no such card 4242',
        'http.response.status_code': 500,
        'db.system.name': 'postgresql',
      },
    });
    span.recordException(new TypeError('Key (email)=(ada@example.org) already exists.'));
    span.setStatus({ code: SpanStatusCode.ERROR, message: 'ada has no money' });
    span.end();
    const [sent] = ended.map(redact);
    if (!sent) throw new Error('a span has ended');
    const text = JSON.stringify([sent.attributes, sent.status, sent.events]);
    expect(text, 'what is sent').not.toMatch(secret);
    expect(sent.attributes, 'what is left').toEqual({
      'url.full': 'https://bank.example/pay',
      'http.target': '/pay',
      'db.query.text': 'UPDATE t SET note = ? WHERE id = ? AND name = $1',
      'http.response.status_code': 500,
      'db.system.name': 'postgresql',
    });
    expect(sent.status, 'that it failed').toEqual({ code: SpanStatusCode.ERROR });
    expect(sent.events[0]?.attributes, 'how it failed').toEqual({ 'exception.type': 'TypeError' });
    expect(sent.spanContext(), 'whose it is').toEqual(span.spanContext());
  });

  test('a module that is not patched stops the start, and is named', async () => {
    const require = createRequire(import.meta.url);
    const patched = { ioredis: async () => require('ioredis') };
    const early = { http: () => import('node:http'), pg: () => import('pg') };
    instrument({ ...patched });
    const { error } = await outcome(assertPatched({ ...early, ...patched }));
    expect(error, 'http and pg were loaded unpatched').toBeInstanceOf(NotPatchedError);
    expect(error).toMatchObject({ modules: ['http', 'pg'] });
    expect((await outcome(assertPatched(patched))).error, 'ioredis is patched').toBeUndefined();
    expect((await outcome(assertPatched({}))).error, 'nothing is expected').toBeUndefined();
  });

  test('the critical path names the join of 800 ms and the payment that was tried twice', () => {
    const spans = [
      record('GET /parcel', undefined, 0, 1_500, { kind: 'server' }),
      record('query 1', 'GET /parcel', 20, 40, { query: 'SELECT product' }),
      record('query 2', 'GET /parcel', 40, 840, { query: 'SELECT … JOIN' }),
      record('query 3', 'GET /parcel', 840, 860, { query: 'SELECT stock' }),
      record('recommend', 'GET /parcel', 30, 700, { service: 'ads' }),
      record('pay', 'GET /parcel', 860, 1_400),
      record('charge 1', 'pay', 870, 1_070, { error: true, kind: 'client' }),
      record('charge 2', 'pay', 1_170, 1_390, { kind: 'client' }),
      record('send', 'GET /parcel', 1_400, 1_410, { kind: 'producer' }),
      record('deliver', 'send', 1_450, 9_000, { kind: 'consumer', service: 'courier' }),
    ];
    const { culprits, totalMs, segments, orphans } = criticalPath(spans);
    expect(totalMs, 'in all').toBe(1_500);
    const [first, second] = culprits;
    expect(first, 'the first to blame').toMatchObject({ name: 'SELECT … JOIN', ms: 800, spans: 1, errors: 0 });
    expect(second, 'the second to blame').toMatchObject({ name: 'charge', ms: 420, spans: 2, errors: 1 });
    expect(first?.share).toBeCloseTo(0.533, 3);
    expect(blame(spans)['pay'], 'the pause between two attempts, and what is around them').toBe(120);
    expect(Object.keys(blame(spans)), 'what ran beside it, or after it').not.toContain('recommend');
    expect(Object.keys(blame(spans)), 'what ran beside it, or after it').not.toContain('deliver');
    expect(segments[0], 'the first segment').toMatchObject({ fromMs: 0, toMs: 20 });
    expect(orphans).toEqual([]);
    expect(blame(spans, 'deliver'), 'seen from the courier').toEqual({ deliver: 7_550 });
  });

  // ── hardening ──

  test('headers are read and written as the OpenTelemetry propagators do it', () => {
    const getter = {
      get: (carrier: Record<string, string>, key: string) => carrier[key],
      keys: (carrier: object) => Object.keys(carrier),
    };
    const setter = {
      set: (carrier: Record<string, string>, key: string, value: string) => {
        Object.assign(carrier, { [key]: value });
      },
    };
    const theirs = [new W3CTraceContextPropagator(), new W3CBaggagePropagator()];
    const headers = { traceparent: GOOD, tracestate: 'congo=t61,rojo=00f0', baggage: 'a=1;ttl=3,b=%20x' };
    const mine = waybill.extract(ROOT_CONTEXT, headers, getter);
    const other = theirs.reduce((into, each) => each.extract(into, headers, getter), ROOT_CONTEXT);
    expect(trace.getSpanContext(mine)).toEqual({ ...trace.getSpanContext(other), traceState: expect.anything() });
    expect(trace.getSpanContext(mine)?.traceState?.serialize()).toBe('congo=t61,rojo=00f0');
    expect(propagation.getBaggage(mine)?.getEntry('a')?.metadata?.toString()).toBe('ttl=3');
    const written: Record<string, string> = {};
    waybill.inject(mine, written, setter);
    const wanted: Record<string, string> = {};
    for (const each of theirs) each.inject(other, wanted, setter);
    expect(written).toEqual(wanted);
    expect(waybill.fields()).toEqual(['traceparent', 'tracestate', 'baggage']);
    const two = { get: () => [GOOD, `00-${TRACE}-b7ad6b7169203331-01`], keys: () => [] };
    expect(trace.getSpanContext(waybill.extract(ROOT_CONTEXT, {}, two)), 'two traceparents').toBeUndefined();
    const local = waybill.extract(inSpan(), {}, getter);
    expect(trace.getSpanContext(local)?.spanId, 'no header: the context as it was').toBe(SPAN);
  });

  test('nothing of the worker’s own context is on a job that it takes', () => {
    const own = propagation.setBaggage(inSpan(), propagation.createBaggage({ own: { value: '1' } }));
    const seen = context.with(own, () => extract({ traceparent: 'nonsense', baggage: 'theirs=2' }));
    expect(trace.getSpanContext(seen)).toBeUndefined();
    expect(baggageOf(seen)).toEqual({ theirs: '2' });
    const state = createTraceState('vendor=1');
    const span = trace.setSpanContext(ROOT_CONTEXT, { traceId: TRACE, spanId: SPAN, traceFlags: 1, traceState: state });
    expect(inject(span).tracestate).toBe('vendor=1');
    expect(trace.getSpanContext(extract({ traceparent: GOOD, tracestate: 7 }))).not.toHaveProperty('traceState');
  });

  test('baggage that is malformed loses its entries one by one', () => {
    const read = (baggage: unknown) => baggageOf(extract({ baggage }));
    expect(read('a=1,,=2,b,c d=3,e=%zz,f=4, g = 5 ')).toEqual({ a: '1', f: '4', g: '5' });
    expect(read('a=b=c')).toEqual({ a: 'b=c' });
    expect(read(`a=${'x'.repeat(8_190)}`), '8192 bytes').toHaveProperty('a');
    expect(Object.keys(read('__proto__=1,toString=2'))).toContain('toString');
    for (const none of [undefined, 7, '', 'x'.repeat(9_000), `a=${'x'.repeat(8_191)}`]) expect(read(none)).toEqual({});
  });

  test('a ratio is a share of traces', () => {
    for (const ratio of [-0.1, 1.1, Number.NaN]) expect(() => sampleTraces(ratio)).toThrow(InvalidArgumentError);
    expect(isChosen('f'.repeat(32), 1)).toBe(true);
    expect(isChosen(`${'f'.repeat(31)}0`, 0.999)).toBe(false);
    expect(isChosen(`${'f'.repeat(16)}${'0'.repeat(15)}1`, 0)).toBe(false);
    expect(isChosen(`${'0'.repeat(16)}ff${'0'.repeat(14)}`, 0.001), 'the random bits alone decide').toBe(true);
    expect(String(sampleTraces(0.25))).toContain('0.25');
  });

  test('a request that fails, throws or is not answered costs its own spans alone', async () => {
    const exporter = new Collector();
    const { processor, end } = line(exporter, { maxBatch: 2, delayMs: 60_000, exportTimeoutMs: 10 });
    exporter.answer = ExportResultCode.FAILED;
    end(2);
    await processor.forceFlush();
    exporter.answer = undefined;
    end(2);
    await processor.forceFlush();
    exporter.answer = ExportResultCode.SUCCESS;
    end(2);
    await processor.forceFlush();
    expect(processor.counts).toEqual({ exported: 2, dropped: 0, failed: 4, waiting: 0 });
    const broken = new Collector();
    broken.export = () => {
      throw new Error('broken');
    };
    const second = line(broken, { delayMs: 60_000 });
    second.end(1);
    await second.processor.forceFlush();
    broken.export = async () => {
      throw new Error('broken, later');
    };
    second.end(1);
    await second.processor.forceFlush();
    expect(second.processor.counts).toMatchObject({ failed: 2, waiting: 0 });
  });

  test('spans wait for each other, full batches do not wait, and what is not sampled is not sent', async () => {
    const exporter = new Collector();
    const { processor, end } = line(exporter, { maxBatch: 3, delayMs: 20 });
    end(2);
    await until(() => exporter.got.length === 2, { timeoutMs: 2_000, what: 'the delay to pass' });
    const patient = new Collector();
    const full = line(patient, { maxBatch: 3, delayMs: 60_000 });
    full.end(7);
    await until(() => patient.got.length === 7, { timeoutMs: 2_000, what: 'full batches to be sent' });
    expect(patient.batches).toEqual([3, 3, 1]);
    full.end(3);
    await until(() => patient.got.length === 10, { timeoutMs: 2_000, what: 'a batch that is just full' });
    const provider = new TracerProvider({ spanProcessors: [processor], sampler: sampleTraces(0) });
    provider.getTracer('test').startSpan('unseen').end();
    await processor.forceFlush();
    expect(exporter.got).toHaveLength(2);
    const twice = [processor.shutdown(), processor.shutdown()];
    await Promise.all(twice);
    expect(exporter.closed, 'the exporter is closed once').toBe(1);
    await processor.forceFlush();
  });

  test('limits, names and modules that make no sense are refused', async () => {
    const exporter = new Collector();
    for (const bad of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
      expect(() => new BoundedProcessor(exporter, { maxQueue: bad }), `maxQueue ${bad}`).toThrow(InvalidArgumentError);
      expect(() => new BoundedProcessor(exporter, { delayMs: bad }), `delayMs ${bad}`).toThrow(InvalidArgumentError);
    }
    expect(new BoundedProcessor(exporter, { maxQueue: 1 }).counts.waiting).toBe(0);
    for (const service of ['', ' ', '\ud800'])
      expect(() => provide({ service, exporter })).toThrow(InvalidArgumentError);
    const unknown: object = { toString: async () => ({}) };
    expect(() => instrument(unknown)).toThrow(InvalidArgumentError);
    expect(() => hookImports(unknown)).toThrow(InvalidArgumentError);
    expect((await outcome(assertPatched(unknown))).error).toBeInstanceOf(InvalidArgumentError);
    expect((await outcome(assertPatched({ pg: async () => undefined }))).error).toBeInstanceOf(NotPatchedError);
  });

  test('an address keeps its way, a statement its shape', () => {
    expect(redactAddress('/a/b?c=1?d#e')).toBe('/a/b');
    expect(redactAddress('/a#b?c')).toBe('/a');
    const addresses: [string, string][] = [
      ['http://u:p@h:80/x@y', 'http://h:80/x@y'],
      ['http://[::1]:80/x@y', 'http://[::1]:80/x@y'],
      ['redis://:ada/w@h:1/0', 'redis://h:1/0'],
      ['http://u:ada?w@h/x', 'http://'],
      ['//u:ada@h/x', '//h/x'],
    ];
    for (const [address, kept] of addresses) expect(redactAddress(address), address).toBe(kept);
    const cases: [string, string][] = [
      ['SELECT a1, "b2" FROM t3 LIMIT 10', 'SELECT a1, "b2" FROM t3 LIMIT ?'],
      ["SELECT 'a' || 'b''c'", 'SELECT ? || ?'],
      ["SELECT E'a\\'b', 1.5e3", 'SELECT ?, ?'],
      ['SELECT $$secret$$, $x$a $$ b$x$, $1', 'SELECT ?, ?, $1'],
      ["SELECT 1 -- it's ada\nFROM t", 'SELECT ? ?\nFROM t'],
      ["SELECT /* 'ada' */ 2", 'SELECT ? ?'],
      ["SELECT 'never ends", 'SELECT ?'],
      ["SELECT /* a */ 1 /* b /* c */ ada */, 'x'", 'SELECT ? ? ?'],
      ['SELECT $é$ada$é$, $a$ x $A$ ada $a$, $1,$2', 'SELECT ?, ?, $1,$2'],
      [`SELECT '${'a'.repeat(1e7)}', ada`, 'SELECT ?'],
    ];
    for (const [sql, kept] of cases) expect(redactStatement(sql), sql.slice(0, 60)).toBe(kept);
  });

  test('an apostrophe in a name opens no literal, and a link carries no address', () => {
    expect(redactStatement(`SELECT "o'b", 'ada' FROM "it""s" WHERE x = 'bo'`)).toBe(
      `SELECT "o'b", ? FROM "it""s" WHERE x = ?`,
    );
    const spans: ReadableSpan[] = [];
    const spanProcessors = [
      {
        onStart() {},
        onEnd: (span: ReadableSpan) => void spans.push(redact(span)),
        async forceFlush() {},
        async shutdown() {},
      },
    ];
    const links = [
      { context: { traceId: TRACE, spanId: SPAN, traceFlags: 1 }, attributes: { 'url.query': 'key=s3cret', n: 1 } },
    ];
    new TracerProvider({ spanProcessors }).getTracer('t').startSpan('s', { links }).end();
    expect(spans[0]?.links.map(({ attributes }) => attributes)).toEqual([{ n: 1 }]);
  });

  test('a job with a line break in its baggage breaks no request that follows', () => {
    const from = extract({ traceparent: GOOD, baggage: 'a=1;x\r\ny: z,b=2;p=é,c=3;ok' });
    expect(inject(from)).toEqual({ traceparent: GOOD, baggage: 'c=3;ok' });
  });

  test('what a stranger’s object throws, or holds instead of text, costs what it is and nothing beside it', () => {
    const thrower = () => {
      throw new Error('no');
    };
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    for (const carrier of [revoked.proxy, new Proxy({}, { get: thrower })]) expect(extract(carrier)).toBe(ROOT_CONTEXT);
    const half = Object.defineProperty({ baggage: 'a=1' }, 'traceparent', { get: thrower });
    expect(baggageOf(extract(half))).toEqual({ a: '1' });
    const { createBaggage } = propagation;
    const odd: Record<string, BaggageEntry> = JSON.parse('{ "n": { "value": 42 }, "none": {}, "null": null }');
    const metadata = baggageEntryMetadataFromString;
    const entries = {
      ...odd,
      broken: { value: '1', metadata: metadata('p\r\nx: y') },
      two: { value: '1', metadata: metadata('p,evil=1') },
      ok: { value: 'y', metadata: metadata('p=1') },
    };
    expect(inject(propagation.setBaggage(inSpan(), createBaggage(entries)))).toEqual({
      traceparent: GOOD,
      baggage: 'ok=y;p=1',
    });
  });

  test.each([
    ['killed', 'node:http', 'createServer(() => process.stdout.write("!"))'],
    ['not there', 'node:net', 'createServer()'],
  ])('spans that wait for a collector that is %s are counted, and close has its end', async (how, module, server) => {
    const code = `const s = require('${module}').${server}.listen(0, '127.0.0.1', () => process.stdout.write(s.address().port + ' '))`;
    const child = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', (chunk) => {
      said += chunk;
    });
    const gone = once(child, 'exit');
    const kill = async () => {
      child.kill('SIGKILL');
      await gone;
    };
    onTestFinished(kill);
    await until(() => said.includes(' '), { timeoutMs: 4_000, what: 'the collector to listen' });
    const url = `http://127.0.0.1:${said.trim()}/v1/traces`;
    if (how === 'not there') await kill();
    const exporter = new OTLPTraceExporter({ url, timeoutMillis: 300 });
    const { processor, end } = line(exporter, { maxQueue: 30, maxBatch: 10, delayMs: 1 });
    end(40);
    if (how === 'killed') await until(() => said.includes('!'), { timeoutMs: 4_000, what: 'a request to be taken' });
    await kill();
    await processor.shutdown(100);
    const { exported, failed, dropped, waiting } = processor.counts;
    expect([exported, failed + dropped, waiting], 'of 40 spans').toEqual([0, 40, 0]);
    expect(dropped, 'for which there was no room').toBeGreaterThanOrEqual(10);
  });

  test('a flush has its end while more spans come, and an exporter may flush, or say nothing, in the middle of it', async () => {
    const busy = new Collector();
    const { processor, end } = line(busy, { maxBatch: 2, delayMs: 60_000 });
    let results = 0;
    let more = true;
    busy.export = (spans, done) => {
      busy.got.push(...spans);
      if (busy.got.length > 400) return done({ code: ExportResultCode.SUCCESS });
      if (more) end(2);
      void processor.forceFlush();
      setImmediate(() => Reflect.apply(done, undefined, results++ === 0 ? [] : [{ code: ExportResultCode.SUCCESS }]));
    };
    end(4);
    await processor.forceFlush();
    expect(busy.got.length, 'spans sent by then, of 4 that waited').toBeLessThan(20);
    expect(processor.counts).toMatchObject({ failed: 2, dropped: 0 });
    more = false;
    await processor.shutdown(Number.POSITIVE_INFINITY);
    expect(processor.counts, 'no deadline').toMatchObject({ failed: 2, dropped: 0, waiting: 0 });
  });

  test('an exporter that throws at its end rejects no close', async () => {
    const exporter = {
      export: () => {},
      shutdown: (): Promise<void> => {
        throw new Error('gone');
      },
    };
    await expect(new BoundedProcessor(exporter).shutdown(50)).resolves.toBeUndefined();
  });

  test('a clock that is wrong by minutes, or by the millisecond of a start, changes no path', () => {
    const call = [record('root', undefined, 0, 100), record('call', 'root', 10, 90, { kind: 'client' })];
    const wrong = (by: number) => [
      ...call,
      record('serve', 'call', 20 + by, 80 + by, { kind: 'server', service: 'b' }),
      record('work', 'serve', 30 + by, 70 + by, { service: 'b' }),
    ];
    const right = blame(wrong(0));
    expect(right).toEqual({ root: 20, call: 20, serve: 20, work: 40 });
    for (const by of [300_000, -300_000, 30, -30]) expect(blame(wrong(by)), `${by} ms`).toEqual(right);
    const rounded = [record('root', undefined, 0, 100), record('a', 'root', 0, 60.9), record('b', 'root', 60, 100)];
    expect(blame(rounded)).toEqual({ a: 60, b: 40 });
    const beside = [record('root', undefined, 0, 100), record('a', 'root', 0, 61.5), record('b', 'root', 60, 100)];
    expect(blame(beside), 'more than a millisecond is no rounding').toEqual({ root: 60, b: 40 });
    const longer = [...call, record('serve', 'call', 0, 200, { kind: 'server' })];
    expect(blame(longer), 'longer than its call: whatever it is, it is no answer').toEqual({ root: 20, call: 80 });
  });

  test('the path fills the time of its root, whatever the spans are', () => {
    const rng = random(SEED);
    for (let round = 0; round < 200; round++) {
      const spans = Array.from({ length: rng.int(1, 30) }, (_, n) => {
        const startMs = rng.int(0, 100);
        return record(`s${n}`, n === 0 ? undefined : `s${rng.int(0, 31)}`, startMs, startMs + rng.int(-5, 60));
      });
      const { segments, totalMs, culprits } = criticalPath(spans, 's0');
      let now = spans[0]?.startMs ?? 0;
      for (const { fromMs, toMs } of segments) {
        expect(fromMs).toBe(now);
        expect(toMs).toBeGreaterThan(fromMs);
        now = toMs;
      }
      expect(now - (spans[0]?.startMs ?? 0)).toBe(totalMs);
      expect(culprits.reduce((sum, { ms }) => sum + ms, 0)).toBeCloseTo(totalMs, 6);
    }
  });

  test('a chain deeper than the stack has a path', () => {
    const chain = Array.from({ length: 20_000 }, (_, n) =>
      record(`${n}`, n > 0 ? `${n - 1}` : undefined, 0, 20_000 - n),
    );
    const { segments, totalMs } = criticalPath(chain);
    expect([segments.length, totalMs]).toEqual([20_000, 20_000]);
  });

  test('a trace with a hole has orphans; no trace, two traces and a circle have their answers', () => {
    const holed = [
      record('a', undefined, 0, 10),
      record('b', 'lost', 2, 8),
      record('c', 'b', 3, 4),
      record('b', 'lost', 2, 8),
    ];
    expect(criticalPath(holed).orphans.map(({ name }) => name)).toEqual(['b']);
    expect(criticalPath(holed, 'b').orphans).toEqual([]);
    expect(() => criticalPath([])).toThrow(InvalidArgumentError);
    expect(() => criticalPath(holed, 'z')).toThrow(InvalidArgumentError);
    expect(() => criticalPath([...holed, { ...record('x', 'a', 0, 1), traceId: 'other' }])).toThrow(
      InvalidArgumentError,
    );
    const circle = [record('a', 'b', 0, 10), record('b', 'a', 1, 9)];
    expect(() => criticalPath(circle)).toThrow(InvalidArgumentError);
    expect(blame(circle, 'a')).toEqual({ a: 2, b: 8 });
  });

  test('what is no span in an OTLP request is passed over', () => {
    const span = {
      traceId: TRACE,
      spanId: SPAN,
      name: 'x',
      kind: 3,
      startTimeUnixNano: '1700000000123456789',
      endTimeUnixNano: '1700000000124456789',
    };
    const attributes = [
      { key: 'service.name', value: { stringValue: 'shop' } },
      { key: 'n', value: { arrayValue: { values: [] } } },
    ];
    const request = (spans: unknown) => ({ resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] });
    const [read] = readOtlp(
      request([{ ...span, status: { code: 2 }, parentSpanId: '', attributes: [...attributes, { key: 'none' }] }]),
    );
    expect(read).toMatchObject({ service: 'shop', kind: 'client', error: true, attributes: { n: '{"values":[]}' } });
    expect(read?.startMs).toBe(1_700_000_000_123.456);
    expect(read).not.toHaveProperty('parentSpanId');
    const bad = [
      null,
      7,
      {},
      { ...span, traceId: 1 },
      { ...span, spanId: null },
      { ...span, startTimeUnixNano: '1e9' },
      { ...span, endTimeUnixNano: -1 },
      // JSON can hold what `String` and `Number` throw on.
      { ...span, startTimeUnixNano: { toString: 1, valueOf: 1 } },
    ];
    expect(readOtlp(request(bad))).toEqual([]);
    for (const none of [undefined, null, [], 'x', { resourceSpans: {} }, request('x')])
      expect(readOtlp(none)).toEqual([]);
    const [bare] = readOtlp({
      resourceSpans: [
        {
          scopeSpans: [{ spans: [{ ...span, kind: { valueOf: 1, toString: 1 }, name: { valueOf: 1, toString: 1 } }] }],
        },
      ],
    });
    expect(bare).toMatchObject({ service: 'unknown_service', kind: 'internal', error: false });
  });
});
