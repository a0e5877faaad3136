import { posix } from 'node:path';

/** A line of a .dockerignore that no pattern can be made of. */
export class BadPatternError extends Error {
  /** From 1. */
  readonly line: number;

  constructor(line: number, pattern: string, why: string) {
    super(`.dockerignore:${line}: ${JSON.stringify(pattern)} ${why}. Correct the line: the build would fail on it.`);
    this.name = new.target.name;
    this.line = line;
  }
}

export interface Pattern {
  /** `!`: what matches comes back. */
  readonly negated: boolean;
  readonly regex: RegExp;
}

/**
 * Which files of a folder `docker build` takes along. Paths are relative to the context, with `/`.
 *
 * It is not a .gitignore: a pattern is anchored at the context's root (`node_modules` is that of the root, `**` is any
 * number of folders), `*` stays within a folder, and a folder that matches takes its content along. Of the lines that
 * match, the last one decides.
 * Source: https://docs.docker.com/build/concepts/context/#dockerignore-files
 * @returns whether the file at a path is part of the context
 * @throws BadPatternError
 */
export function dockerignore(text: string): (path: string) => boolean {
  const patterns = patternsOf(text);
  return (path) => {
    let enters = true;
    for (const { negated, regex } of patterns) if (within(path).some((each) => regex.test(each))) enters = negated;
    return enters;
  };
}

/** The path and the folders it lies in. */
export const within = (path: string): string[] =>
  path.split('/').map((_, index, parts) => parts.slice(0, index + 1).join('/'));

export function patternsOf(text: string): Pattern[] {
  return text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((raw, index) => {
      const line = raw.trim();
      if (raw.startsWith('#') || line === '') return [];
      const negated = line.startsWith('!');
      const path = cleaned(negated ? line.slice(1).trim() : line);
      if (path === '') throw new BadPatternError(index + 1, line, 'names nothing');
      return path === '.' ? [] : [{ negated, regex: regexOf(path, index + 1) }];
    });
}

/** As Go's filepath.Clean, and `/` is the context's root. What climbs out of it (`../x`) stays so, and matches nothing. */
function cleaned(path: string): string {
  if (path === '') return '';
  return posix.normalize(path).replace(/^\/|\/$/g, '') || '.';
}

function regexOf(pattern: string, line: number): RegExp {
  // `**/` is any folders or none, `**` at the end is anything, `[a-z]` a class; a backslash takes the next as it is.
  // As Docker has it: `**log` ends in "log", but in `a**b` and `**l?g` the stars are whole folders.
  const isSuffix = /^\*\*[^*?[\\]*$/.test(pattern);
  const short = pattern.replaceAll(/(?:\*\*\/)+/g, '**/');
  const tokens = short.matchAll(/\*\*\/?|[*?]|\\(.?)|\[(\^?)((?:\\.|[^\]\\])*)(\]?)|./gsu);
  let source = '';
  for (const found of tokens) {
    const [token, escaped, not = '', members, closed] = found;
    if (token === '**/') source += '(?:.*/)?';
    else if (token === '**') source += isSuffix || found.index + 2 === short.length ? '.*' : '(?:.*/)?';
    else if (token === '*') source += '[^/]*';
    else if (token === '?') source += '[^/]';
    else if (escaped === '') throw new BadPatternError(line, pattern, 'ends in a backslash');
    else if (escaped !== undefined) source += literal(escaped);
    else if (members === undefined) source += literal(token);
    else if (closed === '' || members === '') throw new BadPatternError(line, pattern, 'has a [ without a class');
    else source += `[${not}${members.replaceAll('[', '\\[')}]`;
  }
  try {
    return new RegExp(`^${source}$`, 's');
  } catch {
    throw new BadPatternError(line, pattern, 'has a range that ends before it begins');
  }
}

const literal = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/, '\\$&');
