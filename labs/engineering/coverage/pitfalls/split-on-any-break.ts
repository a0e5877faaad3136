// Flaw: the text is split where Unicode or an old Mac would end a line, and git ends none there: all below are too far down.
// Seen in: https://github.com/MattJColes/lgtmaybe/issues/550
// Caught by: a newline ends a line of a diff, and nothing else does
import { type Changes, parseDiff as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function parseDiff(text: string): Changes {
  return reference(text.replace(/\r\n|[\r\f\v\u0085\u2028\u2029]/g, '\n'));
}
