export interface Span {
  readonly who: string;
  /** What was held. Spans of different keys never clash. Default: all spans share one key. */
  readonly key?: string;
  /** Milliseconds on one clock; a span is [from, to). */
  readonly from: number;
  readonly to: number;
}

/** The pairs of spans of one key that share an instant: empty means mutual exclusion held. Earlier span first. */
export function overlaps<S extends Span>(spans: readonly S[]): readonly (readonly [S, S])[] {
  const ordered = [...spans].sort((a, b) => a.from - b.from);
  return ordered.flatMap((a, i) =>
    ordered
      .slice(i + 1)
      .filter((b) => a.key === b.key && b.from < a.to && a.from < b.to)
      .map((b) => [a, b] as const),
  );
}
