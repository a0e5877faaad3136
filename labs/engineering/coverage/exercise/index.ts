import { adviceOn } from '../src/describe.ts';
import { InvalidArgumentError } from '../src/errors.ts';
import { header, NOTHING, pathOf } from '../src/git-path.ts';
import type {
  ChangedFile,
  Changes,
  Coverage,
  DiffCoverage,
  DiffCoverageOptions,
  Equivalent,
  Floor,
  Measures,
  MissingTest,
  MissingTests,
  Mutant,
  MutationScore,
  Ratchet,
  Reading,
  Share,
} from '../src/index.ts';
import { readFloor } from '../src/index.ts';
import { guess, ignoresIn, isCode } from '../src/source.ts';

// What is not the idea is given: LCOV reports, Stryker's reports and the floor's file are read, paths unquoted, comments
// found. The counting is yours. `h` in `pnpm lab learn coverage` gives a hint. Errors come from src/errors.ts; the files
// of src/ that are not imported above hold solutions.
export type {
  ChangedFile,
  Changes,
  Coverage,
  DiffCoverage,
  DiffCoverageOptions,
  Equivalent,
  Floor,
  Ignore,
  LcovOptions,
  Measures,
  MissingTest,
  MissingTests,
  Mutant,
  MutantStatus,
  MutationScore,
  Ratchet,
  Reading,
  Share,
} from '../src/index.ts';
export {
  CoverageError,
  DiffError,
  describeMissing,
  FloorError,
  InvalidArgumentError,
  LcovError,
  MutationReportError,
  parseLcov,
  readFloor,
  readMutants,
  UnreadableError,
} from '../src/index.ts';

/**
 * Reads a unified diff: the lines that it adds or rewrites, by the file's new path and their number in the new file. A
 * file that gains no line may be there with no line, or not at all.
 *
 * Given: `header(line)` is a line without Windows' `\r`; `pathOf(line, 'b/', at)` is the path in a `+++ ` line, NOTHING
 * (`/dev/null`) for a deleted file. Yours: the hunks.
 * @throws DiffError for what is no diff, is cut off, or counts the lines of several commits
 */
export function parseDiff(text: string): Changes {
  const changes = new Map<string, Map<number, string>>();
  const lines = text.split('\n');
  for (let at = 0; at < lines.length; at++) {
    const line = header(lines[at]);
    if (!line.startsWith('+++ ')) continue;
    const path = pathOf(line, 'b/', at + 1);
    const added = new Map<number, string>();
    if (path !== NOTHING) changes.set(path, added);
    at = readHunks(lines, at + 1, added) - 1;
  }
  return changes;
}

/**
 * Reads the hunks of one file, which begin at `lines[at]`, into `added`: number in the new file → text.
 * @returns the index of the first line that is no longer theirs
 */
function readHunks(_lines: readonly string[], _at: number, _added: Map<number, string>): number {
  return todo('readHunks');
}

/**
 * Which of the lines that a change adds did run. What the report knows counts; of what it doesn't know, the files that
 * `counts` takes for code, and of these the lines that `guess(added)` gives. A file of no line that counts is left out.
 */
export function diffCoverage(
  coverage: Coverage,
  changes: Changes,
  { counts = isCode }: DiffCoverageOptions = {},
): DiffCoverage {
  const files: ChangedFile[] = [];
  for (const [path, added] of changes) {
    const file = changedFile(path, added, coverage.get(path), counts);
    if (file) files.push(file);
  }
  const counted = [...changes].filter(([path]) => coverage.has(path) || counts(path));
  const ignores = counted.flatMap(([path, added]) => ignoresIn(path, added));
  const sum = (of: 'covered' | 'missed') => files.reduce((all, file) => all + file[of].length, 0);
  return { covered: sum('covered'), total: sum('covered') + sum('missed'), files, ignores };
}

/**
 * `hits` is undefined where the report doesn't know the file: then `loaded` is false, and all that counts is `missed`.
 * @returns `{ path, loaded, covered, missed }`, the latter two with line numbers; undefined: nothing of the file counts
 */
function changedFile(
  _path: string,
  _added: ReadonlyMap<number, string>,
  _hits: ReadonlyMap<number, number> | undefined,
  _counts: (path: string) => boolean,
): ChangedFile | undefined {
  void guess;
  return todo('changedFile');
}

/** What one run of all shards' tests would report. */
export function mergeCoverage(_reports: Iterable<Coverage>): Coverage {
  return todo('mergeCoverage');
}

/**
 * Hundredths of a percent: what is short of all is never 10000. Undefined for a share of nothing.
 * @throws InvalidArgumentError for what is no share
 */
export function hundredths(_share: Share): number | undefined {
  return todo('hundredths');
}

/** Given. */
export function percent(share: Share): string {
  const value = hundredths(share);
  return value === undefined ? 'nothing to cover' : `${(value / 100).toFixed(2)} %`;
}

/**
 * Compares what was measured with the floor, and raises the floor to it: nothing falls, and where one figure has fallen
 * or is missing, the floor stays as it was. Given: the readings. Yours: `floorAfter`.
 */
export function ratchet(previous: Floor, now: Measures): Ratchet {
  const names = new Set([...previous.keys(), ...Object.keys(now)]);
  const readings = [...names].flatMap((name) => {
    const share = Object.hasOwn(now, name) ? now[name] : undefined;
    const [floor, value] = [previous.get(name), share && hundredths(share)];
    return floor === undefined && value === undefined ? [] : [reading(name, floor, value)];
  });
  const holds = readings.every(({ verdict }) => verdict !== 'fallen' && verdict !== 'unmeasured');
  return { holds, floor: floorAfter(previous, readings, holds), readings };
}

function reading(name: string, floor: number | undefined, now: number | undefined): Reading {
  if (now === undefined) return { name, floor, now, verdict: 'unmeasured' };
  if (floor === undefined) return { name, floor, now, verdict: 'new' };
  return { name, floor, now, verdict: now === floor ? 'held' : now > floor ? 'risen' : 'fallen' };
}

/** The floor from now on; `previous` stays as it is. */
function floorAfter(_previous: Floor, _readings: readonly Reading[], _holds: boolean): Floor {
  return todo('floorAfter');
}

/**
 * Compares what was measured with the floor that `file` keeps, and raises that. Others may do so at the same moment.
 *
 * Given: `readFloor(file)`. The file has records a line, as `{"lines":9876,"mutants":7000}`, and the floor is the highest
 * that any line has of each figure.
 */
export async function raiseFloor(file: string, now: Measures): Promise<Ratchet> {
  const result = ratchet(await readFloor(file), now);
  return todo(`raiseFloor, which would keep ${result.floor.size} figures,`);
}

/**
 * The mutants that the tests noticed (`covered`), of those that they could notice (`total`). `timedOut`: those of the
 * noticed that only a time limit noticed.
 */
export function mutationScore(_mutants: Iterable<Mutant>): MutationScore {
  return todo('mutationScore');
}

/**
 * Reads the survivors as the tests that are missing, one for each line. A judgement excuses one survivor, whatever line it
 * has moved to, for as long as the code of its line stays.
 *
 * Given: what is unexplained, and `adviceOn(group)`. Yours: `byLine` and `excuse`.
 * @throws InvalidArgumentError for a judgement without a reason: one with no letter in it, as `-`, is none
 */
export function missingTests(mutants: readonly Mutant[], equivalents: readonly Equivalent[] = []): MissingTests {
  const unnoticed = mutants.filter(({ status }) => status === 'Survived' || status === 'NoCoverage');
  const { left, excused, stale } =
    equivalents.length === 0 ? { left: unnoticed, excused: [], stale: [] } : excuse(unnoticed, equivalents, mutants);
  const unexplained = mutants.filter(({ status, reason }) => status === 'Ignored' && reason === undefined);
  return { missing: byLine(left), excused, stale, unexplained };
}

/**
 * One for each line, and apart what tests ran (`Survived`) and what none did (`NoCoverage`).
 * @returns `{ path, line, code, run, changes, tests, advice }`: `code` is the first line of the mutant's code, `run` is
 * false where no test ran it, `changes` are `{ original, replacement }`, and `tests` names each test once
 */
function byLine(_unnoticed: readonly Mutant[]): MissingTest[] {
  void adviceOn;
  return todo('byLine');
}

/**
 * `left`: the unnoticed that nobody excuses. `excused`: `{ mutant, reason }`. `stale`: the judgements that excuse nothing,
 * `{ judgement, why }`, where `why` is `noticed`, `untried` (no test runs the mutant, or it is ignored), or else `gone`.
 */
function excuse(
  _unnoticed: readonly Mutant[],
  _equivalents: readonly Equivalent[],
  _mutants: readonly Mutant[],
): { left: Mutant[] } & Pick<MissingTests, 'excused' | 'stale'> {
  void InvalidArgumentError;
  return todo('excuse');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
