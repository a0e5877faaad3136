import { existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { createInterface } from 'node:readline/promises';
import colors from 'picocolors';
import { labNamePattern, scaffold, stages, titlePattern } from '../anatomy.ts';
import { type Context, commandNames, isCommandName } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { isMissing } from '../labs.ts';
import { suggestion } from '../nearest.ts';

export type NewOptions = { readonly title?: string; readonly description?: string };

/** `pnpm lab new STAGE/NAME`: a lab that type-checks, and whose suite waits for its first law. */
export async function newLab(context: Context, path: string, options: NewOptions): Promise<number> {
  const { root, out } = context;
  const { stage, name } = await validate(root, path);
  const title = options.title ?? (await askTitle(name));
  if (!titlePattern.test(title)) {
    throw new UsageError(
      `the title "${title}" has no Chinese part; it is English, then Chinese: --title "Redlock 红锁"`,
    );
  }
  const description = options.description ?? 'TODO: one line that says what this lab shows';
  const dir = join(root, 'labs', stage, name);
  const files = scaffold({ name, stage, title, description });
  // Written aside and renamed: a lab is there as a whole or not at all.
  const aside = join(root, 'labs', stage, `.${name}.${process.pid}`);
  try {
    for (const [file, content] of files) {
      await mkdir(dirname(join(aside, file)), { recursive: true });
      await writeFile(join(aside, file), content);
    }
    await rename(aside, dir);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
  const shown = relative(context.cwd, dir);
  out.write(`${colors.green('✓')} ${colors.bold(title)} begins in ${colors.cyan(shown)}
${[...files.keys()].map((file) => `  ${file}`).join('\n')}

Next: write the first law in ${colors.cyan(`${shown}/test/${name}.test.ts`)} and see it fail:
  pnpm lab test ${name}
Then search the folder for TODO. CONTRIBUTING.md tells the rest.
`);
  return exit.done;
}

async function validate(root: string, path: string): Promise<{ stage: string; name: string }> {
  const [stage = '', name = '', ...more] = path
    .replace(/^labs\//, '')
    .replace(/\/$/, '')
    .split('/');
  const rooms = stages.map((each) => each.name);
  if (name === '' || more.length > 0) {
    throw new UsageError(`"${path}" is not STAGE/NAME; for example: pnpm lab new data/connection-pool`);
  }
  if (!rooms.some((room) => room === stage)) {
    throw new UsageError(
      `there is no stage "${stage}"${suggestion(stage, rooms) || ';'} the stages are ${rooms.join(', ')}`,
    );
  }
  if (!labNamePattern.test(name)) {
    throw new UsageError(`"${name}" can't be a lab's name: lower case words, joined by hyphens, like connection-pool`);
  }
  if (isCommandName(name)) {
    throw new UsageError(
      `"${name}" is a command of \`pnpm lab\`, so no lab can have that name (nor ${commandNames.join(', ')})`,
    );
  }
  for (const room of await foldersOf(join(root, 'labs'))) {
    if (existsSync(join(root, 'labs', room, name))) {
      throw new UsageError(`labs/${room}/${name} exists already; a lab's name is unique across the stages`);
    }
  }
  return { stage, name };
}

async function foldersOf(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Asked for where someone can answer; else a title that says what is left to do. */
async function askTitle(name: string): Promise<string> {
  const words = name.replaceAll('-', ' ');
  const english = `${words.charAt(0).toUpperCase()}${words.slice(1)}`;
  if (!process.stdin.isTTY || !process.stdout.isTTY) return `${english} 待定标题`;
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    const chinese = (await prompt.question(`${english}, and in Chinese? `)).trim();
    return chinese === '' ? `${english} 待定标题` : `${english} ${chinese}`;
  } finally {
    prompt.close();
  }
}
