import { readFile } from 'node:fs/promises';
import { isMissing } from '../labs.ts';
import type { Mutant } from './mutants.ts';

/** A mutant that no law killed, and what a reader of the code says of it: '' until somebody has. */
export interface Survivor {
  readonly mutant: Pick<Mutant, 'file' | 'line' | 'code' | 'change'>;
  readonly verdict: string;
}

export interface Sweep {
  /** The lab. */
  readonly name: string;
  /** `2026-11-28`. */
  readonly day: string;
  readonly seed: number;
  /** Mutants that there are, and how many of them were tried. */
  readonly all: number;
  readonly tried: number;
  readonly survivors: readonly Survivor[];
}

/** Share of the mutants tried that the suite must kill; those that change no behaviour are not counted. */
export const wantedShare = 0.9;

/** Whether a verdict says that the mutant behaves as the reference does. */
export const isEqual = ({ verdict }: Survivor): boolean => /^equal\b/i.test(verdict);

/** Killed of those that can be: 1 where there is none. */
export function shareOf({ tried, survivors }: Pick<Sweep, 'tried' | 'survivors'>): number {
  const mortal = tried - survivors.filter(isEqual).length;
  return mortal === 0 ? 1 : (tried - survivors.length) / mortal;
}

export const percent = (share: number): string => `${Math.floor(share * 100)} %`;

/** The page `mutants.md` of a lab: what was tried, and each survivor with its verdict. */
export function page(sweep: Sweep): string {
  const { name, day, seed, all, tried, survivors } = sweep;
  const equal = survivors.filter(isEqual).length;
  const lines = [
    '# Mutants',
    '',
    `Random one-token changes to \`src/\`, each graded by the whole suite: \`pnpm lab mutate ${name}\`.`,
    `On ${day}, seed ${seed}: ${tried} of ${all} tried, ${tried - survivors.length} killed, ${survivors.length} survived, ${equal} of these equal in behaviour: ${percent(shareOf(sweep))} of what a law can notice.`,
  ];
  if (survivors.length > 0) {
    lines.push('', 'A verdict is `equal: why`, or why no law; it is kept as long as its line of code stays.', '');
    lines.push('| where | code | change | verdict |', '|---|---|---|---|');
    for (const { mutant, verdict } of survivors) {
      const cells = [`${mutant.file}:${mutant.line}`, code(mutant.code), code(mutant.change), verdict];
      lines.push(`| ${cells.map((each) => each.replaceAll('|', '\\|')).join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}

const code = (text: string): string => (text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``);

/** The verdicts that a page holds, by what they are about. */
export type Verdicts = ReadonlyMap<string, string>;

export const keyOf = ({ file, code, change }: Pick<Mutant, 'file' | 'code' | 'change'>): string =>
  [file, code, change].join('\n');

export async function readVerdicts(path: string): Promise<Verdicts> {
  try {
    return verdictsOf(await readFile(path, 'utf8'));
  } catch (error) {
    if (isMissing(error)) return new Map();
    throw error;
  }
}

export function verdictsOf(text: string): Verdicts {
  const verdicts = new Map<string, string>();
  for (const line of text.split('\n')) {
    const cells = line.split(/(?<!\\)\|/).slice(1, -1);
    const [where = '', first = '', second = '', verdict = ''] = cells.map((each) => each.trim().replaceAll('\\|', '|'));
    const file = /^(.+\.ts):\d+$/.exec(where)?.[1];
    if (file !== undefined && verdict !== '') {
      verdicts.set(keyOf({ file, code: bare(first), change: bare(second) }), verdict);
    }
  }
  return verdicts;
}

const bare = (cell: string): string => cell.replace(/^(`+) ?/, '').replace(/ ?`+$/, '');
