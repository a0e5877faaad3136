import { type Grader, openGrader, type RunOptions, type SuiteResult, type TestResult } from '@shared/testkit';
import { type Pitfall, readPitfalls } from '../anatomy.ts';
import { type Hints, readHints } from '../hints.ts';
import type { Lab } from '../labs.ts';
import { coreRun, filesOf, type SuiteLaw, suiteLaws } from '../suite-laws.ts';
import { Shares } from './shares.ts';

/** Test files of a lab at once. Most of the time a law waits for a server or a clock, not for a processor. */
const lanes = { alone: 3, beside: 2 };
/** Labs at once, where there are several: the start of one fills the pauses of another. */
export const besides = 2;

/** A pitfall under the one law that its header names. */
export interface PitfallRun {
  readonly pitfall: Pitfall;
  /** As the reference's run has it; undefined where the suite has no law of that name. */
  readonly law: TestResult | undefined;
  /** undefined where the law is unknown, or was skipped. */
  readonly result: SuiteResult | undefined;
}

/** The runs of one lab's suite that its grading is judged by. */
export interface LabGrading {
  readonly reference: SuiteResult;
  /** The reference was run by `pnpm test`, on exactly this, and not again. */
  readonly proven: boolean;
  /** The core laws on it, where the lab tells them from others. */
  readonly untouched: SuiteResult;
  /** None where the reference does not pass: nothing can be measured against it. */
  readonly pitfalls: readonly PitfallRun[];
  /** Duration of all of it; while another lab was graded beside it, half the time that passed. */
  readonly ms: number;
}

/** Runs each lab's suite once, on everything that it grades: several gates read the same runs. */
export interface Gradings {
  of(lab: Lab): Promise<LabGrading>;
  /** The exercise alone, where nothing else has been asked for. */
  untouched(lab: Lab): Promise<SuiteResult>;
  /** What is known already, by the lab's folder. */
  readonly known: ReadonlyMap<string, LabGrading>;
}

/**
 * @param several whether more than one lab will be graded
 * @param suites what the reference has been seen to pass already, by the lab's folder
 * @param start starts a grader; the tests of the gates give one of their own
 */
export function gradings(
  several: boolean,
  suites: () => Promise<ReadonlyMap<string, SuiteResult>> = async () => new Map(),
  start: (dir: string, options: { lanes: number }) => Grader = openGrader,
): Gradings {
  const known = new Map<string, LabGrading>();
  const shares = new Shares();
  let seen: ReturnType<typeof suites> | undefined;
  const open = (dir: string): Grader => start(dir, { lanes: several ? lanes.beside : lanes.alone });
  return {
    known,
    async of(lab) {
      const before = known.get(lab.dir);
      if (before) return before;
      seen ??= suites();
      const proven = (await seen).get(lab.dir);
      await using grader = open(lab.dir);
      const stop = shares.start();
      const runs = await gradeLab(lab.dir, grader, proven);
      const result = { ...runs, ms: stop() };
      known.set(lab.dir, result);
      return result;
    },
    async untouched(lab) {
      const before = known.get(lab.dir);
      if (before) return before.untouched;
      await using grader = open(lab.dir);
      const [laws, hints] = await Promise.all([suiteLaws(lab.dir), readHints(lab.dir)]);
      return await grader.run(exerciseRun(laws, hints));
    },
  };
}

/**
 * The laws that a learner meets on the untouched exercise: the core laws. The others come when those hold, and on a stub
 * most of them would wait for what never happens.
 */
function exerciseRun(laws: readonly SuiteLaw[], hints: Hints): RunOptions {
  const impl = 'exercise/index.ts';
  if (!hints.tellsCore) return { impl };
  const { names, files } = coreRun(laws, hints);
  return { impl, testNames: names, files };
}

async function gradeLab(dir: string, grader: Grader, proven: SuiteResult | undefined): Promise<Omit<LabGrading, 'ms'>> {
  const [pitfalls, laws, hints] = await Promise.all([readPitfalls(dir), suiteLaws(dir), readHints(dir)]);
  const hopeless = new AbortController();
  /** Ends without a result once the reference has failed. */
  const attempt = (options: RunOptions): Promise<SuiteResult | undefined> =>
    grader.run({ ...options, signal: hopeless.signal }).catch((error: unknown) => {
      if (hopeless.signal.aborted) return undefined;
      throw error;
    });
  // The longest first, and all at once: the grader has its lanes.
  const reference = (proven ? Promise.resolve(proven) : grader.run()).then((result) => {
    if (!result.ok || result.missing.length > 0) hopeless.abort();
    return result;
  });
  const exercise = grader.run(exerciseRun(laws, hints));
  const runs = pitfalls.map(async (pitfall): Promise<PitfallRun> => {
    const { file, caughtBy } = pitfall;
    const lawOf = ({ tests }: SuiteResult) => tests.find(({ name }) => name === caughtBy);
    const files = caughtBy === undefined ? [] : filesOf(laws, [caughtBy]);
    if (caughtBy === undefined || files.length === 0)
      return { pitfall, law: lawOf(await reference), result: undefined };
    const result = await attempt({ impl: file, testNames: [caughtBy], files });
    const law = lawOf(await reference);
    return { pitfall, law, result: law?.state === 'passed' ? result : undefined };
  });
  const [sound, untouched, judged] = await Promise.all([reference, exercise, Promise.all(runs)]);
  return {
    reference: sound,
    proven: proven !== undefined,
    untouched,
    pitfalls: hopeless.signal.aborted ? [] : judged,
  };
}
