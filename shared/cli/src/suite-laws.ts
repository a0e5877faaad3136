import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { filesUnder, lineAt } from './check/files.ts';
import { type TestName, testNames } from './check/source.ts';
import type { Hints } from './hints.ts';

/** A law as the source of the suite has it, before any run. */
export type SuiteLaw = TestName & {
  /** Relative to the lab. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
};

/** The laws of the lab in `dir`, by file, in the order of the file; one for a test with placeholders in its name. */
export async function suiteLaws(dir: string): Promise<readonly SuiteLaw[]> {
  const suites = (await filesUnder(join(dir, 'test'))).filter((file) => /\.test(-d)?\.ts$/.test(file));
  const found = await Promise.all(
    suites.map(async (name) => {
      const file = `test/${name}`;
      const text = await readFile(join(dir, file), 'utf8');
      return testNames(file, text).map((law) => ({ ...law, file, line: lineAt(text, law.offset) }));
    }),
  );
  return found.flat();
}

/** The test files in which the laws of these names stand. */
export function filesOf(laws: readonly SuiteLaw[], names: readonly string[]): string[] {
  const files = names.flatMap((name) => laws.filter(({ pattern }) => pattern.test(name)).map(({ file }) => file));
  return [...new Set(files)];
}

/** What a run of the core laws alone needs: their names, and the files that they stand in. */
export function coreRun(laws: readonly SuiteLaw[], hints: Hints): { names: readonly string[]; files: string[] } {
  return { names: hints.core, files: filesOf(laws, hints.core) };
}
