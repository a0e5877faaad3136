import type { Line } from 'dockerfile-ast';
import { type Finding, type Judged, type Suppression, suppress } from './finding.ts';
import { rules as all } from './rules/index.ts';
import type { DockerRule } from './rules/rule.ts';
import { type Context, lineOf, type Parsed, parsed, spanOf } from './stages.ts';

/** What nobody wrote by hand. The parser's time grows with the square: for this much it is seconds, for a mebi hours. */
const LONGEST = 32 * 1024;

/** The text is none that can be looked at. What is wrong *in* a Dockerfile is a finding, never an error. */
export class UnreadableDockerfileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

export interface LintOptions {
  /** Of the findings. Default "Dockerfile". */
  readonly file?: string;
  /** The folder that is built. Without it CL1008 is not judged. */
  readonly context?: Context;
  /** Default: all. */
  readonly rules?: readonly DockerRule[];
}

/**
 * What is wrong with a Dockerfile. A comment above an instruction excuses it, as hadolint reads it, but only with a
 * reason: `# hadolint ignore=DL3008 # Debian keeps one version`.
 * @throws UnreadableDockerfileError when `text` is no string or longer than 32,768 UTF-16 units; BadPatternError of
 *   the context's .dockerignore
 */
export function lintDockerfile(text: string, { file = 'Dockerfile', context, rules = all }: LintOptions = {}): Judged {
  if (typeof text !== 'string' || text.length > LONGEST) {
    const what = typeof text === 'string' ? `${text.length} characters long` : `a ${typeof text}`;
    throw new UnreadableDockerfileError(`${file} is ${what}. Give the text of a Dockerfile, at most ${LONGEST} long.`);
  }
  const tree = parsed(text, context);
  const found = rules.flatMap((rule) =>
    [...rule.check(tree)].map(({ at, message }): Finding => {
      const { id, severity, confidence } = rule;
      return { rule: id, severity, confidence, message, file, span: at ? spanOf(at) : TOP };
    }),
  );
  return suppress(found, suppressions(tree, file));
}

const TOP = { start: { line: 1, column: 1 }, end: { line: 1, column: 1 } };

/** `# hadolint ignore=ID,ID # reason` */
function suppressionOf(comment: string): Pick<Suppression, 'rules' | 'reason'> | undefined {
  const [, list, reason = ''] = /^hadolint\s+ignore(?:\s*=([^#]*))?(?:#(.*))?/.exec(comment.trim()) ?? [];
  if (!/^hadolint\s+ignore\b/.test(comment.trim())) return undefined;
  const rules = (list ?? '').split(',').map((id) => id.trim());
  return { rules: rules.filter((id) => id !== ''), reason: reason.trim() };
}

function suppressions({ ast }: Parsed, file: string): Suppression[] {
  // In the first lines the parser takes whatever has a `=` for a directive.
  return [...ast.getDirectives(), ...ast.getComments()].flatMap((comment) => {
    const said = suppressionOf(comment.getTextContent().replace(/^\s*#/, ''));
    return said === undefined ? [] : [{ ...said, file, span: spanOf(comment), covers: coveredBy(comment) }];
  });

  /** The instruction below, comments between them skipped; a comment within an instruction speaks for nothing. */
  function coveredBy(comment: Line): readonly [number, number] {
    const line = lineOf(comment);
    const instructions = ast.getInstructions();
    const inside = instructions.some((each) => lineOf(each) < line && line <= each.getRange().end.line);
    const below = instructions.find((each) => lineOf(each) > line);
    if (inside || below === undefined) return [0, 0];
    const { start, end } = spanOf(below);
    return [start.line, end.line];
  }
}
