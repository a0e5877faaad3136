import { randomInt } from 'node:crypto';
import colors from 'picocolors';
import { type Context, labNamed } from '../context.ts';
import { exit } from '../errors.ts';
import { grade, implementation } from '../grading.ts';
import { interruptible } from '../interrupt.ts';
import { lawLines } from '../laws.ts';
import { plural } from '../text.ts';
import { exitCodeOf } from './test.ts';

export type SoakOptions = { readonly minutes: number; readonly seed?: number; readonly impl: string };

/** `pnpm lab soak NAME`: the suite over and over, each round with its own LAB_SEED, until a round fails or time is up. */
export async function soak(context: Context, name: string, options: SoakOptions): Promise<number> {
  const { out } = context;
  const lab = await labNamed(context, name);
  const impl = await implementation(lab, options.impl, context.cwd);
  const until = performance.now() + options.minutes * 60_000;
  let rounds = 0;
  return interruptible(async (signal) => {
    do {
      const seed = options.seed ?? randomInt(2 ** 31);
      // The suite reads it from its environment, which is ours.
      process.env['LAB_SEED'] = String(seed);
      const grading = await grade(lab, { impl, signal });
      rounds += 1;
      const code = exitCodeOf(grading);
      if (code !== exit.done) {
        const red = grading.laws.filter(({ state }) => state !== 'passed').map((law) => lawLines(law));
        out.write(`${colors.red('✗')} round ${rounds}, seed ${seed}\n${[...red, ...grading.problems].join('\n')}\n`);
        out.write(
          `again: pnpm lab soak ${lab.name} --seed ${seed}${impl === 'src/index.ts' ? '' : ` --impl ${impl}`}\n`,
        );
        return code;
      }
      out.write(
        `${colors.green('✓')} round ${rounds}  ${colors.dim(`seed ${seed}, ${plural(grading.laws.length, 'law')}`)}\n`,
      );
    } while (options.seed === undefined && performance.now() < until);
    out.write(`${plural(rounds, 'round')}, every law held in each\n`);
    return exit.done;
  });
}
