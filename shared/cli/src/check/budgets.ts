import { readFile } from 'node:fs/promises';
import { join, matchesGlob } from 'node:path';
import {
  budgetSlack,
  demoBudgetMs,
  larger,
  lineBudgets,
  type Pitfall,
  pitfallBudget,
  readmeBudget,
  unreadCode,
} from '../anatomy.ts';
import type { Lab } from '../labs.ts';
import type { Finding } from './gate.ts';

type At = (file: string) => string;

/** Is the lab small enough to be read in one sitting? @param files all of the lab's, relative to it */
export async function checkBudgets(
  lab: Lab,
  files: readonly string[],
  pitfalls: readonly Pitfall[],
  at: At,
): Promise<readonly Finding[]> {
  const sizes = await Promise.all(
    lineBudgets.map(async ({ part, files: glob, lines, remedy }) => {
      const own = files.filter((file) => matchesGlob(file, glob) && !matchesGlob(file, unreadCode));
      const texts = await Promise.all(own.map((file) => readFile(join(lab.dir, file), 'utf8')));
      const count = texts.reduce((sum, text) => sum + linesOf(text), 0);
      return beyond(lab, at(part), count, lines, (n) => `${n} lines`, remedy);
    }),
  );
  return [...sizes.flat(), ...countPitfalls(lab, pitfalls.length, at('pitfalls'))];
}

const linesOf = (text: string): number => text.trimEnd().split('\n').length;

/** @param text without the comments that are for the tools */
export function checkReadmeSize(lab: Lab, text: string, where: string): readonly Finding[] {
  const { lines, remedy } = readmeBudget;
  return beyond(lab, where, linesOf(text), lines, (n) => `${n} lines`, remedy);
}

/** Only where it was run is it known how long it takes. It warns at most: how long is the machine's matter, too. */
export function checkDemoTime(lab: Lab, ms: number, where: string): readonly Finding[] {
  const seconds = (n: number): string => `${(n / 1000).toFixed(1).replace('.0', '')} s`;
  const found = beyond(lab, where, ms, demoBudgetMs, seconds, 'measure less, or move a part to examples/');
  return found.map((finding) => ({ ...finding, severity: 'warning' }));
}

function countPitfalls(lab: Lab, count: number, where: string): readonly Finding[] {
  const { least, most } = pitfallBudget;
  if (count === 0 || count >= least) {
    return beyond(lab, where, count, most, (n) => `${n} pitfalls`, 'keep those that somebody would write');
  }
  if (lab.larger !== undefined) return [];
  const what = `has ${count} pitfalls, and ${least} to ${most} are wanted`;
  return [{ where, what, remedy: 'write each plausible mistake as one', severity: 'warning' }];
}

function beyond(
  { larger: reason }: Lab,
  where: string,
  size: number,
  limit: number,
  say: (size: number) => string,
  remedy: string,
): readonly Finding[] {
  if (size <= limit || reason !== undefined) return [];
  const what = `has ${say(size)}, and ${say(limit)} are the budget`;
  const finding = { where, what, remedy: `${remedy}; ${larger.remedy}` };
  return [size > limit * budgetSlack ? finding : { ...finding, severity: 'warning' }];
}
