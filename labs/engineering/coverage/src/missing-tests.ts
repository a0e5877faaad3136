import { adviceOn } from './describe.ts';
import { InvalidArgumentError } from './errors.ts';
import { type Mutant, where } from './mutants.ts';

/** A survivor that changes nothing anybody could see, as somebody has judged. */
export interface Equivalent {
  readonly path: string;
  /** Its line, or lines, without indentation, as they were judged. */
  readonly code: string;
  readonly original: string;
  readonly replacement: string;
  /** Why no test can tell the two apart. */
  readonly reason: string;
}

/** A test that isn't there: something on this line can be changed, and all tests pass. */
export interface MissingTest {
  readonly path: string;
  readonly line: number;
  readonly code: string;
  /** False: no test runs the line at all. */
  readonly run: boolean;
  readonly changes: readonly { readonly original: string; readonly replacement: string }[];
  /** The tests that ran it and looked at nothing that depends on it. */
  readonly tests: readonly string[];
  /** What the missing test would look at. */
  readonly advice: string;
}

export interface MissingTests {
  readonly missing: readonly MissingTest[];
  readonly excused: readonly { readonly mutant: Mutant; readonly reason: string }[];
  /**
   * Judgements of what is no longer there, is noticed by now, or wasn't tried: no test runs it, or it is ignored. After a
   * run that mutated a part of the code the rest looks `gone`.
   */
  readonly stale: readonly { readonly judgement: Equivalent; readonly why: 'gone' | 'noticed' | 'untried' }[];
  /** What a comment in the code took out of the count without saying why. */
  readonly unexplained: readonly Mutant[];
}

/**
 * Reads the survivors as the tests that are missing, one for each line. A judgement excuses one survivor, whatever line it
 * has moved to, for as long as the code of its line stays.
 * @throws InvalidArgumentError for a judgement without a reason
 */
export function missingTests(mutants: readonly Mutant[], equivalents: readonly Equivalent[] = []): MissingTests {
  for (const judgement of equivalents) {
    if (!/\p{L}{2}/u.test(judgement.reason)) {
      throw new InvalidArgumentError(
        `${judgement.path}: ${judgement.original} → ${judgement.replacement} needs a reason`,
      );
    }
  }
  const open = new Map<string, Equivalent[]>();
  for (const judgement of equivalents) open.set(key(judgement), [...(open.get(key(judgement)) ?? []), judgement]);
  const excused: { mutant: Mutant; reason: string }[] = [];
  const left = mutants.filter((mutant) => {
    if (mutant.status !== 'Survived' && mutant.status !== 'NoCoverage') return false;
    const judgement = mutant.status === 'Survived' ? open.get(key(mutant))?.shift() : undefined;
    if (judgement) excused.push({ mutant, reason: judgement.reason });
    return judgement === undefined;
  });
  const noticed = new Set(mutants.filter(({ status }) => status === 'Killed' || status === 'Timeout').map(key));
  const untried = new Set(mutants.filter(({ status }) => status !== 'Survived').map(key));
  const why = (name: string) => (noticed.has(name) ? 'noticed' : untried.has(name) ? 'untried' : 'gone');
  const stale = [...open].flatMap(([name, left]) => left.map((judgement) => ({ judgement, why: why(name) }) as const));
  const unexplained = mutants.filter(({ status, reason }) => status === 'Ignored' && reason === undefined);
  return { missing: byLine(left), excused, stale, unexplained };
}

function byLine(survivors: readonly Mutant[]): MissingTest[] {
  const lines = Map.groupBy(survivors, (mutant) => `${where(mutant)} ${mutant.status}`);
  return [...lines.values()].flatMap((group) => {
    const [first] = group;
    if (!first) return [];
    const { path, line } = first;
    return {
      path,
      line,
      code: first.code.split('\n')[0] ?? '',
      run: first.status === 'Survived',
      changes: group.map(({ original, replacement }) => ({ original, replacement })),
      tests: [...new Set(group.flatMap(({ tests }) => tests))],
      advice: adviceOn(group),
    };
  });
}

const key = ({ path, code, original, replacement }: Omit<Equivalent, 'reason'>) =>
  JSON.stringify([path, code, original, replacement]);
