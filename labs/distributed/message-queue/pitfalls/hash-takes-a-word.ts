// Flaw: `#` stands for one word or more, so that a queue bound to `order.#` never hears of `order` itself.
// Seen in: https://github.com/cloudamqp/lavinmq/issues/1607
// Caught by: a topic pattern has * for one word and # for any number of words, none included
import { topicMatches as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function topicMatches(pattern: string, key: string): boolean {
  return reference(pattern.replaceAll('#', '*.#'), key);
}
