import { cp, mkdir, readdir, readFile, rename, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { CommandError } from '../errors.ts';
import { isMissing, isRecord, type Lab } from '../labs.ts';

/**
 * Copies the exercise to `attempt/`, once: an attempt that exists is never written to. Hints stay behind.
 *
 * @returns whether it was made now.
 * @throws {CommandError} where the lab has no exercise.
 */
export async function makeAttempt(lab: Lab): Promise<boolean> {
  const attempt = join(lab.dir, 'attempt');
  const exercise = join(lab.dir, 'exercise');
  if (await exists(join(attempt, 'index.ts'))) return false;
  if (!(await exists(join(exercise, 'index.ts')))) {
    throw new CommandError(
      `"${lab.name}" has no exercise/index.ts, so there is nothing to build; \`pnpm lab ${lab.name}\` plays it`,
    );
  }
  if ((await filesIn(attempt)).length > 0) {
    throw new CommandError(
      `attempt/ of "${lab.name}" holds files but no index.ts, which is what gets graded; bring it back, or \`pnpm lab learn ${lab.name} --fresh\``,
    );
  }
  // Copied aside and renamed, so that a copy that was cut short is never taken for an attempt.
  const aside = join(lab.dir, `attempt.${process.pid}.part`);
  await cp(exercise, aside, { recursive: true, filter: (path) => !path.endsWith('.md') });
  try {
    await rename(aside, attempt);
  } catch (error) {
    // An empty attempt/ may stand in the way on Windows.
    if (!isRecord(error) || error['code'] !== 'EPERM') throw error;
    await cp(aside, attempt, { recursive: true, force: false });
  }
  return true;
}

/**
 * Moves an attempt out of the way.
 *
 * @returns where it is now, relative to `root`; undefined where there was none.
 */
export async function setAttemptAside(lab: Lab, root: string, now = new Date()): Promise<string | undefined> {
  const attempt = join(lab.dir, 'attempt');
  if ((await filesIn(attempt)).length === 0) return undefined;
  const backup = join(root, '.labs', 'attempts', `${lab.name}-${now.toISOString().replace(/[:.]/g, '-')}`);
  await mkdir(join(backup, '..'), { recursive: true });
  await rename(attempt, backup);
  return relative(root, backup);
}

/** Where the learner begins: the first line of the attempt that throws, or says what is to be done. */
export async function firstTask(lab: Lab): Promise<number> {
  const lines = (await readFile(join(lab.dir, 'attempt/index.ts'), 'utf8')).split('\n');
  return Math.max(1, lines.findIndex((line) => /\bthrow\b|\btodo\b/i.test(line)) + 1);
}

async function filesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}
