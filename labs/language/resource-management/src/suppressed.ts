import { inspect } from 'node:util';

/**
 * Two errors as one, so that neither is lost. Where `newer` leads to `older` already, by `cause` or as one of its
 * parts, it is enough: an exit may translate an error. Else it is what `await using` makes: a SuppressedError, whose
 * `error` is the newer and whose `suppressed` is the older one.
 */
export function chain(newer: unknown, older: unknown): unknown {
  if (newer === older || leadsTo(newer, older)) return newer;
  const what = newer instanceof Error ? newer.message : inspect(newer, { depth: 0 });
  return new SuppressedError(newer, older, `Giving back failed, after an error: ${what}`);
}

function leadsTo(from: unknown, to: unknown): boolean {
  const reached = new Set([from]);
  for (const error of reached) {
    // Equal primitives are no sign that one throw knew of the other.
    if (typeof error !== 'object' || error === null) continue;
    if (error === to) return true;
    for (const key of ['cause', 'error', 'suppressed']) reached.add(Reflect.get(error, key));
    if (error instanceof AggregateError) for (const part of error.errors) reached.add(part);
  }
  return false;
}
