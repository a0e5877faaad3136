import type { Story, TellOptions } from './story.ts';

/**
 * Tells a story: runs the body with a narrator, shows what it says, and stops the story's servers at the end, whatever
 * happens. Never rejects. Reads --json, --slow, --seed N, --hold, --svg DIR, --width N, --color, --no-color and --help
 * from the command line.
 *
 * Exit codes: 0 all verdicts hold · 1 one does not, none was given, or the body threw · 2 a wrong flag · the `exitCode`
 * of an error that has one (a missing server: 3) · 130 after Ctrl-C · 143 after SIGTERM · 141 when nobody reads any more.
 *
 * A demo ends with its story: what still holds the process open two seconds later is named, and the process ended.
 */
export async function tell(options: TellOptions, body: (story: Story) => Promise<void>): Promise<void> {
  // Loaded here, not above: importing the package costs a demo next to nothing.
  const { parseFlags } = await import('./flags.ts');
  const parsed = parseFlags(process.argv.slice(2));
  if (parsed.kind === 'help') {
    process.stdout.write(`${options.title}\n\n${parsed.text}\n`);
    return;
  }
  if (parsed.kind === 'wrong') {
    process.stderr.write(`${parsed.message}\n`);
    process.exitCode = 2;
    return;
  }
  const { run } = await import('./run.ts');
  await run(options, parsed.flags, body);
}
