import { writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import colors from 'picocolors';
import { type Context, labNamed } from '../context.ts';
import { CommandError, exit } from '../errors.ts';
import { defaultImpl, grade } from '../grading.ts';
import { interruptible } from '../interrupt.ts';
import type { Mutant } from '../mutate/mutants.ts';
import { isEqual, keyOf, page, percent, readVerdicts, type Survivor, shareOf, wantedShare } from '../mutate/page.ts';
import { allMutants, draw, type Fate, sweep } from '../mutate/sweep.ts';
import { plural, seconds } from '../text.ts';
import { exitCodeOf } from './test.ts';

export type MutateOptions = {
  readonly sample: number;
  readonly seed: number;
  readonly all?: true;
  readonly file?: string;
};

/**
 * `pnpm lab mutate NAME`: are there laws against changes that nobody planned? Random one-token changes to src/, each
 * graded by the whole suite; what survives is listed in the lab's mutants.md, to be judged by its author.
 */
export async function mutate(context: Context, name: string, options: MutateOptions): Promise<number> {
  const { out } = context;
  const lab = await labNamed(context, name);
  const { file } = options;
  const mutants = (await allMutants(lab)).filter((mutant) => file === undefined || mutant.file === file);
  if (mutants.length === 0) {
    throw new CommandError(
      file === undefined
        ? `src/ of "${lab.name}" has nothing to mutate`
        : `src/ of "${lab.name}" has no ${file}, or nothing to mutate in it`,
    );
  }
  const chosen = draw(mutants, options.all ? mutants.length : options.sample, options.seed);
  return interruptible(async (signal) => {
    const reference = await grade(lab, { impl: defaultImpl, signal });
    if (exitCodeOf(reference) !== exit.done) {
      throw new CommandError(`the reference of "${lab.name}" has broken laws: \`pnpm lab test ${lab.name}\``);
    }
    out.write(
      `${colors.bold(lab.title)}: ${chosen.length} of ${plural(mutants.length, 'mutant')}, seed ${options.seed}\n`,
    );
    const fates = await sweep(lab, chosen, {
      signal,
      referenceMs: reference.ms,
      onFate: (fate) => out.write(`${line(fate)}\n`),
    });
    const path = join(lab.dir, 'mutants.md');
    const verdicts = await readVerdicts(path);
    const survivors: Survivor[] = fates
      .filter(({ killedBy }) => killedBy === undefined)
      .map(({ mutant }) => ({ mutant, verdict: verdicts.get(keyOf(mutant)) ?? '' }))
      .sort((a, b) => a.mutant.file.localeCompare(b.mutant.file) || a.mutant.line - b.mutant.line);
    const result = { name: lab.name, seed: options.seed, all: mutants.length, tried: fates.length, survivors };
    // A look at one file is no figure of the lab.
    if (file === undefined) await writeFile(path, page({ ...result, day: new Date().toISOString().slice(0, 10) }));
    const unjudged = survivors.filter(({ verdict }) => verdict === '').length;
    const share = shareOf(result);
    out.write(
      `${plural(fates.length - survivors.length, 'mutant')} killed, ${survivors.length} survived (${survivors.filter(isEqual).length} equal): ${percent(share)} of what a law can notice\n`,
    );
    if (unjudged > 0 && file === undefined) out.write(`${unjudged} to be judged in ${relative(context.cwd, path)}\n`);
    return share >= wantedShare && unjudged === 0 ? exit.done : exit.failed;
  });
}

function line({ mutant, killedBy, ms }: Fate): string {
  const what = `${place(mutant)}  ${mutant.change}  ${colors.dim(mutant.code.slice(0, 70))}`;
  if (killedBy === undefined) return `${colors.red('✗')} ${what}  ${colors.red('survived')}`;
  return `${colors.green('✓')} ${what}  ${colors.dim(`${seconds(ms)}, ${killedBy}`)}`;
}

const place = ({ file, line }: Mutant): string => `${file}:${line}`;
