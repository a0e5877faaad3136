import colors from 'picocolors';
import { type Context, labNamed } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { defaultImpl, type Grading, grade, implementation } from '../grading.ts';
import { readHints } from '../hints.ts';
import { interruptible } from '../interrupt.ts';
import { LawList, summary } from '../laws.ts';
import { indent } from '../text.ts';

export type TestOptions = {
  /** What `--impl` was given. */
  readonly impl: string;
  /** Only the laws whose name holds these words; '' means all. */
  readonly law: string;
  /** Only the core laws. */
  readonly core?: true;
};

/** `pnpm lab test NAME`: the suite as a list of laws, core laws first, each as soon as its turn comes. */
export async function test(context: Context, name: string, options: TestOptions): Promise<number> {
  const { out } = context;
  const lab = await labNamed(context, name);
  const impl = await implementation(lab, options.impl, context.cwd);
  const hints = await readHints(lab.dir);
  if (options.core && hints.core.length === 0) {
    throw new UsageError(`"${lab.name}" does not name its core laws yet; without --core all laws are run`);
  }
  const wanted = (law: string) => law.toLowerCase().includes(options.law.toLowerCase());
  const places = hints.core.flatMap((law, place) => (wanted(law) ? [place] : []));
  const list = new LawList(places, (lines) => out.write(`${lines}\n`));

  out.write(`${colors.bold(lab.title)} ${colors.dim(impl)}\n`);
  const scope = options.core ? 'core' : 'all';
  const grading = await interruptible((signal) =>
    grade(lab, { impl, scope, signal, onLaw: (law) => wanted(law.name) && list.add(law) }),
  );
  list.end();
  const laws = grading.laws.filter((law) => wanted(law.name));
  for (const problem of grading.problems) out.write(`${colors.red('✗')} ${indent(problem, '  ').trimStart()}\n`);
  if (laws.length === 0 && grading.problems.length === 0 && options.law !== '') {
    throw new UsageError(
      `no ${options.core ? 'core law' : 'law'} of "${lab.name}" holds the words "${options.law}"; without words all are run`,
    );
  }
  out.write(`${summary({ ...grading, laws })}\n`);
  if (impl !== defaultImpl && exitCodeOf({ ...grading, laws }) === exit.failed) out.write(note(impl));
  return exitCodeOf({ ...grading, laws });
}

const note = (impl: string) =>
  impl.startsWith('pitfalls/')
    ? colors.dim('a pitfall is meant to fail: its header names the law that catches it\n')
    : '';

export function exitCodeOf({ laws, problems, missing }: Grading): number {
  if (problems.length > 0 || laws.some(({ state }) => state === 'failed')) return exit.failed;
  return missing.length > 0 ? exit.missingServer : exit.done;
}
