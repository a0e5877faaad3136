import { murmur2 } from '@platformatic/kafka';

/** Where a message goes, as pure functions: what RabbitMQ's exchanges and Kafka's partitioner decide. */

export type ExchangeType = 'direct' | 'topic' | 'fanout' | 'headers';
type HeaderValue = string | number | boolean;

export interface Binding {
  readonly queue: string;
  /** The pattern (topic) or the very key (direct). Default "". */
  readonly key?: string;
  /**
   * Of a headers exchange: what a message must have; null asks for its presence alone. `x-match` says of how many: "all"
   * (default) or "any". Names that begin with "x-" are passed over.
   */
  readonly headers?: Readonly<Record<string, HeaderValue | null>>;
}

export interface Address {
  readonly key: string;
  readonly headers?: Readonly<Record<string, HeaderValue>>;
}

/** The queues that get the message, each once, sorted. */
export function routes(type: ExchangeType, bindings: readonly Binding[], message: Address): string[] {
  const takes = ({ key = '', headers = {} }: Binding): boolean => {
    if (type === 'fanout') return true;
    if (type === 'direct') return key === message.key;
    if (type === 'topic') return topicMatches(key, message.key);
    return headersMatch(headers, message.headers ?? {});
  };
  return [...new Set(bindings.filter(takes).map(({ queue }) => queue))].sort();
}

/** Words are separated by dots. `*` stands for one word, `#` for any number of them, none included. */
export function topicMatches(pattern: string, key: string): boolean {
  return wordsMatch(wordsOf(pattern), wordsOf(key));
}

// An empty key has no word, not one that is empty.
const wordsOf = (text: string): string[] => (text === '' ? [] : text.split('.'));

function wordsMatch(pattern: readonly string[], words: readonly string[]): boolean {
  // row[n]: the pattern so far matches the first n words. Linear in both, where backtracking is exponential in the `#`.
  let row = [true, ...words.map(() => false)];
  for (const part of pattern) {
    const above = row;
    row = [];
    for (let n = 0; n <= words.length; n++) {
      const one = n > 0 && (part === '*' || part === words[n - 1]) && above[n - 1] === true;
      row.push(part === '#' ? above[n] === true || row[n - 1] === true : one);
    }
  }
  return row[words.length] === true;
}

export function headersMatch(
  wanted: NonNullable<Binding['headers']>,
  headers: NonNullable<Address['headers']>,
): boolean {
  const entries = Object.entries(wanted).filter(([name]) => !name.startsWith('x-'));
  const has = ([name, value]: (typeof entries)[number]) =>
    Object.hasOwn(headers, name) && (value === null || headers[name] === value);
  return wanted['x-match'] === 'any' ? entries.some(has) : entries.every(has);
}

/** The partition of a key: Kafka's own rule, so that every client puts a key where this one does. */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions;
}
