import { isRecord } from './labs.ts';

/** The exit codes of every command. */
export const exit = { done: 0, failed: 1, usage: 2, missingServer: 3, interrupted: 130 } as const;

/** The command line asks for something that does not exist or makes no sense. The message holds the remedy. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly exitCode = exit.usage;
}

/** A command could not do its work, for a reason outside the command line. The message holds the remedy. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode = exit.failed;
}

/** The exit code that an error asks for by its `exitCode`; 1 for any other. */
export const exitCodeOf = (error: unknown): number =>
  isRecord(error) && typeof error['exitCode'] === 'number' ? error['exitCode'] : exit.failed;

/** Errors that nobody threw on purpose: their sentence alone does not say where they come from. */
const unplanned = new Set(['Error', 'TypeError', 'ReferenceError', 'RangeError', 'SyntaxError', 'AggregateError']);

/** What the user sees of an error: its sentence; the stack too where `LABS_DEBUG` is set. */
export function describeError(error: unknown, env: NodeJS.ProcessEnv): string {
  if (!(error instanceof Error)) return String(error);
  if (env['LABS_DEBUG']) return error.stack ?? error.message;
  return unplanned.has(error.name) ? `${error.message} (LABS_DEBUG=1 shows where)` : error.message;
}
