/** The letters that are written without spaces between words: Chinese and Japanese. */
const CJK = String.raw`\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}々ー`;

/** A run of such letters. */
export const RUN = new RegExp(`[${CJK}]+`, 'gu');

/** A letter or digit, or what makes one word of two in Postgres: "TCP/IP", "Node.js". */
const OF_TERM = String.raw`(?:[\p{L}\p{M}\p{N}]|(?<=[a-zA-Z0-9])[./@_](?=[a-zA-Z0-9]))`;

/** Letters and digits with such a run among them, and the hyphens before: one term of a query. */
export const TERM = new RegExp(`(-*)(${OF_TERM}*[${CJK}]${OF_TERM}*)`, 'gu');

/** Signs beyond ASCII that are no letters. Under LC_CTYPE "C" they are to Postgres, and 《index》 is one word. */
export const FOREIGN = /[^\p{L}\p{M}\p{N}\p{ASCII}\s]+/gu;

/**
 * The signs that stand for something in an indexed text and can't come from the text itself. All are control characters
 * of ASCII: Postgres' parser takes them for space, and `<`, `>` and `&` no longer for markup that it would leave out.
 */
export const SIGN = { open: '\x01', close: '\x02', less: '\x03', more: '\x04', and: '\x05', cut: '\x1f' } as const;

/** Soft hyphens and spaces of no width, which come along from web pages: to Postgres they would be part of a word. */
const UNSEEN = /[\u00ad\u200b\u2060\ufeff]/g;

/** Without what no text in Postgres has (U+0000, half surrogates) or what is a sign here: a space stands for it. */
export function clean(text: string): string {
  const isControl = (sign: string) => sign < ' ' && !'\t\n\r'.includes(sign);
  const seen = text.toWellFormed().normalize('NFKC').replace(UNSEEN, '');
  return Array.from(seen, (sign) => (isControl(sign) ? ' ' : sign)).join('');
}

const SIGNS = new Map<string, string>([
  ['<', SIGN.less],
  ['>', SIGN.more],
  ['&', SIGN.and],
]);

/** A text before its words are cut: full-width letters are plain ones (NFKC), and nothing in it is markup. */
export function signed(text: string): string {
  const apart = clean(text).replace(FOREIGN, `${SIGN.cut}$&${SIGN.cut}`);
  return Array.from(apart, (sign) => SIGNS.get(sign) ?? sign).join('');
}

/** What HTML has for each sign, and for each letter that would be markup. */
export const HTML: ReadonlyMap<string, string> = new Map([
  [SIGN.open, '<mark>'],
  [SIGN.close, '</mark>'],
  [SIGN.less, '&lt;'],
  [SIGN.more, '&gt;'],
  [SIGN.and, '&amp;'],
  [SIGN.cut, ''],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ['&', '&amp;'],
  ['"', '&quot;'],
  ["'", '&#39;'],
]);
