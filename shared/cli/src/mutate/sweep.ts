import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join, matchesGlob } from 'node:path';
import { type Grader, openGrader, random, serversStart } from '@shared/testkit';
import { unreadCode } from '../anatomy.ts';
import { filesUnder } from '../check/files.ts';
import { pooled } from '../check/pooled.ts';
import { CommandError } from '../errors.ts';
import type { Lab } from '../labs.ts';
import { type Mutant, mutantsOf, mutate } from './mutants.ts';

/** What became of a mutant: the law that killed it, or what else did (a crash, a hang); undefined when it survived. */
export interface Fate {
  readonly mutant: Mutant;
  readonly killedBy: string | undefined;
  readonly ms: number;
}

/** Every mutant of the lab's src/, in the order of its files. */
export async function allMutants(lab: Lab): Promise<readonly Mutant[]> {
  const src = join(lab.dir, 'src');
  const files = (await filesUnder(src)).filter((file) => file.endsWith('.ts') && !matchesGlob(file, unreadCode));
  const found = await Promise.all(files.map(async (file) => mutantsOf(file, await readFile(join(src, file), 'utf8'))));
  return found.flat();
}

/** `count` of them, by lot: the same seed draws the same. */
export function draw(mutants: readonly Mutant[], count: number, seed: number): readonly Mutant[] {
  return random(seed).shuffle(mutants).slice(0, count);
}

export interface SweepOptions {
  readonly signal: AbortSignal;
  /** Milliseconds that the suite took on the reference: a mutant that needs much longer hangs. */
  readonly referenceMs: number;
  readonly onFate: (fate: Fate) => void;
}

/** Mutants at once: a suite waits for half of its time. */
const atOnce = 2;

/**
 * Grades each mutant, a copy of src/ with the change, by the whole suite, up to the first law that fails.
 * @throws CommandError where a copy without a change fails too
 */
export async function sweep(lab: Lab, mutants: readonly Mutant[], options: SweepOptions): Promise<readonly Fate[]> {
  // Outside node_modules, where Node strips no types; git and the other tools ignore it.
  const copies = join(lab.dir, '.mutants');
  await rm(copies, { recursive: true, force: true });
  try {
    await using grader = openGrader(lab.dir, { lanes: 3 });
    await cp(join(lab.dir, 'src'), join(copies, 'same/src'), { recursive: true });
    const { killedBy } = await fateOf(grader, '.mutants/same/src/index.ts', options);
    // Every mutant would be killed by that.
    if (killedBy !== undefined) {
      const remedy =
        'the suite must take from #lab what it holds against what comes from #lab, and nothing from ../src';
      throw new CommandError(`an unchanged copy of src/ breaks "${killedBy}": ${remedy}`);
    }
    return await pooled([...mutants.entries()], atOnce, async ([number, mutant]) => {
      const src = join(copies, String(number), 'src');
      await cp(join(lab.dir, 'src'), src, { recursive: true });
      const file = join(src, mutant.file);
      await writeFile(file, mutate(await readFile(file, 'utf8'), mutant));
      const fate = { mutant, ...(await fateOf(grader, `.mutants/${number}/src/index.ts`, options)) };
      await rm(join(copies, String(number)), { recursive: true });
      options.onFate(fate);
      return fate;
    });
  } finally {
    await rm(copies, { recursive: true, force: true });
  }
}

async function fateOf(grader: Grader, impl: string, options: SweepOptions): Promise<Omit<Fate, 'mutant'>> {
  const { signal, referenceMs } = options;
  const { tests, problems, ms } = await grader.run({
    impl,
    bail: true,
    signal,
    deadlineMs: Math.max(20_000, 4 * referenceMs),
  });
  const failed = tests.find(({ state }) => state === 'failed');
  // That is no law, and tells nothing of the mutant.
  if (failed?.name === serversStart) throw new CommandError(`the servers of the suite did not start\n${failed.error}`);
  return { killedBy: failed?.name ?? problems[0]?.split('\n')[0], ms };
}
