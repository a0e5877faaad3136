import { open } from 'node:fs/promises';
import { type Comment, type Program, parseSync } from 'oxc-parser';
import type { Position, Span, Suppression } from './finding.ts';

/** Why a file was not looked at. Never in silence: it becomes a finding. */
export interface Unread {
  readonly rule: 'unread' | 'syntax-error';
  readonly message: string;
  readonly span: Span;
}

/** A file that was parsed. */
export interface Source {
  /** As findings name it. */
  readonly file: string;
  readonly lines: readonly string[];
  readonly program: Program;
  readonly comments: readonly Comment[];
  /** Of an offset into the text. */
  position(offset: number): Position;
}

const top: Span = { start: { line: 1, column: 1 }, end: { line: 1, column: 1 } };
const unread = (message: string): Unread => ({ rule: 'unread', message, span: top });

/** A file as text, without its byte order mark, if it has at most `maxBytes`; or why not. */
export async function readText(path: string, maxBytes: number): Promise<string | Unread> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) return unread(`${size} bytes are more than maxBytes, ${maxBytes}`);
      const bytes = await handle.readFile();
      if (bytes.includes(0)) return unread('it is binary');
      return bytes.toString('utf8').replace(/^\ufeff/, '');
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unread(`it can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Parses, and never runs. */
export function parseSource(file: string, text: string): Source | Unread {
  if (isTooDeep(text)) return unread('it is nested or chained too deeply for a parser that recurses');
  const lines = text.split(/\r\n|[\r\n]/);
  const starts = [0, ...Array.from(text.matchAll(/\r\n|[\r\n]/g), (end) => end.index + end[0].length)];
  const position = (at: number): Position => {
    let [low, high] = [0, starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  };
  const lang = /\.d\.[cm]?ts$/.test(file)
    ? 'dts'
    : /\.[cm]?ts$/.test(file)
      ? 'ts'
      : file.endsWith('.tsx')
        ? 'tsx'
        : 'jsx';
  const parse = (sourceType?: 'commonjs') =>
    parseSync(file, text, { lang, preserveParens: false, ...(sourceType && { sourceType }) });
  let parsed = parse();
  // CommonJS is a function's body: it may return.
  if (lang === 'jsx' && parsed.errors.length > 0) {
    const again = parse('commonjs');
    if (again.errors.length === 0) parsed = again;
  }
  const { program, comments, errors } = parsed;
  const [error] = errors;
  if (error === undefined) return { file, lines, program, comments, position };
  const [label] = error.labels;
  const span = label === undefined ? top : { start: position(label.start), end: position(label.end) };
  return { rule: 'syntax-error', message: error.message, span };
}

/**
 * The parser recurses in native code, and its stack overflow ends our process: 20,000 brackets are enough. A guess from
 * the text, on the safe side of what it was tried with; whoever scans a stranger's code does it in a process of its own.
 */
function isTooDeep(text: string): boolean {
  const open: string[] = [];
  let chain = 0;
  for (const [token] of text.matchAll(recursive)) {
    if ('([{'.includes(token)) open.push(token);
    else if (')]}'.includes(token)) open.pop();
    // The head of a `for` ends nothing.
    const ends = '{}'.includes(token) || (token === ';' && open.at(-1) !== '(');
    chain = ends ? 0 : chain + 1;
    if (open.length > 1_000 || chain > 10_000) return true;
  }
  return false;
}

const recursive =
  /\}\s*else\b|[()[\]{};=?:!~*.+<|&-]|\b(?:as|async|await|class|delete|do|else|extends|for|if|keyof|new|readonly|satisfies|typeof|unique|void|yield)\b/g;

/**
 * `// nosec RULE[,RULE] reason`: excuses the line on which it ends a statement, or the next one where it stands alone.
 * Only in comments: a text that says "nosec" excuses nothing.
 * @param known ids of rules; other words are the reason
 */
export function suppressionsOf(source: Source, known: ReadonlySet<string>): Suppression[] {
  return source.comments.flatMap(({ value, start, end }) => {
    const said = /^[\s*]*nosec\b(.*)$/is.exec(value)?.[1];
    if (said === undefined) return [];
    const [first = '', ...rest] = said.trim().split(/\s+/);
    const named = first.split(',').filter((word) => word !== '');
    const rules = named.some((word) => known.has(word)) ? named : [];
    const span = { start: source.position(start), end: source.position(end) };
    const before = source.lines[span.start.line - 1]?.slice(0, span.start.column - 1) ?? '';
    // In JSX a comment stands in braces.
    const line = /^\s*\{?\s*$/.test(before) ? span.end.line + 1 : span.start.line;
    const reason = rules.length === 0 ? said.trim() : rest.join(' ');
    return [{ rules, reason, file: source.file, span, covers: [line, line] }];
  });
}
