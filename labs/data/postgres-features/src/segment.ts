import { InvalidArgumentError } from './errors.ts';
import { clean, FOREIGN, RUN, TERM } from './plain-text.ts';

/** Cuts a run of letters without spaces into its words. */
export interface Segmenter {
  /** Kept with each text: words that another version has cut may not be the words that this one looks for. */
  readonly version: string;
  /** The run in pieces: joined, they are the run again. */
  words(run: string): readonly string[];
}

const intl = new Intl.Segmenter('zh', { granularity: 'word' });

/**
 * The words of ICU's dictionary for Chinese and Japanese, which every Node has within it. Dictionaries change between
 * ICU's major releases, so that is the version.
 *
 * @see https://unicode-org.github.io/icu/userguide/boundaryanalysis/
 */
export const intlSegmenter: Segmenter = {
  version: `intl-zh icu${process.versions['icu']?.split('.')[0] ?? '?'}`,
  words: (run) => Array.from(intl.segment(run), ({ segment }) => segment),
};

/**
 * The text with a border where a word begins or ends without a space: "全文检索" becomes "全文 检索".
 *
 * @throws InvalidArgumentError when the segmenter adds, drops or changes something: a highlight would not say what the
 * text says
 */
export function segment(text: string, segmenter: Segmenter = intlSegmenter, border = ' '): string {
  return text.replace(RUN, (run, at: number) => {
    const words = segmenter.words(run);
    if (words.join('') !== run) {
      throw new InvalidArgumentError(
        `The pieces of the segmenter "${segmenter.version}" are not "${run.slice(0, 40)}".`,
      );
    }
    const [before, after] = [text[at - 1], text[at + run.length]].map((sign = ' ') => (sign === ' ' ? '' : border));
    return `${before}${words.join(border)}${after}`;
  });
}

const LONGEST_QUERY = 1_000;
/** Set apart from what stands before it, it would exclude: 数据库-MySQL asks for both. */
const INNER_HYPHEN = /(?<=[^\p{ASCII}\s])-+/gu;

/**
 * What somebody typed, for `websearch_to_tsquery`: cut as the texts are. What he wrote without spaces he means as one:
 * it becomes a phrase, and so a minus before it excludes the phrase, not its first word.
 *
 * @throws InvalidArgumentError when it is no text, or longer than 1,000 (Postgres' own stack is not endless either)
 */
export function queryText(typed: string, segmenter: Segmenter): string {
  if (typeof typed !== 'string') throw new InvalidArgumentError(`A query is a text, and not of type ${typeof typed}.`);
  if (typed.length > LONGEST_QUERY) {
    throw new InvalidArgumentError(`The query is ${typed.length} long: give at most ${LONGEST_QUERY}.`);
  }
  const phrase = (_: string, minus: string, term: string, at: number, whole: string) =>
    ` ${minus !== '' && !/\S/.test(whole[at - 1] ?? ' ') ? '-' : ''}"${segment(term, segmenter)}" `;
  return (
    clean(typed)
      .split('"')
      .map((part, index) =>
        index % 2 === 1
          ? segment(part.replace(FOREIGN, ' $& '), segmenter)
          : part.replace(INNER_HYPHEN, ' ').replace(FOREIGN, ' ').replace(TERM, phrase),
      )
      .join('"')
      // "tsquery stack too small": Postgres' own words for 33 NOTs in a row. Within a word, "xn--p1ai", they are none.
      .replace(/(?<![\p{L}\p{N}]-*)-(?:[^\p{L}\p{N}"]*-)+/gu, '-')
  );
}
