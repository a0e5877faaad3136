import { marked, type Token, type Tokens } from 'marked';

const isHeading = (token: Token): token is Tokens.Heading => token.type === 'heading';

/** The headings of a page, in order. */
export function headingsOf(markdown: string): readonly { readonly depth: number; readonly text: string }[] {
  return marked.lexer(markdown).filter(isHeading);
}

/** Targets of a page's links and images, those written in HTML too. */
export function linksOf(markdown: string): readonly string[] {
  const found: string[] = [];
  marked.walkTokens(marked.lexer(markdown), (token) => {
    if ('href' in token && typeof token.href === 'string') found.push(token.href);
    if (token.type === 'html') {
      found.push(...[...token.raw.matchAll(/(?:href|src)="([^"]+)"/g)].map(([, href = '']) => href));
    }
  });
  return found;
}
