import { DiffError, quote } from './errors.ts';

export const REMEDY = 'make it by `git diff --no-color --no-ext-diff --src-prefix=a/ --dst-prefix=b/ base...head`';
export const NOTHING = '/dev/null';

/** A line without what a checkout or a mail with Windows' line ends has added. */
export const header = (line = '') => (line.endsWith('\r') ? line.slice(0, -1) : line);

/**
 * The path in a `--- ` or `+++ ` line, without its prefix; `/dev/null` as it is.
 * @throws DiffError for a name without the prefix, or one that is no UTF-8
 */
export function pathOf(line: string, prefix: string, at: number): string {
  const name = line.slice(4);
  // Behind a name with a blank git writes a tab, `diff -u` the time; a name with a tab is quoted.
  const path = name.startsWith('"') ? unquote(name, at) : (name.split('\t')[0] ?? '');
  if (path === NOTHING) return path;
  if (!path.startsWith(prefix)) throw new DiffError(`${quote(path)} does not begin with ${prefix}: ${REMEDY}`, at);
  return path.slice(prefix.length);
}

const ESCAPES = new Map([...'abtnvfr'].map((letter, index) => [letter, index + 7]));

/** Git quotes a name as C does, byte by byte: `"\346\237\234.ts"` is 柜.ts. */
function unquote(name: string, at: number): string {
  const bytes: Uint8Array[] = [];
  const inside = /^"(.*)"\s*$/.exec(name)?.[1];
  for (const [part, octal, letter] of inside?.matchAll(/\\([0-7]{3})|\\(.)|[^\\]+/g) ?? []) {
    if (octal !== undefined) bytes.push(Uint8Array.of(Number.parseInt(octal, 8)));
    else
      bytes.push(
        letter !== undefined && ESCAPES.has(letter)
          ? Uint8Array.of(ESCAPES.get(letter) ?? 0)
          : Buffer.from(letter ?? part),
      );
  }
  try {
    if (inside !== undefined) return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(bytes));
  } catch {
    // Said below.
  }
  throw new DiffError(`${quote(name)} is no name in UTF-8`, at);
}
