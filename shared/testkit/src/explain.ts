import { isAbsolute, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { SerializedError } from 'vitest';

/**
 * A failure as a learner reads it: what was claimed, the difference, the evidence, the one line of code to look at.
 * Never a wall of stack.
 */
export function explain(error: SerializedError, root: string): string {
  // What the law found comes first; that something could not be closed behind it says less.
  if (error.name === 'SuppressedError' && isError(error['suppressed'])) {
    const closing = isError(error['error']) ? [`and at its end: ${explain(error['error'], root)}`] : [];
    return [explain(error['suppressed'], root), ...closing].join('\n');
  }
  const timeout = /^Test timed out in (\d+)ms/.exec(error.message);
  const lines = [timeout ? `hangs: not done after ${timeout[1]} ms` : headline(error)];
  if (typeof error['diff'] === 'string' && !repeats(error['diff'], error.message)) lines.push(error['diff']);
  if (typeof error['evidence'] === 'string') lines.push(error['evidence']);
  for (let cause = error.cause, depth = 0; cause && depth < 3; cause = cause.cause, depth += 1) {
    lines.push(`caused by ${headline(cause)}`);
  }
  const at = place(error, root);
  if (at) lines.push(`at ${at}`);
  return stripVTControlCharacters(lines.join('\n'));
}

const isError = (value: unknown): value is SerializedError =>
  typeof value === 'object' && value !== null && 'message' in value;

function headline({ name, message }: SerializedError): string {
  const text = String(message);
  // The constraint is a type of expectTypeOf's own, a screen long; what matters stands below it.
  if (name === 'TypeCheckError') {
    return text.replace(/does not satisfy the constraint '.*'\.$/m, 'is not the type that the law claims:');
  }
  return !name || name === 'Error' || name === 'AssertionError' ? text : `${name}: ${text}`;
}

/** A difference of one line repeats the message, unless that was cut short (`[ 'a', …(3) ]`) or names the wanted error alone. */
const repeats = (diff: string, message: string): boolean =>
  changes(diff) <= 2 && !/…(\(\d+\)|')|^expected error to be instance of /.test(message);

function changes(diff: string): number {
  return stripVTControlCharacters(diff)
    .split('\n')
    .filter((line) => /^[+-] (?! *(Expected|Received)$)/.test(line)).length;
}

function place(error: SerializedError, root: string): string | undefined {
  const frames = (error.stacks ?? [])
    .map(({ file, line }) => ({ path: relative(root, file), line }))
    .filter(({ path }) => !path.includes('node_modules'));
  const own = frames.find(({ path }) => !path.startsWith('..') && !isAbsolute(path)) ?? frames[0];
  return own && `${own.path}:${own.line}`;
}
