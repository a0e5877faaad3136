import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Described {
  readonly name: string;
  readonly message: string;
  readonly frames: readonly string[];
}

const FRAMES = 4;

/** What went wrong, for people: with its causes, and with the stack frames of the project's own files. */
export function describe(error: unknown): Described {
  if (!(error instanceof Error)) return { name: 'Error', message: `thrown: ${String(error)}`, frames: [] };
  return {
    name: error.name,
    message: [error.message || '(no message)', ...causes(error)].join('\n'),
    frames: exitCodeOf(error) === undefined ? frames(error) : [],
  };
}

/** The exit code that an error asks for, as a missing server does; such an error explains itself. */
export function exitCodeOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('exitCode' in error)) return undefined;
  const { exitCode } = error;
  return typeof exitCode === 'number' && Number.isInteger(exitCode) && exitCode > 0 && exitCode < 126
    ? exitCode
    : undefined;
}

function causes(error: Error): string[] {
  if (exitCodeOf(error) !== undefined) return [];
  const inner = error instanceof AggregateError ? error.errors.slice(0, 5) : [];
  const cause = error.cause instanceof Error && !error.message.includes(error.cause.message) ? [error.cause] : [];
  return [...inner.map((e) => `- ${named(e)}`), ...cause.map((e) => `because: ${named(e)}`)];
}

function named(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function frames(error: Error): string[] {
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line) && !/node:|node_modules|[\\/]shared[\\/]story[\\/]src[\\/]/.test(line))
    .slice(0, FRAMES)
    .map((line) =>
      line
        .trim()
        .replace(/^at /, '')
        .replace(/file:\/\/[^\s)]*?(?=:\d+:\d+)/, (url) => relative(process.cwd(), fileURLToPath(url))),
    );
}
