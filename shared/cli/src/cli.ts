import { type Context, isCommandName } from './context.ts';
import { describeError, exitCodeOf } from './errors.ts';

/**
 * One call of `pnpm lab`. Never throws: an error is one sentence on stderr and an exit code. The list and a demo are
 * what people wait for, so they load nothing but themselves.
 *
 * @returns the exit code: 0 done, 1 the lesson or the suite failed, 2 wrong usage, 3 a server is missing.
 */
export async function cli(context: Context): Promise<number> {
  try {
    const { words } = context;
    const [first] = words;
    if (first === undefined) return await (await import('./commands/list.ts')).list(context);
    const asksForHelp = words.includes('--help') || words.includes('-h');
    if (!first.startsWith('-') && !isCommandName(first) && !asksForHelp) {
      return await (await import('./commands/run.ts')).run(context, words);
    }
    return await (await import('./program.ts')).program(context);
  } catch (error) {
    context.err.write(`${describeError(error, context.env)}\n`);
    return exitCodeOf(error);
  }
}
