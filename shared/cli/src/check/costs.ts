import { pad } from '../text.ts';

/** Seconds that a lab takes of whoever works on the house; what has not been run is undefined. */
export interface Cost {
  readonly name: string;
  readonly suiteMs: number | undefined;
  /** Examples included. */
  readonly demoMs: number | undefined;
  readonly gradingMs: number | undefined;
}

const parts = [
  { title: 'suite', of: ({ suiteMs }: Cost) => suiteMs },
  { title: 'demo', of: ({ demoMs }: Cost) => demoMs },
  { title: 'grading', of: ({ gradingMs }: Cost) => gradingMs },
] as const;

/** A line a lab, the dearest first; a column for each part that was run. '' where nothing was. */
export function costTable(costs: readonly Cost[]): string {
  const shown = parts.filter(({ of }) => costs.some((cost) => of(cost) !== undefined));
  const run = costs.filter((cost) => shown.some(({ of }) => of(cost) !== undefined));
  if (run.length === 0) return '';
  // The grading runs the suite too.
  const sum = ({ demoMs = 0, gradingMs, suiteMs = 0 }: Cost): number => demoMs + (gradingMs ?? suiteMs);
  const title = 'seconds';
  const width = Math.max(title.length, ...run.map(({ name }) => name.length));
  const cell = (ms: number | undefined): string => (ms === undefined ? '–' : (ms / 1000).toFixed(1)).padStart(9);
  return [
    `${pad(title, width)}${shown.map((part) => part.title.padStart(9)).join('')}`,
    ...run
      .toSorted((a, b) => sum(b) - sum(a))
      .map((cost) => `${pad(cost.name, width)}${shown.map(({ of }) => cell(of(cost))).join('')}`),
  ].join('\n');
}
