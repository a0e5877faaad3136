import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import colors from 'picocolors';
import { type Context, labNamed } from '../context.ts';
import { CommandError, describeError, exit, UsageError } from '../errors.ts';
import { readHints } from '../hints.ts';
import { isMissing, type Lab } from '../labs.ts';
import { suggestion } from '../nearest.ts';
import { type NodeCommand, parseScript, runNode } from '../process.ts';

/**
 * `pnpm lab NAME [EXAMPLE] [flags]`: plays the lab's demo, or the story in `examples/EXAMPLE.ts`. All flags are the
 * story's own.
 */
export async function run(context: Context, words: readonly string[]): Promise<number> {
  const [name = '', ...rest] = words;
  const lab = await labNamed(context, name, true);
  const [example] = rest;
  if (example === undefined || example.startsWith('-')) {
    const code = await play(context, lab, parseScript(lab.demo, `scripts.demo of ${lab.name}`), flagsOf(rest));
    if (code === exit.done && context.out.interactive && !rest.includes('--json')) await invite(context, lab);
    return code;
  }
  const { flags } = parseScript(lab.demo, `scripts.demo of ${lab.name}`);
  const file = `examples/${await exampleOf(lab, example)}.ts`;
  return play(context, lab, { flags, file, args: [] }, flagsOf(rest.slice(1)));
}

/** After the story, for who watched it: the way to build it. */
async function invite({ out }: Context, lab: Lab): Promise<void> {
  const { core } = await readHints(lab.dir);
  const laws = core.length > 0 ? `, in ${core.length} laws` : '';
  out.write(colors.dim(`  pnpm lab learn ${lab.name}  build it yourself${laws}\n`));
}

/** `pnpm lab bench NAME [flags]`: a process of its own, so that nothing of ours is in the figures. */
export async function bench(context: Context, name: string, flags: readonly string[]): Promise<number> {
  const lab = await labNamed(context, name);
  const script = lab.scripts['bench'];
  if (script === undefined) {
    throw new UsageError(
      `the lab "${lab.name}" has no benchmark; one is a bench.ts with "bench": "node bench.ts" in its scripts`,
    );
  }
  const command = parseScript(script, `scripts.bench of ${lab.name}`);
  return runNode({ ...command, args: [...command.args, ...flagsOf(flags)] }, lab.dir, context.env);
}

/** pnpm hands `--` on; it only ever separates. */
const flagsOf = (words: readonly string[]): readonly string[] => (words[0] === '--' ? words.slice(1) : words);

async function exampleOf(lab: Lab, wanted: string): Promise<string> {
  const names = await examplesOf(lab.dir);
  if (names.includes(wanted)) return wanted;
  if (names.length === 0)
    throw new UsageError(`the lab "${lab.name}" has no examples; \`pnpm lab ${lab.name}\` plays its demo`);
  throw new UsageError(
    `"${lab.name}" has no example "${wanted}"${suggestion(wanted, names)}; it has ${names.join(', ')}`,
  );
}

export async function examplesOf(dir: string): Promise<string[]> {
  try {
    const files = await readdir(join(dir, 'examples'));
    return files
      .filter((file) => file.endsWith('.ts'))
      .map((file) => file.slice(0, -'.ts'.length))
      .sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** The code that Node ends with when an `await` at the top level is still open and nothing is left to do. */
const unsettledAwait = 13;

/**
 * A plain story runs in this very process: it starts 40 ms sooner, a signal reaches it as it would reach `node demo.ts`,
 * and nothing can outlive us. Flags for Node need a process that starts with them, and `import.meta.main` is only true
 * in the module that a process starts with.
 */
async function play(context: Context, lab: Lab, command: NodeCommand, flags: readonly string[]): Promise<number> {
  const args = [...command.args, ...flags];
  const file = join(lab.dir, command.file);
  const needsItsOwnProcess = command.flags.length > 0 || (await sourceOf(lab, command)).includes('import.meta.main');
  if (needsItsOwnProcess) return runNode({ ...command, args }, lab.dir, context.env);

  process.chdir(lab.dir);
  process.argv = [process.execPath, file, ...args];
  const unfinished = (code: number) => {
    if (code !== unsettledAwait) return;
    context.err.write(
      `${command.file} of ${lab.name} ended in the middle: it awaits something that can never happen\n`,
    );
    process.exitCode = exit.failed;
  };
  process.once('exit', unfinished);
  try {
    await import(pathToFileURL(file).href);
  } catch (cause) {
    throw new CommandError(`${command.file} of ${lab.name} failed: ${describeError(cause, context.env)}`, { cause });
  } finally {
    process.off('exit', unfinished);
  }
  return Number(process.exitCode ?? exit.done);
}

async function sourceOf(lab: Lab, { file }: NodeCommand): Promise<string> {
  try {
    return await readFile(join(lab.dir, file), 'utf8');
  } catch (cause) {
    if (!isMissing(cause)) throw cause;
    throw new CommandError(`"${lab.name}" has no ${file}, which is what there is to play`, { cause });
  }
}
