import colors from 'picocolors';
import { type Context, labsOf } from '../context.ts';
import { exit } from '../errors.ts';
import { type Count, type LabProgress, ProgressFile } from '../progress-file.ts';
import { pad, plural } from '../text.ts';

/** `pnpm lab progress`: one line for each lab that was begun. */
export async function progress(context: Context): Promise<number> {
  const { out, err, root } = context;
  const [labs, begun] = await Promise.all([
    labsOf(context),
    new ProgressFile(root, (sentence) => err.write(`warning: ${sentence}\n`)).read(),
  ]);
  const mine = labs.filter(({ name }) => begun.has(name));
  if (mine.length === 0) {
    out.write(`Nothing begun yet. \`pnpm lab learn ${labs[0]?.name ?? 'NAME'}\` begins.\n`);
    return exit.done;
  }
  const rows = mine.map((lab) => ({ lab, progress: begun.get(lab.name) ?? unknown }));
  const widest = Math.max(...mine.map(({ name }) => name.length));
  const widestCount = Math.max(...rows.map(({ progress }) => counts(progress).length));
  for (const { lab, progress } of rows) {
    const mark = progress.solved || progress.understood ? colors.green('✓') : colors.dim('·');
    const line = [colors.bold(pad(lab.name, widest)), pad(counts(progress), widestCount), milestone(progress)];
    out.write(` ${mark} ${line.join('  ')}\n`);
  }
  const understood = rows.filter(({ progress }) => progress.understood ?? progress.solved).length;
  const solved = rows.filter(({ progress }) => progress.solved).length;
  out.write(`\n${understood} of ${plural(labs.length, 'lab')} understood, ${solved} solved\n`);
  return exit.done;
}

const unknown: LabProgress = { started: '', core: { green: 0, total: 0 }, hardening: { green: 0, total: 0 } };

/** `core 5/9 · hardening 12/38`. */
export function counts({ core, hardening }: LabProgress): string {
  const of = ({ green, total }: Count) => `${green}/${total}`;
  if (core.total === 0) return hardening.total === 0 ? 'not graded yet' : `${of(hardening)} laws`;
  return `core ${of(core)}${hardening.total === 0 ? '' : ` · hardening ${of(hardening)}`}`;
}

/** The furthest that the learner has come. */
function milestone({ started, understood, solved }: LabProgress): string {
  if (solved) return colors.green(`solved ${day(solved)}`);
  return understood ? colors.green(`understood ${day(understood)}`) : `started ${day(started)}`;
}

/** The learner's own calendar day, in the form that sorts. */
function day(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return 'on an unknown day';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
