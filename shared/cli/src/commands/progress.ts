import colors from 'picocolors';
import { type Context, labsOf } from '../context.ts';
import { exit } from '../errors.ts';
import { ProgressFile } from '../progress-file.ts';
import { pad } from '../text.ts';

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
  const widest = Math.max(...mine.map(({ name }) => name.length));
  for (const lab of mine) {
    const { green, total, started, solved } = begun.get(lab.name) ?? { green: 0, total: 0, started: '' };
    const laws = total === 0 ? 'not graded yet' : `${green}/${total} laws`;
    const mark = solved ? colors.green('✓') : colors.dim('·');
    const when = `started ${day(started)}${solved ? `  ${colors.green(`solved ${day(solved)}`)}` : ''}`;
    out.write(` ${mark} ${colors.bold(pad(lab.name, widest))}  ${pad(laws, 14)}  ${when}\n`);
  }
  const solved = mine.filter(({ name }) => begun.get(name)?.solved).length;
  out.write(`\n${solved} of ${labs.length} labs solved\n`);
  return exit.done;
}

/** The learner's own calendar day, in the form that sorts. */
function day(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return 'on an unknown day';
  const two = (n: number) => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
