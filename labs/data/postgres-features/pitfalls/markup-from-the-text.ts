// Flaw: the highlight is shown as it comes: what stands in the text as markup is markup in the page.
// Seen in: https://github.com/meilisearch/product/issues/166
// Caught by: a highlight marks what was found, keeps what the text says, and lets none of it become markup
import { TextSearch as Reference } from '../src/index.ts';
import { SIGN } from '../src/plain-text.ts';

export * from '../src/index.ts';

const SHOWN = new Map<string, string>([
  [SIGN.open, '<mark>'],
  [SIGN.close, '</mark>'],
  [SIGN.less, '<'],
  [SIGN.more, '>'],
  [SIGN.and, '&'],
  [SIGN.cut, ''],
]);

export class TextSearch extends Reference {
  protected override html(marked: string): string {
    return Array.from(marked, (sign) => SHOWN.get(sign) ?? sign).join('');
  }
}
