import { distance } from 'fastest-levenshtein';

/**
 * The candidate that `word` most likely meant: one that it begins or is part of, else the one with the fewest edits.
 * Undefined where the closest needs edits to more than a third of the word.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const wanted = word.toLowerCase();
  const holding = candidates.find((candidate) => wanted.length > 2 && candidate.toLowerCase().includes(wanted));
  if (holding) return holding;
  let best: { candidate: string; edits: number } | undefined;
  for (const candidate of candidates) {
    const edits = distance(wanted, candidate.toLowerCase());
    if (!best || edits < best.edits) best = { candidate, edits };
  }
  return best && best.edits <= Math.max(2, Math.ceil(wanted.length / 3)) ? best.candidate : undefined;
}

/** ` Did you mean "redlock"?`, or nothing. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `; did you mean "${near}"?`;
}
