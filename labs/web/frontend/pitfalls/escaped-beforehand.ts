// Flaw: the text is made safe for HTML before it comes to a view, which makes it safe again: readers see `&lt;`. Whoever repairs that with innerHTML runs what strangers wrote.
// Seen in: https://github.com/algolia/react-instantsearch/pull/3471
// Caught by: a text from outside is cut into pieces, and stays the text that it was
import { type Piece, pieces as reference } from '../src/index.ts';

export * from '../src/index.ts';

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

export const pieces = (text: string, query: string): readonly Piece[] =>
  reference(text, query).map((piece) => ({ ...piece, text: escaped(piece.text) }));
