import { join, relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import colors from 'picocolors';
import { readPitfalls } from '../anatomy.ts';
import { type Context, labNamed } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { type Grading, grade, isGreen, type Law, type Scope } from '../grading.ts';
import { readHints } from '../hints.ts';
import { interruptible } from '../interrupt.ts';
import type { Lab } from '../labs.ts';
import { firstTask, makeAttempt, setAttemptAside } from '../learn/attempt.ts';
import { LearnSession, type SessionPorts } from '../learn/session.ts';
import { pages, terminalKeys } from '../learn/terminal.ts';
import { type Lessons, lessonsView, resultView, verdictOf } from '../learn/view.ts';
import { watchFolder } from '../learn/watch.ts';
import { readObjectives } from '../objectives.ts';
import { ProgressFile, type Run } from '../progress-file.ts';
import { referenceDiff } from '../reference-diff.ts';

export type LearnOptions = { readonly all?: true; readonly once?: true; readonly fresh?: true; readonly yes?: true };

/** Where a session shows its pages, and whose keys it takes. */
export type LearnScreen = Pick<SessionPorts, 'keys' | 'show' | 'status'>;

const terminal = ({ out }: Context): LearnScreen => ({
  keys: out.interactive ? terminalKeys(process.stdin) : undefined,
  ...pages(out),
});

const impl = 'attempt/index.ts';

/**
 * `pnpm lab learn NAME`: the learner's copy of the exercise, graded each time it is saved: by the core laws, then, when
 * asked for, by the hardening laws too.
 */
export async function learn(
  context: Context,
  name: string,
  options: LearnOptions,
  screen: LearnScreen = terminal(context),
): Promise<number> {
  const { root, out, err } = context;
  const lab = await labNamed(context, name);
  const folder = relative(context.cwd, lab.dir) || '.';
  const backup = options.fresh ? await startOver(context, lab, options) : '';
  if (backup === undefined) return exit.done;
  const made = await makeAttempt(lab);
  const progress = new ProgressFile(root, (sentence) => err.write(`warning: ${sentence}\n`));
  await progress.started(lab.name);
  const before = (await progress.read()).get(lab.name);
  const known = before ? before.core.total + before.hardening.total : 0;
  const { core } = await readHints(lab.dir);
  const notice = [
    ...(backup === '' ? [] : [`The old attempt is kept in ${backup}`]),
    ...(made
      ? [
          `The exercise is yours now, in ${colors.cyan(`${folder}/${impl}:${await firstTask(lab)}`)}`,
          'Open it in your editor. Each time you save it, it is graded here.',
          ...(core.length > 0 ? [`${core.length} core laws lead to the idea, one after the other.`] : []),
        ]
      : []),
  ].join('\n');

  const gradeAttempt = (scope: Scope, signal: AbortSignal, onLaw: (law: Law) => void) =>
    grade(lab, { impl, scope, signal, onLaw, types: true });
  const record = async (grading: Grading) => {
    const run = runOf(grading, known);
    if (run) await progress.record(lab.name, run);
  };
  const scope = options.all ? 'all' : 'core';

  if (options.once) {
    if (notice !== '') out.write(`${notice}\n\n`);
    const grading = await interruptible((signal) => gradeAttempt(scope, signal, () => {}));
    await record(grading);
    out.write(`${resultView(grading, { folder, width: out.columns, known })}\n`);
    const verdict = verdictOf(grading);
    if (verdict.kind === 'green') {
      out.write(`\n${lessonsView(await lessonsOf(lab, verdict.scope), out.columns)}\n`);
      if (verdict.scope === 'core') {
        out.write(`\n\`pnpm lab learn ${lab.name} --all\` goes on with the hardening laws.\n`);
      }
      return exit.done;
    }
    return verdict.kind === 'unjudged' && grading.missing.length > 0 ? exit.missingServer : exit.failed;
  }

  const session = new LearnSession({
    title: lab.title,
    notice,
    folder,
    width: out.columns,
    known,
    scope,
    grade: gradeAttempt,
    watch: (changed) => watchFolder(join(lab.dir, 'attempt'), changed),
    hints: () => readHints(lab.dir),
    diff: () => referenceDiff(lab.dir),
    lessons: (scope) => lessonsOf(lab, scope),
    record,
    ...screen,
    env: context.env,
  });
  const stop = new AbortController();
  const abort = () => stop.abort();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, abort);
  const code = await session.start(stop.signal);
  out.write(`\nYour attempt stays in ${folder}/attempt/; \`pnpm lab learn ${lab.name}\` goes on from there.\n`);
  return code;
}

/** What a run says about the learner's progress; undefined where it says nothing. */
function runOf(grading: Grading, known: number): Run | undefined {
  const { kind } = verdictOf(grading);
  if (kind === 'broken' || kind === 'unjudged') return undefined;
  const { laws, core, scope, complete } = grading;
  const ofCore = laws.filter((law) => law.core !== undefined && law.state === 'passed').length;
  const others = laws.filter((law) => law.core === undefined);
  const hardening = {
    green: others.filter(({ state }) => state === 'passed').length,
    total: complete ? others.length : Math.max(others.length, known - core),
  };
  return {
    core: { green: ofCore, total: core },
    ...(scope === 'all' ? { hardening } : {}),
    understood: core > 0 && ofCore === core && grading.types.length === 0,
    solved: scope === 'all' && isGreen(grading),
  };
}

/** After the core laws, only what they catch has been steered clear of. */
async function lessonsOf(lab: Lab, scope: Scope): Promise<Lessons> {
  const [objectives, diffs, pitfalls, hints] = await Promise.all([
    readObjectives(lab.dir),
    referenceDiff(lab.dir),
    readPitfalls(lab.dir),
    readHints(lab.dir),
  ]);
  const { avoided = [], ahead = [] } = Object.groupBy(pitfalls, ({ caughtBy = '' }) =>
    scope === 'all' || hints.place(caughtBy) !== undefined ? 'avoided' : 'ahead',
  );
  return { objectives, diffs, avoided, ahead };
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
