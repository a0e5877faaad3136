import { z } from 'zod';
import type { AlarmState } from './alarm.ts';
import { NOTHING } from './desk.ts';
import { latencyOf, Sketch } from './sketch.ts';
import { TopK } from './top-k.ts';
import type { Db } from './vendor/optimistic-lock/index.ts';

const Counts = z.object({
  counted: z.number(),
  late: z.number(),
  malformed: z.number(),
  future: z.number(),
  repeated: z.number(),
});

/** What the live page shows: bounded, however long it has been counted. Times are milliseconds since the epoch. */
export const View = z.object({
  windowMs: z.number(),
  counts: Counts,
  /** The newest 60, the oldest first. */
  windows: z.array(
    z.object({
      start: z.number(),
      closed: z.boolean(),
      lines: z.number(),
      errors: z.number(),
      p95: z.number().optional(),
    }),
  ),
  /** Milliseconds, over these windows. */
  latency: z.object({ p50: z.number().optional(), p95: z.number().optional(), p99: z.number().optional() }),
  /** The ten paths that these windows had most often: at most `count` times, at least `count - error`. */
  top: z.array(z.object({ key: z.string(), count: z.number(), error: z.number() })),
  /** The 20 that were heard of last. */
  sources: z.array(
    z.object({ source: z.string(), next: z.number(), missing: z.number(), behindMs: z.number().optional() }),
  ),
  /** The newest five that were put aside. */
  aside: z.array(z.object({ source: z.string(), position: z.number(), reason: z.string(), text: z.string() })),
  /** What rings at the moment, and since which window, if that is still known. */
  firing: z.array(z.object({ rule: z.string(), since: z.number().optional() })),
  /** The newest five changes. */
  alerts: z.array(z.object({ rule: z.string(), start: z.number(), change: z.enum(['firing', 'over']) })),
});
export type View = z.output<typeof View>;

export async function viewOf(tx: Db): Promise<View> {
  const desk = await tx.query<{ window_ms: number; counts: View['counts']; alarms: [string, AlarmState][] }>(
    'SELECT window_ms, counts, alarms FROM analytics_desk',
  );
  const windows = await tx.query<{
    start: string;
    closed: boolean;
    lines: string;
    errors: string;
    latency: [number, number][];
    top: [string, number, number][];
  }>('SELECT start, closed, lines, errors, latency, top FROM analytics_windows ORDER BY start DESC LIMIT 60');
  const sources = await tx.query<{ source: string; next: string; missing: string; newest: string | null }>(
    'SELECT source, next, missing, newest FROM analytics_sources ORDER BY arrived_at DESC NULLS LAST, source LIMIT 20',
  );
  const aside = await tx.query<{ source: string; position: string; reason: string; text: string }>(
    'SELECT source, position, reason, text FROM analytics_aside ORDER BY arrived_at DESC, position DESC LIMIT 5',
  );
  const alerts = await tx.query<{ rule: string; start: string; change: 'firing' | 'over' }>(
    'SELECT rule, start, change FROM analytics_alerts ORDER BY start DESC LIMIT 5',
  );

  const [row] = desk.rows;
  // By what the alarms say: the change that began it may be long ago.
  const ringing = (row?.alarms ?? []).filter(([, { firing }]) => firing).map(([rule]) => rule);
  const since = await tx.query<{ rule: string; start: string }>(
    "SELECT rule, max(start) AS start FROM analytics_alerts WHERE change = 'firing' AND rule = ANY ($1) GROUP BY rule",
    [ringing],
  );
  const shown = windows.rows.toReversed().map((it) => ({ ...it, sketch: new Sketch(it.latency) }));
  const quantile = (q: number) =>
    latencyOf(
      shown.map(({ sketch }) => sketch),
      q,
    );
  const top = new TopK(Math.max(100, ...shown.map((it) => it.top.length)));
  // With one place more: a window that had room for all has missed none.
  for (const it of shown) top.merge(new TopK(it.top.length + 1, it.top));
  const front = sources.rows.reduce((most, { newest }) => Math.max(most, Number(newest ?? 0)), 0);
  return {
    windowMs: row?.window_ms ?? 0,
    counts: { ...NOTHING, ...row?.counts },
    windows: shown.map(({ start, closed, lines, errors, sketch }) => {
      const p95 = sketch.quantile(0.95);
      return { start: Number(start), closed, lines: Number(lines), errors: Number(errors), ...(p95 && { p95 }) };
    }),
    latency: { p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) },
    top: top.top(10),
    sources: sources.rows.map(({ source, next, missing, newest }) => ({
      source,
      next: Number(next),
      missing: Number(missing),
      ...(newest !== null && { behindMs: front - Number(newest) }),
    })),
    aside: aside.rows.map((it) => ({ ...it, position: Number(it.position) })),
    firing: ringing.map((rule) => {
      const begun = since.rows.find((it) => it.rule === rule);
      return { rule, ...(begun && { since: Number(begun.start) }) };
    }),
    alerts: alerts.rows.map((it) => ({ ...it, start: Number(it.start) })),
  };
}
