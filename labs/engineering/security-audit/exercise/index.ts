import type { Node } from 'oxc-parser';
import type { Finding, Judged, Suppression } from '../src/finding.ts';
import type { Sink } from '../src/flow.ts';
import { Scanner as Reference, type RuleId, type ScanOptions, type ScanReport } from '../src/index.ts';
import type { Module, Project } from '../src/project.ts';
import type { Report } from '../src/rules.ts';
import { parseSource, readText, type Source, type Unread } from '../src/source.ts';

// Given: files are found, read and parsed; names are bound (`project.meaning`, `project.lookup`, `project.callsOf`,
// `Binding`, `isFunction`, `unwrap`: see src/project.ts); comments are read; the tables of `Scanner`; the rules about
// suppressions and their order (`suppressionRules`, `inOrder` of src/finding.ts). Yours: what a node means, where a text
// comes from, and the paperwork. Not for your eyes yet: src/flow.ts, src/rules.ts, and src/finding.ts from `suppress` on
// hold solutions.
export type {
  Confidence,
  Finding,
  Position,
  Rule,
  RuleId,
  ScanOptions,
  ScanReport,
  Severity,
  Span,
} from '../src/index.ts';
export { rules, ScanError, toSarif } from '../src/index.ts';

/** The worst that a text may hold: from what the author wrote to a stranger's words. `story` says how they came here. */
type Origin =
  | { readonly kind: 'constant' }
  | { readonly kind: 'safe' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'tainted'; readonly story: readonly string[] };

export class Scanner extends Reference {
  /** Dangerous calls. `strict`: what the code doesn't say is a finding too, and not only a stranger's words. */
  protected readonly sinks: readonly { of: RegExp; rule: RuleId; sink: Sink; strict: boolean }[] = [
    { of: /^eval$/, rule: 'code-injection', sink: 'code', strict: true },
    { of: /^child_process\.exec(?:Sync)?$/, rule: 'command-injection', sink: 'shell', strict: true },
    { of: /^fs(?:\/promises)?\.(?:readFile|writeFile|unlink)$/, rule: 'path-traversal', sink: 'path', strict: false },
    { of: /^\?res\.send$/, rule: 'unsafe-html', sink: 'html', strict: false },
  ];

  /** A stranger's words, as `project.meaning` names them. */
  protected readonly source = /^\?req\.(?:query|params|body|headers)(?:$|\.)/;

  /** What makes a text harmless, and for whom; without a sink it does it for all. */
  protected readonly cleaners: readonly { of: RegExp; sink?: Sink }[] = [
    { of: /^(?:Number|parseInt)$/ },
    { of: /^path\.basename$/, sink: 'path' },
    { of: /^escape-html$/, sink: 'html' },
  ];

  /** The beginning of a statement. Its rule is 'sql-injection', its sink 'sql', and what isn't known is a finding ('low'). */
  protected readonly statement =
    /^\s*(?:SELECT\s[^;]{1,500}?\sFROM\s|DELETE\s+FROM\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s)/;

  /**
   * Looks at each node of a module (`module.nodes`: all of them, in the order of the text), and reports:
   * `report(rule, node, message, confidence)`. 'high' where a stranger's words arrive, 'low' where it isn't known.
   */
  protected override inspect(_project: Project, _flows: unknown, _module: Module, _report: Report): void {
    todo('inspect');
  }

  /**
   * Where the text of `expr` comes from, as far as the code says it. `sink`: 'code', 'shell', 'sql', 'path' or 'html', the
   * place that it is asked for. You may add a parameter.
   */
  protected origin(_project: Project, _expr: Node, _sink: Sink): Origin {
    return todo('origin');
  }

  /** What is in this file, or why it was not looked at (`{ rule, message, span }`: it becomes a finding). Given: its parts. */
  protected override async read(path: string, file: string, maxBytes: number): Promise<Source | Unread> {
    const text = await readText(path, maxBytes);
    return typeof text === 'string' ? parseSource(file, text) : todo('read');
  }

  /**
   * Follows the suppressions that name a rule and give a reason. Adds a finding `suppression-bare` for each that doesn't,
   * and `suppression-unused` for each that excuses nothing: `suppressionRules` has their severity and confidence, the
   * place is that of the comment. In the order of `inOrder`.
   */
  protected override judge(_found: readonly Finding[], _suppressions: readonly Suppression[]): Judged {
    return todo('judge');
  }

  /** A name for each finding that outlives the lines around it. `lineOf` gives the text of a line. */
  protected override prints(_found: readonly Finding[], _lineOf: (file: string, line: number) => string): string[] {
    return todo('prints');
  }
}

export function scan(paths: readonly string[], options: ScanOptions = {}): Promise<ScanReport> {
  return new Scanner(options).scan(paths);
}

function todo(method: string): never {
  throw new Error(`${method} is not written yet: its comment in attempt/index.ts is the task.`);
}
