// Flaw: If-Match takes a weak tag, which says "much the same": an editor who has seen something else overwrites.
// Seen in: https://github.com/nginx/nginx/pull/1570
// Caught by: a change names the version that it changes: without one it is a 428, with a stale or weak one a 412
import { entityTags, preconditionRequired, stale } from '../src/index.ts';

export * from '../src/index.ts';

export function ifMatch(header: string | undefined, current: string): void {
  if (header === undefined) throw preconditionRequired();
  const tags = entityTags(header);
  if (tags !== '*' && !tags.some(({ tag }) => tag === current)) throw stale();
}
