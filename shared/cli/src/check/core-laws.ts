import type { Pitfall } from '../anatomy.ts';
import { type Hints, parts } from '../hints.ts';
import type { Objectives } from '../objectives.ts';
import type { SuiteLaw } from '../suite-laws.ts';
import type { Finding } from './gate.ts';

const laws = { least: 6, most: 12 } as const;
const steps = { least: 2, most: 3 } as const;
const objectives = { least: 3, most: 8 } as const;

interface Parts {
  readonly hints: Hints;
  readonly suite: readonly SuiteLaw[];
  readonly pitfalls: readonly Pitfall[];
  readonly objectives: Objectives | undefined;
  readonly hintsFile: string;
  readonly readmeFile: string;
}

/** What a learner meets: the core laws in `exercise/hints.md`, and the objectives that they prove. */
export function checkCoreLaws({ hints, hintsFile, ...lab }: Parts): Finding[] {
  const findings = [...strangeHeadings(hints, lab.suite, hintsFile), ...checkObjectives(lab)];
  if (!hints.tellsCore) {
    const what = 'does not say which laws are core laws';
    const remedy = `put the six to twelve laws that lead from the stub to the idea under "# ${parts.core}", in teaching order, the others under "# ${parts.hardening}"`;
    return [...findings, { where: hintsFile, what, remedy }];
  }
  const core = hints.all.filter(({ kind }) => kind === 'core');
  if (core.length < laws.least || core.length > laws.most) {
    const what = `has ${core.length} core laws, and ${laws.least} to ${laws.most} are wanted`;
    const remedy = `a learner builds the idea in an hour: move laws between "# ${parts.core}" and "# ${parts.hardening}"`;
    findings.push({ where: hintsFile, what, remedy });
  }
  for (const { law, kind, line } of hints.all) {
    if (kind !== undefined) continue;
    const what = `"${law}" stands in neither part`;
    findings.push({
      where: `${hintsFile}:${line}`,
      what,
      remedy: `put it under "# ${parts.core}" or "# ${parts.hardening}"`,
    });
  }
  for (const { law, line, steps: written } of core) {
    if (written.length < steps.least || written.length > steps.most) {
      const what = `"${law}" is a core law with ${written.length} steps of hint, and ${steps.least} or ${steps.most} are wanted`;
      const remedy =
        'a paragraph, a code block or a list item is a step: a question, the term to look up, the shape of the code';
      findings.push({ where: `${hintsFile}:${line}`, what, remedy });
    }
    if (lab.pitfalls.some(({ caughtBy }) => caughtBy !== undefined && hints.place(caughtBy) === hints.place(law)))
      continue;
    const what = `the core law "${law}" catches no pitfall`;
    const remedy =
      'write the mistake that it is there for as a pitfall, with this law in "Caught by"; or make it a hardening law';
    findings.push({ where: `${hintsFile}:${line}`, what, remedy });
  }
  return findings;
}

function strangeHeadings({ all }: Hints, suite: readonly SuiteLaw[], where: string): Finding[] {
  return all.flatMap(({ law, line }, i) => {
    if (!suite.some(({ pattern }) => pattern.test(law))) {
      const remedy = `its headings are the names of the laws${near(law, suite)}`;
      return [{ where: `${where}:${line}`, what: `"${law}" is no law of the suite`, remedy }];
    }
    if (all.findIndex((other) => other.law === law) === i) return [];
    return [
      { where: `${where}:${line}`, what: `"${law}" has a second heading`, remedy: 'a law has one place: remove one' },
    ];
  });
}

function checkObjectives({ objectives: found, readmeFile: where }: Omit<Parts, 'hints' | 'hintsFile'>): Finding[] {
  const remedy = `write "After this lab you can say:" above the first section, and under it a list of ${objectives.least} to ${objectives.most}: what the core laws prove`;
  const count = found?.items.length ?? 0;
  if (count >= objectives.least && count <= objectives.most) return [];
  const what =
    count === 0
      ? 'has no list of objectives'
      : `has ${count} objectives, and ${objectives.least} to ${objectives.most} are wanted`;
  return [{ where, what, remedy }];
}

/** The law that shares the most words with a wrong name. */
export function near(name: string, suite: readonly SuiteLaw[]): string {
  const words = new Set(name.toLowerCase().split(/\W+/));
  const shared = (law: SuiteLaw): number =>
    law.text
      .toLowerCase()
      .split(/\W+/)
      .filter((word) => words.has(word)).length;
  const [best] = [...suite].sort((a, b) => shared(b) - shared(a));
  return best && shared(best) >= 3 ? `, perhaps "${best.text}"` : '';
}
