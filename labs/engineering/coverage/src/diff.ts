import { DiffError, quote } from './errors.ts';
import { header, NOTHING, pathOf, REMEDY } from './git-path.ts';

/** The lines that a change adds or rewrites: their texts, by the file's new path and their number in the new file. */
export type Changes = ReadonlyMap<string, ReadonlyMap<number, string>>;

/** Modes of a symbolic link and of a submodule: the one line of either is a name, and no code. */
const NO_FILE = /^(?:new file mode|index \S+) (?:120000|160000)$/;
/** What stands for a submodule where `diff.submodule` is `log` or `diff`. */
const SUBMODULE = /^Submodule .* (?:[\da-f]+\.{2,3}[\da-f]+|contains )/;
const HUNK = /^@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/**
 * Reads a unified diff as git writes it. What was deleted, only renamed, only changed in mode, is
 * binary, a symbolic link or a submodule adds no line.
 * @throws DiffError for what is no diff, is cut off, or counts the lines of several commits
 */
export function parseDiff(text: string): Changes {
  const changes = new Map<string, Map<number, string>>();
  // Git ends a line with \n and with nothing else: a \r, \f or U+2028 is part of one.
  const lines = text.replace(/^\uFEFF/, '').split('\n');
  let added: Map<number, string> | undefined;
  let seen = false;
  let afterHunk = false;
  let isFile = true;
  for (let at = 0; at < lines.length; ) {
    const line = header(lines[at]);
    const below = header(lines[at + 1]);
    if (/^(?:@@@|diff --(?:cc|combined) )/.test(line)) {
      throw new DiffError(`a merge has no one old version: ${REMEDY}`, at + 1);
    }
    if (line.startsWith('--- ') && below.startsWith('+++ ')) {
      const [from, to] = [pathOf(line, 'a/', at + 1), pathOf(below, 'b/', at + 2)];
      added = isFile ? open(changes, from, to, at + 2) : new Map();
      [seen, afterHunk, at] = [true, false, at + 2];
    } else if (HUNK.test(line)) {
      if (!added) throw new DiffError(`a hunk of no file: ${REMEDY}`, at + 1);
      at = readHunk(lines, at, added);
      afterHunk = true;
    } else {
      // A new file has no other line that tells `diff.noprefix` and a folder called b apart.
      if (/^diff --git (?!"?a\/)/.test(line))
        throw new DiffError(`${quote(line)} has no a/ before its names: ${REMEDY}`, at + 1);
      if (line.startsWith('diff --git ') || SUBMODULE.test(line))
        [seen, afterHunk, added, isFile] = [true, false, undefined, true];
      if (NO_FILE.test(line)) isFile = false;
      // A mail's signature begins like a deleted line; a note on the last newline does not.
      if (afterHunk && /^[-+ ]/.test(line) && line.trimEnd() !== '--') {
        throw new DiffError(`${quote(line)} is more than its hunk's header announces`, at + 1);
      }
      at++;
    }
  }
  if (!seen && text.trim() !== '') throw new DiffError(`${quote(text.trimStart())} is no diff: ${REMEDY}`);
  return changes;
}

/** Where the lines of the file go; a deleted file has none. */
function open(changes: Map<string, Map<number, string>>, from: string, to: string, at: number): Map<number, string> {
  const added = new Map<number, string>();
  const path = to === NOTHING ? from : to;
  if (changes.has(path)) throw new DiffError(`${quote(path)} is there twice, as in \`git log -p\`: ${REMEDY}`, at);
  if (to !== NOTHING) changes.set(path, added);
  return added;
}

/**
 * A hunk is as long as its header says, whatever its lines look like: a deleted `-- note` reads `--- note`.
 * @returns the index of the line below the hunk
 */
function readHunk(lines: readonly string[], start: number, added: Map<number, string>): number {
  const [, olds = '1', first, news = '1'] = HUNK.exec(header(lines[start])) ?? [];
  let [old, now, number, at] = [Number(olds), Number(news), Number(first), start + 1];
  for (; old > 0 || now > 0; at++) {
    const line = lines[at];
    // The text's end is no line, though splitting makes an empty one of it.
    if (line === undefined || (line === '' && at === lines.length - 1))
      throw new DiffError('the diff is cut off in a hunk', at);
    const sign = line[0] ?? ' ';
    if (sign === '\\') continue;
    if (sign !== '-' && sign !== '+' && header(line) !== '' && sign !== ' ') {
      throw new DiffError(`${quote(line)} is no line of a hunk`, at + 1);
    }
    if (sign !== '+') old--;
    if (sign === '+') added.set(number, header(line.slice(1)));
    if (sign !== '-') [now, number] = [now - 1, number + 1];
    if (old < 0 || now < 0) throw new DiffError('the hunk has other lines than its header announces', at + 1);
  }
  return at;
}
