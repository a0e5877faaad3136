const CODE = /\.[cm]?[jt]sx?$/;
const NO_CODE = /(?:^|\/)(?:tests?|__tests__|__mocks__|node_modules)\/|\.(?:test|spec|bench|config|d)\.[cm]?[jt]sx?$/;

/** Whether tests should load it, as far as its name tells. */
export function isCode(path: string): boolean {
  return CODE.test(path) && !NO_CODE.test(path);
}

const COMMENT = /^\s*(?:\/[/*]|\*(?:[ /]|$)|#(?:[ !]|$))/;

/** The lines that may run, of a file that nobody has compiled: those that are neither comment nor mere brackets. */
export function guess(added: ReadonlyMap<number, string>): number[] {
  let [inside, last] = [false, 0];
  return [...added].flatMap(([line, text]) => {
    const parts = `${inside && line === last + 1 ? '/*' : ''}${text}`.split('*/');
    const rest = parts.map((part, index) => (index < parts.length - 1 ? part.split('/*')[0] : part)).join('');
    [inside, last] = [/^\s*\/\*/.test(rest), line];
    return /[\p{L}\p{N}]/u.test(rest) && !COMMENT.test(rest) ? [line] : [];
  });
}

/** A comment that takes code out of the count. */
export interface Ignore {
  readonly path: string;
  readonly line: number;
  /** The comment, as far as it commands: `v8 ignore next`. */
  readonly hint: string;
  /** Undefined: none was given. */
  readonly reason: string | undefined;
}

/** What the tools read, at the beginning of a comment: in a text it is a text. */
const HINTS = [
  /(?:istanbul|[cv]8|node:coverage)\s+ignore\s+(?:next(?:\s+\d+)?|if|else|start|file)\b/,
  /node:coverage\s+disable\b/,
  /Stryker disable(?: next-line)?[^:*]*/,
  /(?:pragma|PRAGMA)[:\s]?\s*(?:no|NO)\s*(?:cover|COVER|branch|BRANCH)\b/,
];
const COMMENTED = new RegExp(
  String.raw`(?:\/\/|\/\*+|#)\s*(${HINTS.map(({ source }) => source).join('|')})(.*?)(?:\*\/|$)`,
  'gs',
);

/** The hints to coverage tools and to Stryker in the lines of a file, with the reasons behind them. */
export function ignoresIn(path: string, lines: ReadonlyMap<number, string>): Ignore[] {
  return [...lines].flatMap(([line, text]) =>
    [...text.matchAll(COMMENTED)].map(([, hint = '', behind = '']) => ({
      path,
      line,
      hint: hint.trim(),
      reason: reasonIn(behind),
    })),
  );
}

/** `-- @preserve` keeps the comment through a build: that is no reason. Nor is a dash. */
function reasonIn(behind: string): string | undefined {
  const words = behind
    .replace(/@(?:preserve|license|legal)\b/g, '')
    .replace(/^[\s:–—-]+/, '')
    .trim();
  return /\p{L}{2}/u.test(words) ? words : undefined;
}
