// Flaw: the status is documented, so all is well: what the body is, and whether the request was one to take, nobody looks at.
// Seen in: https://github.com/spatiumddi/spatiumddi/issues/834
// Caught by: an answer is judged by the contract: its status, its type, its body, and what it took
import { type Exchange, promised } from '../src/index.ts';

export * from '../src/index.ts';

export function judge({ operation, answer }: Exchange): string | undefined {
  if (answer.status >= 500) return `${answer.status}: it failed`;
  return promised(operation, answer.status) ? undefined : `${answer.status}: undocumented`;
}
