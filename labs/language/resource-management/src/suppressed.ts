import { inspect } from 'node:util';

/**
 * Two errors as one, so that neither is lost. Where `newer` leads to `older` already, by `cause` or as one of its
 * parts, it is enough: an exit may translate an error. Else it is what `await using` makes: a SuppressedError, whose
 * `error` is the newer and whose `suppressed` is the older one.
 */
export function chain(newer: unknown, older: unknown): unknown {
  if (newer === older || leadsTo(newer, older)) return newer;
  return new SuppressedError(newer, older, `Giving back failed, after an error: ${messageOf(newer)}`);
}

/** Nobody tells a longer story of causes, unless it makes itself up as it is read. */
const MOST_ERRORS = 10_000;

function leadsTo(from: unknown, to: unknown): boolean {
  const reached = new Set([from]);
  for (const error of reached) {
    if (reached.size > MOST_ERRORS) return false;
    // Equal primitives are no sign that one throw knew of the other.
    if (typeof error !== 'object' || error === null) continue;
    if (error === to) return true;
    for (const part of partsOf(error)) reached.add(part);
  }
  return false;
}

// Anything can be thrown, also what throws when it is looked at: neither error may be lost over that.

function partsOf(error: object): readonly unknown[] {
  try {
    const parts: unknown[] = ['cause', 'error', 'suppressed'].map((key) => Reflect.get(error, key));
    return error instanceof AggregateError ? [...parts, ...error.errors] : parts;
  } catch {
    return [];
  }
}

function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? String(thrown.message) : inspect(thrown, { depth: 0 });
  } catch {
    return 'what it threw has no text';
  }
}
