import { InvalidArgumentError } from './errors.ts';
import type { SpanRecord } from './otlp.ts';

/** A stretch of time in which `span` itself was what the answer waited for. */
export interface Segment {
  readonly span: SpanRecord;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Culprit {
  readonly service: string;
  /** Of the span; of a query, its text. */
  readonly name: string;
  /** Milliseconds on the critical path. */
  readonly ms: number;
  /** Of the whole, 0 to 1. */
  readonly share: number;
  /** Spans of this service and name on the path: 2 and more of a call that should be one is a retry, or an N+1. */
  readonly spans: number;
  readonly errors: number;
}

export interface CriticalPath {
  readonly totalMs: number;
  /** In order; they fill the time from the root's start to its end, without gap or overlap. */
  readonly segments: readonly Segment[];
  /** Who is to blame, the longest first. */
  readonly culprits: readonly Culprit[];
  /** Spans whose parent is not among them: a process that lost its spans, or an instrumentation that is missing. */
  readonly orphans: readonly SpanRecord[];
}

/**
 * Which work the answer waited for. Read backwards from the root's end: the child that ended last is what held it up;
 * before that child began, the one that ended last until then; between them, the span itself. Work that ran beside it,
 * or outlived its parent (a job in a queue), held up nobody: making that faster makes nothing faster.
 * Source: Z. Zhang et al., "CRISP: Critical Path Analysis of Large-Scale Microservice Architectures", USENIX ATC 2022.
 *
 * @param spans of one trace. One that was sent twice counts once.
 * @param rootId the span whose time is explained. Default: the first that has no parent among `spans`.
 * @throws InvalidArgumentError without spans, with spans of two traces, or when there is no span of that id.
 */
export function criticalPath(spans: readonly SpanRecord[], rootId?: string): CriticalPath {
  const tree = treeOf(spans);
  const root = rootId === undefined ? tree.roots[0] : tree.byId.get(rootId);
  if (!root) throw new InvalidArgumentError(`There is no span ${rootId ?? 'without a parent'} among ${spans.length}.`);
  const segments: Segment[] = [];
  walk(tree, { span: root, fromMs: root.startMs, toMs: Math.max(root.startMs, root.endMs) }, segments);
  segments.reverse();
  const totalMs = Math.max(0, root.endMs - root.startMs);
  const orphans = tree.roots.filter((span) => span.parentSpanId !== undefined && span !== root);
  return { totalMs, segments, culprits: culpritsOf(segments, totalMs), orphans };
}

export interface Tree {
  readonly byId: Map<string, SpanRecord>;
  readonly children: Map<string, SpanRecord[]>;
  readonly roots: SpanRecord[];
}

export function treeOf(spans: readonly SpanRecord[]): Tree {
  const byId = new Map<string, SpanRecord>();
  for (const span of spans) byId.set(span.spanId, span);
  const traces = new Set(spans.map(({ traceId }) => traceId));
  if (traces.size > 1) throw new InvalidArgumentError(`One trace at a time; these are of ${[...traces].join(', ')}.`);
  const children = new Map<string, SpanRecord[]>();
  const roots: SpanRecord[] = [];
  for (const span of byId.values()) {
    const { parentSpanId } = span;
    if (parentSpanId === undefined || !byId.has(parentSpanId)) roots.push(span);
    else {
      const siblings = children.get(parentSpanId);
      if (siblings) siblings.push(span);
      else children.set(parentSpanId, [span]);
    }
  }
  roots.sort((a, b) => a.startMs - b.startMs);
  return { byId, children, roots };
}

/** A start is a whole millisecond in OpenTelemetry for JavaScript, and an end is not: what came after seems to overlap. */
const RESOLUTION_MS = 1;

/** Adds the segments of `stretch`, the last first. Without recursion: a chain may be deeper than the stack. */
function walk(tree: Tree, stretch: Segment, segments: Segment[]): void {
  // Each span has one parent, so only the root can be met again.
  const root = stretch.span.spanId;
  /** `shiftMs` is what the clock of the span's machine is wrong by. A stretch without it is the span's own work. */
  const todo: (Segment & { readonly shiftMs?: number })[] = [{ ...stretch, shiftMs: 0 }];
  for (let next = todo.pop(); next; next = todo.pop()) {
    const { span, fromMs, toMs, shiftMs } = next;
    if (shiftMs === undefined) {
      segments.push({ span, fromMs, toMs });
      continue;
    }
    const parts: typeof todo = [];
    let now = toMs;
    const held = (tree.children.get(span.spanId) ?? [])
      .filter((child) => child.spanId !== root)
      .map((child) => {
        const shift = shiftMs + skew(span, child);
        return { child, shift, from: Math.max(child.startMs + shift, fromMs), to: child.endMs + shift };
      })
      .sort((a, b) => b.to - a.to || a.from - b.from);
    for (const { child, shift, from, to } of held) {
      const until = Math.min(to, now);
      if (to > now + RESOLUTION_MS || until <= from) continue;
      if (until < now) parts.push({ span, fromMs: until, toMs: now });
      parts.push({ span: child, fromMs: from, toMs: until, shiftMs: shift });
      now = from;
    }
    if (fromMs < now) parts.push({ span, fromMs, toMs: now });
    for (const part of parts.reverse()) todo.push(part);
  }
}

/**
 * Milliseconds to add to the clock of `child`. A call was answered between the caller's start and end, whatever the other
 * machine's clock says: if it fits in and isn't there, it is put in the middle, as Jaeger does. A queue promises no such thing.
 */
function skew(parent: SpanRecord, child: SpanRecord): number {
  const slack = parent.endMs - parent.startMs - (child.endMs - child.startMs);
  const there = child.startMs >= parent.startMs && child.endMs <= parent.endMs;
  if (child.kind !== 'server' || parent.kind !== 'client' || there || slack < 0) return 0;
  return parent.startMs + slack / 2 - child.startMs;
}

/** "SELECT labs" is three queries; their text says which. */
function labelOf({ name, attributes }: SpanRecord): string {
  return attributes['db.query.text'] ?? attributes['db.statement'] ?? name;
}

export function culpritsOf(segments: readonly Segment[], totalMs: number): Culprit[] {
  const groups = Map.groupBy(segments, ({ span }) => JSON.stringify([span.service, labelOf(span)]));
  const culprits = [...groups.values()].map((group): Culprit => {
    const spans = new Set(group.map(({ span }) => span));
    const ms = group.reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
    const errors = [...spans].filter(({ error }) => error).length;
    const service = spans.values().next().value?.service ?? '';
    const name = [...spans].map(labelOf)[0] ?? '';
    return { service, name, ms, share: totalMs > 0 ? ms / totalMs : 0, spans: spans.size, errors };
  });
  return culprits.sort((a, b) => b.ms - a.ms);
}
