import colors from 'picocolors';
import type { Pitfall } from '../anatomy.ts';
import { type Grading, isGreen, type Law } from '../grading.ts';
import { evidence } from '../laws.ts';
import type { FileDiff } from '../reference-diff.ts';
import { cut, indent, pad, plural, seconds, wrap } from '../text.ts';

/** What the learner should look at, of all that a run found. */
export type Verdict =
  | { readonly kind: 'green'; readonly total: number }
  /** The code can't be graded as it stands: it does not load, or does not type-check with every law holding. */
  | { readonly kind: 'broken' }
  | { readonly kind: 'red'; readonly law: Law; readonly position: number; readonly total: number }
  /** Nothing is red, but laws were skipped. */
  | { readonly kind: 'unjudged' };

/** @param known laws that an earlier run counted, for a run that was cut short. */
export function verdictOf(grading: Grading, known = 0): Verdict {
  const { laws } = grading;
  if (isGreen(grading)) return { kind: 'green', total: laws.length };
  const at = laws.findIndex(({ state }) => state === 'failed');
  const law = laws[at];
  const total = grading.complete ? laws.length : Math.max(laws.length, known);
  if (law) return { kind: 'red', law, position: at + 1, total };
  return grading.problems.length > 0 || grading.types.length > 0 ? { kind: 'broken' } : { kind: 'unjudged' };
}

export type ViewOptions = {
  /** Path of the lab's folder as the learner would type it: places in the code begin with it. */
  readonly folder: string;
  readonly width: number;
  /** Laws that an earlier run counted; 0 where none did. */
  readonly known: number;
};

/** The result of a run: the compiler's complaints, then one red law. */
export function resultView(grading: Grading, { folder, width, known }: ViewOptions): string {
  const verdict = verdictOf(grading, known);
  const problems = grading.problems.filter((problem) => !alreadySaid(problem, grading));
  const blocks = [typesView(grading, folder)];
  if (verdict.kind === 'red') {
    const { law, position, total } = verdict;
    blocks.push(
      `${colors.red('✗')} ${colors.dim(`${position}/${total}`)}  ${colors.bold(law.name)}\n${evidence(atPath(law, folder), '  ')}`,
    );
    const [problem] = problems;
    if (problem !== undefined) blocks.push(colors.dim(cut(`  outside the laws: ${problem.split('\n')[0]}`, width)));
    const held = grading.laws.filter(({ state }) => state === 'passed').length;
    blocks.push(colors.dim(`  ${held} of ${plural(total, 'law')} hold · ${seconds(grading.ms)}`));
  } else if (verdict.kind === 'broken') {
    for (const problem of problems) blocks.push(`${colors.red('✗')} ${indentRest(problem)}`);
    if (grading.problems.length === 0) {
      blocks.push(`${colors.green('✓')} every law holds; the types are what is left`);
    }
  } else if (verdict.kind === 'unjudged') {
    const reasons = [...new Set(grading.missing)];
    const skipped = grading.laws.filter(({ state }) => state === 'skipped');
    for (const reason of reasons) blocks.push(`${colors.yellow('↷')} ${indentRest(reason)}`);
    if (reasons.length === 0)
      blocks.push(`${colors.yellow('↷')} ${plural(skipped.length, 'law')} skipped, so nothing is proved`);
  } else {
    blocks.push(
      `${colors.green('✓')} ${colors.dim(`${verdict.total}/${verdict.total}`)}  ${colors.bold('every law holds')}`,
    );
  }
  return blocks.filter((block) => block !== '').join('\n\n');
}

/** The suite trips over a mistake that the compiler names better. */
const alreadySaid = (problem: string, { types }: Grading): boolean =>
  types.some(({ file, line }) => problem.includes(`${file}:${line}`));

const maxTypeProblems = 3;

function typesView({ types }: Grading, folder: string): string {
  if (types.length === 0) return '';
  const shown = types.slice(0, maxTypeProblems).map(({ file, line, column, text }) => {
    const [first = '', ...rest] = text.split('\n');
    return [`${colors.red('✗')} ${colors.cyan(`${folder}/${file}:${line}:${column}`)}`, `  ${first}`, ...rest].join(
      '\n',
    );
  });
  const more = types.length - shown.length;
  return [...shown, ...(more > 0 ? [colors.dim(`  and ${plural(more, 'type error')} more`)] : [])].join('\n');
}

/** The place in the learner's code, as a path that a terminal opens. */
function atPath(law: Law, folder: string): Law {
  if (law.error === undefined) return law;
  return { ...law, error: law.error.replace(/^at (?=\S+:\d+$)/gm, `at ${folder}/`) };
}

const indentRest = (text: string): string => indent(text, '  ').trimStart();

/** What to take home after green: how the reference differs, and what each pitfall would have broken. */
export function greenView(diffs: readonly FileDiff[], pitfalls: readonly Pitfall[], width: number): string {
  const blocks: string[] = [];
  const lines = diffs.reduce((sum, { text }) => sum + text.split('\n').length, 0);
  if (diffs.length > 0 && lines <= maxDiffLines) blocks.push(diffView(diffs));
  else if (diffs.length > 0) {
    const list = diffs.map(
      ({ title, added, removed }) => `  ${title}  ${colors.green(`+${added}`)} ${colors.red(`-${removed}`)}`,
    );
    blocks.push(`The reference does it in another way:\n${list.join('\n')}`);
  }
  if (pitfalls.length > 0) {
    const widest = Math.max(...pitfalls.map(({ name }) => name.length));
    const flaws = pitfalls.map(({ name, flaw = '' }) => {
      const lines = wrap(flaw, Math.max(30, Math.min(width, 110) - widest - 4));
      return `  ${colors.yellow(pad(name, widest))}  ${lines.split('\n').join(`\n${' '.repeat(widest + 4)}`)}`;
    });
    blocks.push(`What you steered clear of:\n${flaws.join('\n')}`);
  }
  return blocks.join('\n\n');
}

/** Lines of a diff that are shown without asking. */
const maxDiffLines = 40;

export function diffView(diffs: readonly FileDiff[]): string {
  if (diffs.length === 0) return 'your code is the reference, to the letter';
  return diffs.map(({ title, text }) => `${colors.bold(title)}\n${indent(text, '  ')}`).join('\n\n');
}

export const keysLine = (keys: readonly (readonly [string, string])[]): string =>
  colors.dim(`  ${keys.map(([key, what]) => `${key} ${what}`).join(' · ')}`);
