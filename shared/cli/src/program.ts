import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import colors from 'picocolors';
import type { LearnOptions } from './commands/learn.ts';
import type { MutateOptions } from './commands/mutate.ts';
import type { SoakOptions } from './commands/soak.ts';
import type { WebCommandOptions } from './commands/web.ts';
import { type Context, type commandNames, isCommandName } from './context.ts';
import { exit } from './errors.ts';

const impl = 'what to grade: src, attempt, exercise, the name of a pitfall, or a file of the lab';

/** Every command but the plain list and the plain demo, with the help for those two as well. */
export async function program(context: Context): Promise<number> {
  let code: number = exit.done;
  const runs = (work: () => Promise<number>) => async () => {
    code = await work();
  };
  const root = build(context, runs);
  try {
    const [first = '-'] = context.words;
    // `pnpm lab redlock --help` asks about playing a lab.
    const words = first.startsWith('-') || isCommandName(first) ? context.words : ['run', ...context.words];
    await root.parseAsync([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 ? exit.done : exit.usage;
  }
  return code;
}

type Runs = (work: () => Promise<number>) => () => Promise<void>;

function build(context: Context, runs: Runs): Command {
  const root = new Command('pnpm lab')
    .usage('[NAME | COMMAND] [options]')
    .description('Backend concepts that you can run: play a lab, then build it yourself.')
    .argument('[name]', 'a lab to play; without one, the list of labs')
    .argument('[example]', 'one of its examples')
    .helpCommand('help [command]', 'help for one command')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => context.out.write(text),
      writeErr: (text) => context.err.write(text),
      getOutHelpWidth: () => context.out.columns,
      getErrHelpWidth: () => context.out.columns,
      getOutHasColors: () => colors.isColorSupported,
      getErrHasColors: () => colors.isColorSupported,
      outputError: (text, write) => write(text.replace(/^error: /, '')),
    })
    .configureHelp({ styleTitle: (text) => colors.bold(text), showGlobalOptions: false })
    .showHelpAfterError('(--help shows what there is)');
  examples(root, [
    ['pnpm lab', 'what there is'],
    ['pnpm lab redlock', 'play a demo'],
    ['pnpm lab redlock --hold', 'keep its servers up afterwards, to look inside'],
    ['pnpm lab learn redlock', 'build it yourself, one law at a time'],
  ]);
  root.addHelpText(
    'after',
    `\n${colors.bold('Exit codes:')}\n  0 done, 1 the lesson or the suite failed, 2 wrong usage, 3 a server is missing`,
  );

  /** A command whose name is checked against the list that the dispatcher knows. */
  const command = (
    name: (typeof commandNames)[number],
    summary: string,
    shown: readonly (readonly [string, string])[],
  ) => {
    const made = root.command(name).description(summary);
    examples(made, shown);
    return made;
  };

  command('list', 'the labs by stage', [['pnpm lab', 'the same']]).action(
    runs(async () => (await import('./commands/list.ts')).list(context)),
  );

  const run = command('run', "play a lab's demo, or one of its examples", [
    ['pnpm lab redlock', '`run` may be left out'],
    ['pnpm lab redlock --seed 7 --width 120', 'repeatable, for a wide terminal'],
    ['pnpm lab redlock --json > story.jsonl', 'one event a line'],
  ])
    .argument('<name>', 'the lab')
    .argument('[example]', 'a file of its examples/, without .ts')
    .addOption(new Option('--hold', 'keep the servers up at the end, and print how to look inside'))
    .addOption(new Option('--seed <n>', 'repeatable randomness'))
    .addOption(new Option('--slow', 'pauses between the scenes, for a talk'))
    .addOption(new Option('--json', 'one event a line'))
    .addOption(new Option('--svg <dir>', 'also draw the charts as SVG files'))
    .addOption(new Option('--width <n>', 'columns to draw for'));
  run.allowUnknownOption().allowExcessArguments();
  // The flags above are for the help: the story reads its own, as they were typed.
  run.action(
    runs(async () =>
      (await import('./commands/run.ts')).run(context, context.words.slice(context.words.indexOf('run') + 1)),
    ),
  );

  const test = command('test', "run a lab's suite and list its laws", [
    ['pnpm lab test redlock', 'the reference'],
    ['pnpm lab test redlock --impl no-token', 'a pitfall: watch it get caught'],
    ['pnpm lab test redlock "expired cannot release"', 'only the laws that hold these words'],
    ['pnpm lab test redlock --core', 'only the core laws, in teaching order'],
  ])
    .argument('<name>', 'the lab')
    .argument('[words...]', 'only the laws whose name holds these words')
    .option('--impl <path>', impl, 'src')
    .option('--core', 'only the core laws: what leads from the stub to the idea');
  test.action((name: string, law: string[], options: { impl: string; core?: true }) =>
    runs(async () => (await import('./commands/test.ts')).test(context, name, { ...options, law: law.join(' ') }))(),
  );

  const learn = command('learn', 'build a lab yourself: your copy is graded each time you save it', [
    ['pnpm lab learn redlock', 'the core laws; keys: h hint, r rerun, d diff, q quit'],
    ['pnpm lab learn redlock --all', 'the core laws, then the hardening laws'],
    ['pnpm lab learn redlock --once', 'one run, for a pipe or a script'],
    ['pnpm lab learn redlock --fresh', 'start over; the old attempt is kept'],
  ])
    .argument('<name>', 'the lab')
    .option('--all', 'go on with the hardening laws: what makes it fit for a product')
    .option('--once', 'grade once and leave: exit code 0 when every core law holds; with --all, every law')
    .option('--fresh', 'begin with a new copy of the exercise; asks first, and keeps the old one')
    .option('--yes', 'do not ask');
  learn.action((name: string, options: LearnOptions) =>
    runs(async () => (await import('./commands/learn.ts')).learn(context, name, options))(),
  );

  command('progress', 'how far you are with each lab', [['pnpm lab progress', '']]).action(
    runs(async () => (await import('./commands/progress.ts')).progress(context)),
  );

  const bench = command('bench', 'measure a lab against its peers', [['pnpm lab bench redlock', '']])
    .argument('<name>', 'the lab')
    .argument('[flags...]', 'flags of the benchmark')
    .allowUnknownOption();
  bench.action((name: string, flags: string[]) =>
    runs(async () => (await import('./commands/run.ts')).bench(context, name, flags))(),
  );

  const soak = command('soak', 'run the suite again and again, each round with another seed', [
    ['pnpm lab soak redlock --minutes 30', ''],
    ['pnpm lab soak redlock --seed 4711', 'the one round that failed, again'],
    ['pnpm lab soak redlock --pitfalls', 'does each law catch its pitfalls each time, or by luck?'],
  ])
    .argument('<name>', 'the lab')
    .option('--minutes <n>', 'how long', positive, 5)
    .option('--seed <n>', 'one round with this seed', integer)
    .option('--impl <path>', impl, 'src')
    .option('--pitfalls', 'also give each pitfall ten attempts a round to slip past its law');
  soak.action((name: string, options: SoakOptions) =>
    runs(async () => (await import('./commands/soak.ts')).soak(context, name, options))(),
  );

  const mutate = command('mutate', 'change random tokens of src/: does a law notice each?', [
    ['pnpm lab mutate redlock', '60 changes; survivors are listed in its mutants.md'],
    ['pnpm lab mutate redlock --file lease.ts --all', 'every change of one file'],
  ])
    .argument('<name>', 'the lab')
    .option('--sample <n>', 'how many changes', integer, 60)
    .option('--seed <n>', 'draws the same changes again', integer, 1)
    .option('--all', 'every change that there is')
    .option('--file <file>', 'only those of one file, relative to src/; writes no mutants.md');
  mutate.action((name: string, options: MutateOptions) =>
    runs(async () => (await import('./commands/mutate.ts')).mutate(context, name, options))(),
  );

  const copy = command('copy', "copy a lab's src/ into your project", [
    ['pnpm lab copy redlock ../my-app/src/redlock', 'and print what to install'],
  ])
    .argument('<name>', 'the lab')
    .argument('<dest>', 'the folder to copy into; made when missing')
    .option('--force', 'also into a folder that holds files, replacing those of the same name');
  copy.action((name: string, dest: string, options: { force?: true }) =>
    runs(async () => (await import('./commands/copy.ts')).copy(context, name, dest, options))(),
  );

  const make = command('new', 'begin a lab', [
    ['pnpm lab new data/connection-pool --title "Connection pool 连接池"', ''],
  ])
    .argument('<stage/name>', 'the room, and a name that no other lab has')
    .option('--title <title>', 'English, then Chinese')
    .option('--description <line>', 'one line: what the lab shows');
  make.action((path: string, options: { title?: string; description?: string }) =>
    runs(async () => (await import('./commands/new.ts')).newLab(context, path, options))(),
  );

  const web = command('web', 'the labs in the browser', [
    ['pnpm lab web', 'the map, every lab, its story as it is told; for this machine alone'],
    ['pnpm lab web --build site', 'the same pages as files, with recorded runs, for any host'],
  ])
    .argument('[names...]', 'only these labs; for --build')
    .option('--build <dir>', 'write the pages as files instead')
    .option('--port <n>', 'instead of a free one', port);
  web.action((names: string[], options: WebCommandOptions) =>
    runs(async () => (await import('./commands/web.ts')).web(context, names, options))(),
  );

  command('doctor', 'which servers would be used, what is missing and how to get it', [['pnpm lab doctor', '']]).action(
    runs(async () => (await import('./commands/doctor.ts')).doctor(context)),
  );
  return root;
}

function examples(command: Command, shown: readonly (readonly [string, string])[]): void {
  const widest = Math.max(...shown.map(([line]) => line.length));
  const lines = shown.map(([line, what]) => `  ${what ? `${line.padEnd(widest)}  ${colors.dim(what)}` : line}`);
  command.addHelpText('after', `\n${colors.bold(shown.length > 1 ? 'Examples:' : 'Example:')}\n${lines.join('\n')}`);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(Number.isFinite(value) && value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

function port(text: string): number {
  const value = integer(text);
  if (value < 0 || value > 65_535) throw new InvalidArgumentError('It must be from 0 (a free one) to 65535.');
  return value;
}

function integer(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}
