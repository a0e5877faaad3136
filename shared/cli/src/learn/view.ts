import colors from 'picocolors';
import type { Pitfall } from '../anatomy.ts';
import { type Grading, isGreen, type Law, type Scope } from '../grading.ts';
import { evidence } from '../laws.ts';
import type { Objectives } from '../objectives.ts';
import type { FileDiff } from '../reference-diff.ts';
import { cut, indent, pad, plural, seconds, wrap } from '../text.ts';

/** What the learner should look at, of all that a run found. */
export type Verdict =
  /** Every law that was judged holds: all of them, or the core laws. */
  | { readonly kind: 'green'; readonly scope: Scope }
  /** The code can't be graded as it stands: it does not load, or does not type-check with every law holding. */
  | { readonly kind: 'broken' }
  /** The first red law of the path: `position` and `total` are those among the core laws, or among the others. */
  | { readonly kind: 'red'; readonly law: Law; readonly position: number; readonly total: number }
  /** Nothing is red, but laws were skipped. */
  | { readonly kind: 'unjudged' };

/** @param known laws that an earlier run counted, for a run that was cut short. */
export function verdictOf(grading: Grading, known = 0): Verdict {
  const { laws, core, scope } = grading;
  if (isGreen(grading)) return { kind: 'green', scope };
  const law = laws.find(({ state }) => state === 'failed');
  if (!law) return { kind: grading.problems.length > 0 || grading.types.length > 0 ? 'broken' : 'unjudged' };
  if (law.core !== undefined) return { kind: 'red', law, position: law.core + 1, total: core };
  const others = laws.filter((each) => each.core === undefined);
  const total = grading.complete ? others.length : Math.max(others.length, known - core);
  return { kind: 'red', law, position: others.indexOf(law) + 1, total };
}

export type ViewOptions = {
  /** Path of the lab's folder as the learner would type it: places in the code begin with it. */
  readonly folder: string;
  readonly width: number;
  /** Laws that an earlier run counted; 0 where none did. */
  readonly known: number;
  /** The red law held before, and the learner was already past it. */
  readonly redAgain?: boolean;
};

/** The result of a run: the compiler's complaints, then one red law. */
export function resultView(grading: Grading, { folder, width, known, redAgain }: ViewOptions): string {
  const verdict = verdictOf(grading, known);
  const problems = grading.problems.filter((problem) => !alreadySaid(problem, grading));
  const blocks = [typesView(grading, folder)];
  const { core, scope } = grading;
  if (verdict.kind === 'red') {
    const { law, position, total } = verdict;
    const place = `${core > 0 && law.core === undefined ? 'hardening ' : ''}${position}/${total}`;
    const again = redAgain ? `  ${colors.yellow('↩ red again: it held before')}\n` : '';
    const title = lawTitle(place, law.name, width);
    blocks.push(`${title}\n${again}${evidence(atPath(law, folder), '  ')}`);
    const [problem] = problems;
    if (problem !== undefined) blocks.push(colors.dim(cut(`  outside the laws: ${problem.split('\n')[0]}`, width)));
    blocks.push(colors.dim(`  ${heldLine(grading, known)} · ${seconds(grading.ms)}`));
  } else if (verdict.kind === 'broken') {
    for (const problem of problems) blocks.push(`${colors.red('✗')} ${indentRest(problem)}`);
    if (grading.problems.length === 0) {
      blocks.push(
        `${colors.green('✓')} every ${scope === 'core' ? 'core law' : 'law'} holds; the types are what is left`,
      );
    }
  } else if (verdict.kind === 'unjudged') {
    const reasons = [...new Set(grading.missing)];
    const skipped = grading.laws.filter(({ state }) => state === 'skipped');
    for (const reason of reasons) blocks.push(`${colors.yellow('↷')} ${indentRest(reason)}`);
    if (reasons.length === 0)
      blocks.push(`${colors.yellow('↷')} ${plural(skipped.length, 'law')} skipped, so nothing is proved`);
  } else if (scope === 'core') {
    const claim = `${colors.bold('every core law holds')}: you know what breaks without each`;
    blocks.push(`${colors.green('✓')} ${colors.dim(`${core}/${core}`)}  ${claim}`);
  } else {
    const total = grading.laws.length;
    const kinds = core > 0 ? colors.dim(`: ${core} core, ${total - core} hardening`) : '';
    blocks.push(`${colors.green('✓')} ${colors.dim(`${total}/${total}`)}  ${colors.bold('every law holds')}${kinds}`);
  }
  return blocks.filter((block) => block !== '').join('\n\n');
}

/** Wrapped between words: a law's name is a sentence. */
function lawTitle(place: string, name: string, width: number): string {
  const head = `✗ ${place}  `;
  const lines = wrap(head + name, width - 2)
    .slice(head.length)
    .split('\n');
  return `${colors.red('✗')} ${colors.dim(place)}  ${lines.map((line) => colors.bold(line)).join('\n  ')}`;
}

/** `9 of 9 core laws, 12 of 38 hardening laws hold`. */
function heldLine({ laws, core, scope, complete }: Grading, known: number): string {
  const held = laws.filter(({ state }) => state === 'passed');
  const ofCore = held.filter((law) => law.core !== undefined).length;
  const others = laws.filter((law) => law.core === undefined).length;
  const total = complete ? others : Math.max(others, known - core);
  const ofOthers = held.length - ofCore;
  if (core === 0) return `${ofOthers} of ${plural(total, 'law')} hold`;
  const first = `${ofCore} of ${plural(core, 'core law')}`;
  return scope === 'core' ? `${first} hold` : `${first}, ${ofOthers} of ${plural(total, 'hardening law')} hold`;
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

/** What a learner takes home once the core laws, or all laws, hold. */
export type Lessons = {
  readonly objectives: Objectives | undefined;
  readonly diffs: readonly FileDiff[];
  /** Those that the laws which hold would have caught. */
  readonly avoided: readonly Pitfall[];
  /** Those that are caught by laws that were not judged. */
  readonly ahead: readonly Pitfall[];
};

/** What has been understood, how the reference differs, and what each pitfall would have broken. */
export function lessonsView({ objectives, diffs, avoided, ahead }: Lessons, width: number): string {
  const blocks = [
    objectives ? objectivesView(objectives, width) : '',
    diffSummary(diffs),
    pitfallsView('What you steered clear of:', avoided, width),
    pitfallsView('What the hardening laws would still catch:', ahead, width),
  ];
  return blocks.filter((block) => block !== '').join('\n\n');
}

/** "After this lab you can say" has come true. */
function objectivesView({ lead, items }: Objectives, width: number): string {
  const room = Math.min(width, 100);
  const now = lead.replace(/^After this lab,? you can/, 'Now you can');
  const title = wrap(items.length > 0 ? `${now}:` : now, room);
  // In the README each may end a clause of one sentence; here each stands alone.
  const bare = items.map((item) => item.replace(/[;.]$/, ''));
  return [title, ...bare.map((item) => indent(wrap(item, room - 4), '    ').replace(/^ {4}/, '  • '))].join('\n');
}

function diffSummary(diffs: readonly FileDiff[]): string {
  const lines = diffs.reduce((sum, { text }) => sum + text.split('\n').length, 0);
  if (diffs.length === 0 || lines <= maxDiffLines) return diffs.length === 0 ? '' : diffView(diffs);
  const list = diffs.map(
    ({ title, added, removed }) => `  ${title}  ${colors.green(`+${added}`)} ${colors.red(`-${removed}`)}`,
  );
  return `The reference does it in another way:\n${list.join('\n')}`;
}

function pitfallsView(title: string, pitfalls: readonly Pitfall[], width: number): string {
  if (pitfalls.length === 0) return '';
  const widest = Math.max(...pitfalls.map(({ name }) => name.length));
  const flaws = pitfalls.map(({ name, flaw = '' }) => {
    const lines = wrap(flaw, Math.max(30, Math.min(width, 110) - widest - 4));
    return `  ${colors.yellow(pad(name, widest))}  ${lines.split('\n').join(`\n${' '.repeat(widest + 4)}`)}`;
  });
  return `${title}\n${flaws.join('\n')}`;
}

/** Lines of a diff that are shown without asking. */
const maxDiffLines = 40;

export function diffView(diffs: readonly FileDiff[]): string {
  if (diffs.length === 0) return 'your code is the reference, to the letter';
  return diffs.map(({ title, text }) => `${colors.bold(title)}\n${indent(text, '  ')}`).join('\n\n');
}

export const keysLine = (keys: readonly (readonly [string, string])[]): string =>
  colors.dim(`  ${keys.map(([key, what]) => `${key} ${what}`).join(' · ')}`);
