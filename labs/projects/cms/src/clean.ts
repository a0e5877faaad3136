import sanitize from 'sanitize-html';

const PICTURE = /^\/media\/[0-9a-f]{64}\.(png|jpg|gif|webp)$/;

/**
 * What of a stranger's HTML may stand in our page: structure, links that lead out, pictures of our own. Done when it is
 * shown, not when it is stored: so a rule that is mended today holds for the texts of last year.
 */
export function clean(html: string): string {
  return sanitize(html, {
    allowedTags: [
      'p',
      'h2',
      'h3',
      'ul',
      'ol',
      'li',
      'blockquote',
      'strong',
      'em',
      'code',
      'pre',
      'br',
      'hr',
      'a',
      'img',
    ],
    allowedAttributes: { a: ['href', 'rel'], img: ['src', 'alt'] },
    allowedSchemes: ['http', 'https', 'mailto'],
    allowProtocolRelative: false,
    disallowedTagsMode: 'discard',
    transformTags: { a: sanitize.simpleTransform('a', { rel: 'nofollow noopener' }) },
    // A picture from elsewhere tells its host who reads what.
    exclusiveFilter: ({ tag, attribs }) => tag === 'img' && !PICTURE.test(attribs['src'] ?? ''),
  });
}

/** What no word goes on through. */
const BETWEEN_WORDS = /<(?!\/?(?:a|b|code|em|i|mark|s|small|span|strong|sub|sup|u)\b)/gi;

/** The words of a stranger's HTML. */
export function plainText(html: string): string {
  const spaced = html.replace(BETWEEN_WORDS, ' <');
  const text = sanitize(spaced, { allowedTags: [], allowedAttributes: {}, textFilter: unescaped });
  return text.replace(/\s+/g, ' ').trim();
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['&amp;', '&'],
  ['&lt;', '<'],
  ['&gt;', '>'],
  ['&quot;', '"'],
]);
const unescaped = (text: string) => text.replace(/&(amp|lt|gt|quot);/g, (entity) => ENTITIES.get(entity) ?? entity);

/** A text as text, in HTML and in the quotes of an attribute. */
export function asHtml(text: string): string {
  return text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
}
