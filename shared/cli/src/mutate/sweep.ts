import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { random, runSuite } from '@shared/testkit';
import { filesUnder } from '../check/files.ts';
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
  const files = (await filesUnder(src)).filter((file) => file.endsWith('.ts'));
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

/** Grades one mutant after the other: a copy of src/ with the change, by the whole suite, up to the first law that fails. */
export async function sweep(lab: Lab, mutants: readonly Mutant[], options: SweepOptions): Promise<readonly Fate[]> {
  const { signal, referenceMs, onFate } = options;
  // Outside node_modules, where Node strips no types; git and the other tools ignore it.
  const copy = join(lab.dir, '.mutants');
  await rm(copy, { recursive: true, force: true });
  await mkdir(copy);
  const fates: Fate[] = [];
  try {
    await cp(join(lab.dir, 'src'), join(copy, 'src'), { recursive: true });
    for (const mutant of mutants) {
      const file = join(copy, 'src', mutant.file);
      const text = await readFile(file, 'utf8');
      await writeFile(file, mutate(text, mutant));
      const fate = { mutant, ...(await fateOf(lab, referenceMs, signal)) };
      await writeFile(file, text);
      fates.push(fate);
      onFate(fate);
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
  return fates;
}

async function fateOf(lab: Lab, referenceMs: number, signal: AbortSignal): Promise<Omit<Fate, 'mutant'>> {
  const start = performance.now();
  const enough = new AbortController();
  let killedBy: string | undefined;
  try {
    const { problems } = await runSuite({
      dir: lab.dir,
      impl: '.mutants/src/index.ts',
      signal: AbortSignal.any([signal, enough.signal]),
      deadlineMs: Math.max(20_000, 4 * referenceMs),
      onTest: ({ name, state }) => {
        if (state !== 'failed') return;
        killedBy ??= name;
        enough.abort();
      },
    });
    killedBy ??= problems[0]?.split('\n')[0];
  } catch (error) {
    if (signal.aborted || !enough.signal.aborted) throw error;
  }
  return { killedBy, ms: performance.now() - start };
}
