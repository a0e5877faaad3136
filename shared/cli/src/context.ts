import { UsageError } from './errors.ts';
import { findLabs, type Lab } from './labs.ts';
import { suggestion } from './nearest.ts';

/** What a command may touch of the world around it. */
export type Context = {
  /** The repository: the folder with `labs/`. */
  readonly root: string;
  /** Where the user stands; relative paths on the command line start here. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** The command line, after `pnpm lab`. */
  readonly words: readonly string[];
  readonly out: Screen;
  readonly err: Pick<Screen, 'write'>;
};

export type Screen = {
  write(text: string): void;
  /** Columns of the terminal; 80 in a pipe. */
  readonly columns: number;
  readonly interactive: boolean;
};

export const commandNames = [
  'list',
  'run',
  'test',
  'learn',
  'progress',
  'bench',
  'soak',
  'mutate',
  'copy',
  'new',
  'web',
  'doctor',
  'help',
] as const;

export type CommandName = (typeof commandNames)[number];

export const isCommandName = (word: string): word is CommandName => commandNames.some((name) => name === word);

/** The labs that can be read; the others are reported as a warning, so that they hide nothing else. */
export function labsOf({ root, err }: Pick<Context, 'root' | 'err'>): Promise<Lab[]> {
  return findLabs(root, (problem) => err.write(`warning: ${problem.message}\n`));
}

/**
 * The lab called `name`; a path to its folder means it too.
 *
 * @throws {UsageError} suggesting the nearest name; that of a command as well with `orCommand`.
 */
export async function labNamed(context: Context, name: string, orCommand = false): Promise<Lab> {
  const labs = await labsOf(context);
  const wanted = name.replace(/\/+$/, '');
  const lab = labs.find((lab) =>
    [lab.name, `${lab.stage}/${lab.name}`, `labs/${lab.stage}/${lab.name}`].includes(wanted),
  );
  if (lab) return lab;
  const byTitle = labs.find((lab) => wanted !== '' && lab.title.toLowerCase().includes(wanted.toLowerCase()));
  const names = labs.map((lab) => lab.name);
  const near = byTitle
    ? `; did you mean "${byTitle.name}"?`
    : suggestion(wanted, orCommand ? [...names, ...commandNames] : names);
  throw new UsageError(
    `there is no lab${orCommand ? ' or command' : ''} "${name}"${near || '.'} \`pnpm lab\` lists them all`,
  );
}
