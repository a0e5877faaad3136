import { join, relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import colors from 'picocolors';
import { readPitfalls } from '../anatomy.ts';
import { type Context, labNamed } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { type Grading, grade, isGreen, type Law } from '../grading.ts';
import { readHints } from '../hints.ts';
import { interruptible } from '../interrupt.ts';
import type { Lab } from '../labs.ts';
import { firstTask, makeAttempt, setAttemptAside } from '../learn/attempt.ts';
import { LearnSession } from '../learn/session.ts';
import { pages, terminalKeys } from '../learn/terminal.ts';
import { greenView, resultView, verdictOf } from '../learn/view.ts';
import { watchFolder } from '../learn/watch.ts';
import { ProgressFile } from '../progress-file.ts';
import { referenceDiff } from '../reference-diff.ts';

export type LearnOptions = { readonly once?: true; readonly fresh?: true; readonly yes?: true };

const impl = 'attempt/index.ts';

/** `pnpm lab learn NAME`: the learner's copy of the exercise, graded each time it is saved. */
export async function learn(context: Context, name: string, options: LearnOptions): Promise<number> {
  const { root, out, err } = context;
  const lab = await labNamed(context, name);
  const folder = relative(context.cwd, lab.dir) || '.';
  const backup = options.fresh ? await startOver(context, lab, options) : '';
  if (backup === undefined) return exit.done;
  const made = await makeAttempt(lab);
  const progress = new ProgressFile(root, (sentence) => err.write(`warning: ${sentence}\n`));
  await progress.started(lab.name);
  const known = (await progress.read()).get(lab.name)?.total ?? 0;
  const notice = [
    ...(backup === '' ? [] : [`The old attempt is kept in ${backup}`]),
    ...(made
      ? [
          `The exercise is yours now, in ${colors.cyan(`${folder}/${impl}:${await firstTask(lab)}`)}`,
          'Open it in your editor. Each time you save it, it is graded here.',
        ]
      : []),
  ].join('\n');

  const gradeAttempt = (signal: AbortSignal, onLaw: (law: Law) => void) =>
    grade(lab, { impl, signal, onLaw, types: true });
  const record = async (grading: Grading) => {
    if (verdictOf(grading).kind === 'broken' || verdictOf(grading).kind === 'unjudged') return;
    const green = grading.laws.filter(({ state }) => state === 'passed').length;
    const total = grading.complete ? grading.laws.length : Math.max(grading.laws.length, known);
    await progress.record(lab.name, { green, total, solved: isGreen(grading) });
  };

  if (options.once) {
    if (notice !== '') out.write(`${notice}\n\n`);
    const grading = await interruptible((signal) => gradeAttempt(signal, () => {}));
    await record(grading);
    out.write(`${resultView(grading, { folder, width: out.columns, known })}\n`);
    const { kind } = verdictOf(grading);
    if (kind === 'green') {
      const [diffs, pitfalls] = await Promise.all([referenceDiff(lab.dir), readPitfalls(lab.dir)]);
      out.write(`\n${greenView(diffs, pitfalls, out.columns)}\n`);
      return exit.done;
    }
    return kind === 'unjudged' && grading.missing.length > 0 ? exit.missingServer : exit.failed;
  }

  const session = new LearnSession({
    title: lab.title,
    notice,
    folder,
    width: out.columns,
    known,
    grade: gradeAttempt,
    watch: (changed) => watchFolder(join(lab.dir, 'attempt'), changed),
    keys: out.interactive ? terminalKeys(process.stdin) : undefined,
    hints: () => readHints(lab.dir),
    diff: () => referenceDiff(lab.dir),
    pitfalls: () => readPitfalls(lab.dir),
    record,
    ...pages(out),
    env: context.env,
  });
  const stop = new AbortController();
  const abort = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, abort);
  const code = await session.start(stop.signal);
  out.write(`\nYour attempt stays in ${folder}/attempt/; \`pnpm lab learn ${lab.name}\` goes on from there.\n`);
  return code;
}

/** @returns where the old attempt is kept, '' where there was none, undefined where the learner thinks better of it. */
async function startOver(context: Context, lab: Lab, { yes }: LearnOptions): Promise<string | undefined> {
  if (!yes) {
    if (!process.stdin.isTTY) {
      throw new UsageError('--fresh asks before it sets your attempt aside; without a terminal, add --yes');
    }
    const prompt = createInterface({ input: process.stdin, output: process.stdout });
    const answer = await prompt.question(`Set your attempt at ${lab.title} aside and begin anew? (y/N) `);
    prompt.close();
    if (!/^y(es)?$/i.test(answer.trim())) return undefined;
  }
  return (await setAttemptAside(lab, context.root)) ?? '';
}
