// Flaw: an expression with `^` is taken for bounded by the letters that follow, whatever its flags and alternatives.
// Seen in: https://github.com/cve-search/cve-search/issues/390
// Caught by: a regular expression is bounded by the text that every match begins with
export * from '../src/index.ts';

export function indexedPrefix({ source }: RegExp): string | undefined {
  return /^\^([\p{L}\d]+)/u.exec(source)?.[1];
}
