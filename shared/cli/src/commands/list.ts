import colors from 'picocolors';
import { stagesOf } from '../anatomy.ts';
import { type Context, labsOf } from '../context.ts';
import { exit } from '../errors.ts';
import { readHints } from '../hints.ts';
import type { Lab } from '../labs.ts';
import { type LabProgress, ProgressFile } from '../progress-file.ts';
import { availability } from '../servers.ts';
import { columns, cut, pad, plural } from '../text.ts';

/** `pnpm lab`: every lab by stage, one line each. */
export async function list(context: Context): Promise<number> {
  const { out, err, root } = context;
  const found = await labsOf(context);
  const rooms = stagesOf(found);
  const labs = rooms.flatMap((room) => found.filter((lab) => lab.stage === room.name));
  const [progress, atHand] = await Promise.all([
    new ProgressFile(root, (sentence) => err.write(`warning: ${sentence}\n`)).read(),
    availability(labs),
  ]);
  const width = Math.max(40, Math.min(out.columns, 140));
  const nameWidth = Math.max(0, ...labs.map((lab) => lab.name.length));
  const titleWidth = Math.min(24, Math.max(0, ...labs.map((lab) => columns(lab.title))));
  const missingOf = (lab: Lab) => lab.services.filter((service) => atHand.get(service) === false);

  out.write(`${colors.bold('Concept Labs')}  ${colors.dim(`${plural(labs.length, 'lab')}`)}\n`);
  for (const stage of rooms) {
    out.write(`\n${colors.bold(stage.title)} ${colors.dim(stage.english)}\n`);
    for (const lab of labs.filter((lab) => lab.stage === stage.name)) {
      out.write(
        `${line(lab, { nameWidth, titleWidth, width, missing: missingOf(lab), progress: progress.get(lab.name) })}\n`,
      );
    }
  }
  out.write(`\n${await footer(labs, missingOf, width)}\n`);
  return exit.done;
}

type LineOptions = {
  nameWidth: number;
  titleWidth: number;
  width: number;
  missing: readonly string[];
  progress: LabProgress | undefined;
};

function line(lab: Lab, { nameWidth, titleWidth, width, missing, progress }: LineOptions): string {
  const notes = [
    ...(progress ? [progressNote(progress)] : []),
    ...(missing.length > 0 ? [{ text: `needs ${missing.join(', ')}`, paint: colors.yellow }] : []),
  ];
  const notesWidth = notes.reduce((sum, note) => sum + columns(note.text) + 2, 0);
  const head = `  ${pad(lab.name, nameWidth)}  `;
  const room = width - columns(head) - 2 - notesWidth;
  const title = pad(cut(lab.title, Math.min(room, titleWidth)), Math.min(room, titleWidth));
  const description = cut(lab.description, room - columns(title) - 2);
  const gap = ' '.repeat(Math.max(0, room - columns(title) - (description ? columns(description) + 2 : 0)));
  const mark = missing.length === 0 ? colors.green('●') : colors.yellow('○');
  return [
    ` ${mark} ${colors.bold(pad(lab.name, nameWidth))}  `,
    title,
    description ? `  ${colors.dim(description)}` : '',
    notes.length > 0 ? gap : '',
    ...notes.map((note) => `  ${note.paint(note.text)}`),
  ].join('');
}

function progressNote({ core, hardening, understood, solved }: LabProgress): {
  text: string;
  paint: (text: string) => string;
} {
  if (solved) return { text: '✓ solved', paint: colors.green };
  if (understood) return { text: '✓ understood', paint: colors.green };
  if (core.total > 0) return { text: `core ${core.green}/${core.total}`, paint: colors.cyan };
  const text = hardening.total === 0 ? 'started' : `${hardening.green}/${hardening.total} laws`;
  return { text, paint: colors.cyan };
}

async function footer(
  labs: readonly Lab[],
  missingOf: (lab: Lab) => readonly string[],
  width: number,
): Promise<string> {
  const lab = labs.find((lab) => missingOf(lab).length === 0) ?? labs[0];
  const example = lab?.name ?? 'NAME';
  const core = lab ? (await readHints(lab.dir)).core.length : 0;
  const commands = [
    [`pnpm lab ${example}`, 'play it'],
    [
      `pnpm lab learn ${example}`,
      core > 0 ? `build it yourself, in ${core} laws` : 'build it yourself, one law at a time',
    ],
    ['pnpm lab --help', 'everything else'],
  ] as const;
  const widest = Math.max(...commands.map(([command]) => command.length));
  const missing = labs.some((lab) => missingOf(lab).length > 0);
  return [
    ...commands.map(([command, what]) => cut(`  ${pad(command, widest)}  ${what}`, width)),
    ...(missing ? ['', cut('  ○ needs a server that is not at hand: pnpm lab doctor says how to get it', width)] : []),
  ].join('\n');
}
