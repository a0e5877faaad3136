/** How bad it is where it is true. */
export type Severity = 'low' | 'medium' | 'high';
/** How likely it is true. */
export type Confidence = 'low' | 'medium' | 'high';

/** Where a character is. Both count from 1; a column counts UTF-16 code units, as editors and SARIF do. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Span {
  readonly start: Position;
  /** The first place after it. */
  readonly end: Position;
}

export interface Rule {
  /** Stable, and without a space: suppressions, baselines and reports name it. */
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  readonly confidence: Confidence;
  /** What goes wrong where it is true. */
  readonly why: string;
  /** What to write instead. */
  readonly fix: string;
}

export interface Finding {
  readonly rule: string;
  readonly severity: Severity;
  readonly confidence: Confidence;
  readonly message: string;
  /** As the report shall show it: relative, with `/`. */
  readonly file: string;
  readonly span: Span;
}

/** A comment that says: this is meant. */
export interface Suppression {
  /** None: all of them, which is refused as too wide. */
  readonly rules: readonly string[];
  /** Empty where none is given, which is refused. */
  readonly reason: string;
  readonly file: string;
  /** Where the comment is. */
  readonly span: Span;
  /** The lines it speaks for: first and last. */
  readonly covers: readonly [first: number, last: number];
}

/** What is wrong with the suppressions themselves. A linter that has them adds them to its own rules. */
export const suppressionRules = [
  {
    id: 'suppression-bare',
    title: 'A suppression without a rule or without a reason',
    severity: 'medium',
    confidence: 'high',
    why: 'it silences what nobody has looked at, the faults of tomorrow included; it is not followed',
    fix: 'name the rule, and say why it does not hold here',
  },
  {
    id: 'suppression-unused',
    title: 'A suppression that suppresses nothing',
    severity: 'low',
    confidence: 'high',
    why: 'what it excused is gone, or its rule is misspelt: the next fault on this line would be silent',
    fix: 'remove it',
  },
] as const satisfies readonly Rule[];

export interface Judged {
  /** Those that count, those about suppressions included, in the order of `inOrder`. */
  readonly findings: readonly Finding[];
  /** Those that a reason excuses, each with that reason. */
  readonly suppressed: readonly { readonly finding: Finding; readonly reason: string }[];
}

/** Follows the suppressions that name a rule and a reason, and reports those that don't, and those that do nothing. */
export function suppress(found: readonly Finding[], suppressions: readonly Suppression[]): Judged {
  const used = new Set<Suppression>();
  const kept: Finding[] = [];
  const suppressed: { finding: Finding; reason: string }[] = [];
  const followed = suppressions.filter(({ reason }) => reason !== '');
  for (const finding of found) {
    const excuses = followed.filter((each) => speaksFor(each, finding));
    for (const each of excuses) used.add(each);
    const [excuse] = excuses;
    if (excuse === undefined) kept.push(finding);
    else suppressed.push({ finding, reason: excuse.reason });
  }
  const [bare, unused] = suppressionRules;
  for (const each of suppressions) {
    const { rules, reason } = each;
    const what = rules.length === 0 ? 'names no rule' : reason === '' ? 'gives no reason' : undefined;
    if (what !== undefined) kept.push(at(each, bare, `this suppression ${what}`));
    else if (!used.has(each)) kept.push(at(each, unused, `nothing here breaks ${rules.join(', ')}`));
  }
  return { findings: kept.sort(inOrder), suppressed };
}

const speaksFor = ({ rules, file, covers: [first, last] }: Suppression, { rule, file: its, span }: Finding) =>
  file === its && rules.includes(rule) && first <= span.start.line && span.start.line <= last;

const at = ({ file, span }: Suppression, { id, severity, confidence }: Rule, message: string): Finding => ({
  rule: id,
  severity,
  confidence,
  message,
  file,
  span,
});

/** By file, place and rule: the same findings make the same report, in whatever order they were found. */
export function inOrder(a: Finding, b: Finding): number {
  return (
    compare(a.file, b.file) ||
    a.span.start.line - b.span.start.line ||
    a.span.start.column - b.span.start.column ||
    compare(a.rule, b.rule)
  );
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
