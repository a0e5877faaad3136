import { distance } from 'fastest-levenshtein';

/**
 * The candidate that `word` most likely meant: one that it is part of, else the one with the fewest edits. Undefined
 * where the closest needs edits to more than a third of the word; letters in the wrong order are always forgiven.
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
  if (!best) return undefined;
  const shuffled = letters(best.candidate.toLowerCase()) === letters(wanted);
  return shuffled || best.edits <= Math.max(1, Math.floor(wanted.length / 3)) ? best.candidate : undefined;
}

const letters = (word: string): string => [...word].sort().join('');

/** ` Did you mean "redlock"?`, or nothing. */
export function suggestion(word: string, candidates: readonly string[]): string {
  const near = nearest(word, candidates);
  return near === undefined ? '' : `; did you mean "${near}"?`;
}
