import { randomInt } from 'node:crypto';
import { type Grader, openGrader } from '@shared/testkit';
import colors from 'picocolors';
import { readPitfalls } from '../anatomy.ts';
import { type Context, labNamed } from '../context.ts';
import { exit } from '../errors.ts';
import { defaultImpl, grade, implementation, type Law } from '../grading.ts';
import { interruptible } from '../interrupt.ts';
import type { Lab } from '../labs.ts';
import { lawLines } from '../laws.ts';
import { plural } from '../text.ts';
import { exitCodeOf } from './test.ts';

export type SoakOptions = {
  readonly minutes: number;
  readonly seed?: number;
  readonly impl: string;
  /** Also lets every pitfall try to slip past the law that it names. */
  readonly pitfalls?: true;
};

/** Attempts a round that a pitfall has: one that slips past its law in one of ten does so within a few rounds. */
const attempts = 10;

/**
 * `pnpm lab soak NAME`: the suite over and over, each round with its own LAB_SEED, until a round fails or time is up.
 * With `pitfalls` a round fails, too, when a law that should always catch its pitfall once did not.
 */
export async function soak(context: Context, name: string, options: SoakOptions): Promise<number> {
  const { out } = context;
  const lab = await labNamed(context, name);
  const impl = await implementation(lab, options.impl, context.cwd);
  const flags = `${impl === defaultImpl ? '' : ` --impl ${impl}`}${options.pitfalls ? ' --pitfalls' : ''}`;
  const until = performance.now() + options.minutes * 60_000;
  let rounds = 0;
  return interruptible(async (signal) => {
    await using grader = openGrader(lab.dir);
    do {
      const seed = options.seed ?? randomInt(2 ** 31);
      // The suite reads it from its environment, which is ours.
      process.env['LAB_SEED'] = String(seed);
      const grading = await grade(lab, { impl, signal });
      rounds += 1;
      const code = exitCodeOf(grading);
      const red = grading.laws.filter(({ state }) => state !== 'passed').map((law) => lawLines(law));
      const slips =
        code === exit.done && options.pitfalls ? await slipped(grader, lab, grading.laws, seed, signal) : [];
      if (code !== exit.done || slips.length > 0) {
        out.write(`${colors.red('✗')} round ${rounds}, seed ${seed}\n`);
        out.write(`${[...red, ...grading.problems, ...slips].join('\n')}\n`);
        out.write(`again: pnpm lab soak ${lab.name} --seed ${seed}${flags}\n`);
        return code === exit.done ? exit.failed : code;
      }
      const caught = options.pitfalls ? `, each pitfall red ${attempts} times` : '';
      const what = `seed ${seed}, ${plural(grading.laws.length, 'law')}${caught}`;
      out.write(`${colors.green('✓')} round ${rounds}  ${colors.dim(what)}\n`);
    } while (options.seed === undefined && performance.now() < until);
    out.write(`${plural(rounds, 'round')}, every law held in each\n`);
    return exit.done;
  });
}

/** A line for each pitfall that its law let pass in one of `attempts`, or that breaks outside of it. */
async function slipped(
  grader: Grader,
  lab: Lab,
  laws: readonly Law[],
  seed: number,
  signal: AbortSignal,
): Promise<string[]> {
  const lines = await Promise.all(
    (await readPitfalls(lab.dir)).map(async ({ name, file: impl, caughtBy }) => {
      const law = laws.find((each) => each.name === caughtBy);
      // Which law a pitfall names is the grading's matter; one that can't run here catches nothing.
      if (law?.state !== 'passed') return [];
      const { ok, problems } = await grader.run({
        impl,
        testName: law.name,
        ...(law.file === undefined ? {} : { file: law.file }),
        attempts,
        env: { LAB_SEED: String(seed) },
        signal,
      });
      const slip = `  ${colors.red('✗')} ${name} slipped past "${law.name}" in one of ${attempts} attempts`;
      return [...(ok ? [slip] : []), ...problems.map((problem) => `  ${colors.red('✗')} ${name}: ${problem}`)];
    }),
  );
  return lines.flat();
}
