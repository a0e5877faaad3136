// Flaw: the list is split at each comma, those inside of a tag too, and what remains is taken for tags that nobody sent.
// Seen in: https://github.com/oven-sh/bun/pull/33546
// Caught by: If-Match compares strongly: no header is 428, no tag that fits is 412, and a weak one never fits
import { PreconditionRequiredError } from '../src/index.ts';

export * from '../src/index.ts';

export function ifMatch(header: string | undefined): readonly number[] | '*' {
  if (header === undefined) throw new PreconditionRequiredError();
  if (header.trim() === '*') return '*';
  const tags = header.split(',').map((tag) => tag.trim());
  return tags.flatMap((tag) => (/^"?[0-9]+"?$/.test(tag) ? Number(tag.replaceAll('"', '')) : []));
}
