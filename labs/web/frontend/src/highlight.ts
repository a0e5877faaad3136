/** A piece of a text, and whether it is what was searched for. */
export interface Piece {
  readonly text: string;
  readonly hit: boolean;
}

/**
 * Cuts a text at what was searched for, in any case. The pieces joined are the text: a view shows each as text, in a `mark` or
 * not, and never makes HTML of it.
 */
export function pieces(text: string, query: string): readonly Piece[] {
  const wanted = query.trim();
  if (wanted === '') return [{ text, hit: false }];
  // As a pattern, so that a letter which is longer in the other case doesn't shift what comes behind it.
  const pattern = new RegExp(`(${RegExp.escape(wanted)})`, 'iu');
  return text
    .split(pattern)
    .map((piece, place) => ({ text: piece, hit: place % 2 === 1 }))
    .filter((piece) => piece.text !== '');
}
