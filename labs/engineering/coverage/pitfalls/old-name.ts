// Flaw: a file that was renamed and edited keeps its old name, which no report knows.
// Seen in: https://github.com/Bachmann1234/diff_cover/issues/514
// Caught by: a file has its new name, and what is deleted, only renamed, or binary adds no line
import { type Changes, parseDiff as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function parseDiff(text: string): Changes {
  const olds = new Map([...text.matchAll(/^rename from (.*)\nrename to (.*)$/gm)].map(([, from, to]) => [to, from]));
  return new Map([...reference(text)].map(([path, lines]) => [olds.get(path) ?? path, lines]));
}
