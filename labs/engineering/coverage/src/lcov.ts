import { posix } from 'node:path';
import { InvalidArgumentError, LcovError, quote } from './errors.ts';

/** How often each line that can run did run, by the file's path from the repository's root. */
export type Coverage = ReadonlyMap<string, ReadonlyMap<number, number>>;

export interface LcovOptions {
  /** The repository's root, absolute: paths in the diff begin there. Default: absolute paths are refused. */
  readonly root?: string;
  /** Where the tests ran: relative paths in the report begin there. Default: the root. */
  readonly cwd?: string;
}

const HITS = /^DA:(\d+),(\d+)(?:,.*)?$/;
const OTHER = /^(?:[A-Z]+:.*|#.*|)$/;

/**
 * Reads a report in LCOV's format, as Vitest (`lcovonly`), c8, `coverage lcov`, gcov and others write it. A file or line
 * that is there twice has the sum of its hits.
 * @throws LcovError for a text that is no whole report of at least one file, InvalidArgumentError for a root that isn't
 * absolute
 */
export function parseLcov(text: string, options: LcovOptions = {}): Coverage {
  const files = new Map<string, Map<number, number>>();
  let open: Map<number, number> | undefined;
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    const at = index + 1;
    if (line.startsWith('SF:')) {
      if (open) throw new LcovError('a file begins before the one above has its end_of_record', at);
      if (line === 'SF:') throw new LcovError('a file has no name', at);
      const path = fromRoot(line.slice('SF:'.length), options, at);
      open = files.get(path) ?? new Map();
      files.set(path, open);
    } else if (line.startsWith('DA:')) {
      const [, number, hits] = HITS.exec(line) ?? [];
      if (!open || !number || !Number.isSafeInteger(Number(number)) || Number(number) === 0) {
        throw new LcovError(`${quote(line)} says of no line how often it ran`, at);
      }
      open.set(Number(number), (open.get(Number(number)) ?? 0) + Number(hits));
    } else if (line === 'end_of_record') open = undefined;
    else if (!OTHER.test(line)) throw new LcovError(`${quote(line)} is no line of an LCOV report`, at);
  }
  if (open) throw new LcovError('the report is cut off: its last file has no end_of_record');
  if (files.size === 0) throw new LcovError('the report has no file: did the tests run with coverage?');
  return files;
}

/** One run of all shards' tests: a line that several of them ran has the sum of its hits. */
export function mergeCoverage(reports: Iterable<Coverage>): Coverage {
  const all = new Map<string, Map<number, number>>();
  for (const report of reports) {
    for (const [path, lines] of report) {
      const file = all.get(path) ?? new Map<number, number>();
      all.set(path, file);
      for (const [line, hits] of lines) file.set(line, (file.get(line) ?? 0) + hits);
    }
  }
  return all;
}

/** A file is known by its whole path: two `index.ts` are two files. */
function fromRoot(path: string, { root, cwd = root }: LcovOptions, at: number): string {
  if (root !== undefined && !isAbsolute(slashes(root)))
    throw new InvalidArgumentError(`root is ${quote(root)}: an absolute path is needed`);
  const named = slashes(path);
  const whole = posix.normalize(isAbsolute(named) || cwd === undefined ? named : `${slashes(cwd)}/${named}`);
  if (!isAbsolute(whole)) return whole;
  if (root === undefined)
    throw new LcovError(`${quote(whole)} is absolute: say in \`root\` where the repository is`, at);
  const home = `${posix.normalize(slashes(root)).replace(/\/$/, '')}/`;
  return whole.startsWith(home) ? whole.slice(home.length) : whole;
}

const isAbsolute = (path: string) => /^(?:[A-Z]:)?\//.test(path);

/** Windows has two slashes, and drives in both cases; the diff has one. On other systems a backslash is rare in a name. */
const slashes = (path: string) => path.replaceAll('\\', '/').replace(/^[a-z](?=:\/)/, (drive) => drive.toUpperCase());
