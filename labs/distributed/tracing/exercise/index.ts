import {
  type Attributes,
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
} from '@opentelemetry/api';
import type { ReadableSpan, Sampler, SpanExporter, SpanProcessor } from '@opentelemetry/sdk-trace';
import { culpritsOf, type Segment, type Tree, treeOf } from '../src/critical-path.ts';
import type { Carrier, Counts, CriticalPath, Modules, QueueOptions, SpanRecord } from '../src/index.ts';
import { InvalidArgumentError, redactAddress, redactStatement } from '../src/index.ts';
import { isPatched } from '../src/modules.ts';
import { parseBaggage } from '../src/propagation.ts';
import { sortOf } from '../src/redact.ts';

// What is not the idea is given: the errors, the instrumentations, start() and what reads OTLP. The waybill is yours.
// `h` in `pnpm lab learn tracing` gives a hint; begin with `inject` and `extract`. The other files of src/ hold solutions.
export type {
  Carrier,
  Counts,
  CriticalPath,
  Culprit,
  Kind,
  Modules,
  QueueOptions,
  Segment,
  SpanRecord,
  StartOptions,
  Tracing,
} from '../src/index.ts';
export {
  AlreadyStartedError,
  flushAtTheEnd,
  formatTraceparent,
  hookImports,
  InvalidArgumentError,
  instrument,
  isChosen,
  NotPatchedError,
  provide,
  readOtlp,
  redactAddress,
  redactStatement,
  start,
  TracingError,
  waybill,
} from '../src/index.ts';

/**
 * What a well-formed traceparent, `version-traceid-spanid-flags` in lower-case hex, says: its ids, its flags (the two lowest
 * bits), and `isRemote: true`. Undefined for all else.
 */
export function parseTraceparent(_header: unknown): SpanContext | undefined {
  return undefined;
}

/**
 * What goes into a job's payload: `{ traceparent, tracestate, baggage }`, each where `from` has it. formatTraceparent()
 * is given. Baggage: `key=encoded value`, joined by commas, at most 64 entries and 8192 bytes.
 */
export function inject(_from: Context = context.active()): Carrier {
  return {};
}

/** The context that a job came with, on ROOT_CONTEXT. Never throws. Its baggage is given, its trace is not. */
export function extract(carrier: unknown): Context {
  if (typeof carrier !== 'object' || carrier === null) return ROOT_CONTEXT;
  const { baggage }: { [K in keyof Carrier]?: unknown } = carrier;
  const entries = parseBaggage(baggage);
  return entries ? propagation.setBaggage(ROOT_CONTEXT, entries) : ROOT_CONTEXT;
}

/** Keeps the share `ratio` (0 to 1, else an InvalidArgumentError) of the traces. isChosen(traceId, ratio) is given. */
export function sampleTraces(ratio: number): Sampler {
  return {
    shouldSample() {
      throw new Error('Not written yet: who decides, and by what?');
    },
    toString: () => `sampleTraces(${ratio})`,
  };
}

/** Spans on their way to the collector: `maxQueue` of them at most (2048), in batches of `maxBatch` (512). */
export class BoundedProcessor implements SpanProcessor {
  protected readonly exporter: SpanExporter;
  protected readonly limits: Required<QueueOptions>;
  protected readonly queue: ReadableSpan[] = [];
  protected exported = 0;
  protected dropped = 0;
  protected failed = 0;
  /** Spans in the batch that is on its way. */
  protected sending = 0;

  /** @throws InvalidArgumentError on a limit that isn't a whole number from 1 to 2^31 - 1. */
  constructor(exporter: SpanExporter, options: QueueOptions = {}) {
    const { maxQueue = 2_048, maxBatch = Math.min(512, maxQueue), delayMs = 1_000, exportTimeoutMs = 5_000 } = options;
    this.exporter = exporter;
    this.limits = { maxQueue, maxBatch, delayMs, exportTimeoutMs };
    for (const [name, value] of Object.entries(this.limits)) {
      if (!(Number.isInteger(value) && value >= 1 && value < 2 ** 31))
        throw new InvalidArgumentError(`${name}: ${value}`);
    }
  }

  get counts(): Counts {
    const waiting = this.queue.length + this.sending;
    return { exported: this.exported, dropped: this.dropped, failed: this.failed, waiting };
  }

  onStart(): void {}

  /** Takes the span or counts it as dropped, and returns at once. */
  onEnd(_span: ReadableSpan): void {}

  /** Sends what waits, batch after batch; resolves when nothing waits any more. */
  async forceFlush(): Promise<void> {}

  /** Takes no more spans; sends what waits until `deadlineMs` have passed, and counts the rest as dropped. */
  async shutdown(_deadlineMs = 2_000): Promise<void> {}
}

/** Given: attributes as they may be sent. */
export function redactAttributes(attributes: Attributes): Attributes {
  const kept: Attributes = {};
  for (const [key, value] of Object.entries(attributes)) {
    const sort = sortOf(key);
    if (sort === 'address') kept[key] = redactAddress(String(value));
    if (sort === 'statement') kept[key] = redactStatement(String(value));
    if (sort === 'plain') kept[key] = value;
  }
  return kept;
}

/** The span as it may be sent: see redactAttributes(). */
export function redact(span: ReadableSpan): ReadableSpan {
  return span;
}

/**
 * Loads each module of `modules`, and looks at what came: isPatched() is given.
 * @throws NotPatchedError with the names of those that are not patched.
 */
export async function assertPatched(modules: Modules): Promise<void> {
  for (const [name, load] of Object.entries(modules)) isPatched(name, await load());
}

/** Given: the tree, and who is to blame once there are segments. */
export function criticalPath(spans: readonly SpanRecord[], rootId?: string): CriticalPath {
  const tree = treeOf(spans);
  const root = rootId === undefined ? tree.roots[0] : tree.byId.get(rootId);
  if (!root) throw new InvalidArgumentError(`There is no span ${rootId ?? 'without a parent'} among ${spans.length}.`);
  const segments: Segment[] = [];
  walk(tree, { span: root, fromMs: root.startMs, toMs: root.endMs }, segments);
  segments.reverse();
  const totalMs = Math.max(0, root.endMs - root.startMs);
  const orphans = tree.roots.filter((span) => span.parentSpanId !== undefined && span !== root);
  return { totalMs, segments, culprits: culpritsOf(segments, totalMs), orphans };
}

/**
 * Adds to `segments`, the last first, what `stretch.span` and its children, `tree.children.get(spanId)`, did in the time
 * of `stretch` that somebody waited for.
 */
function walk(_tree: Tree, _stretch: Segment, _segments: Segment[]): void {}
