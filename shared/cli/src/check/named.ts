import { UsageError } from '../errors.ts';
import type { Lab } from '../labs.ts';
import { suggestion } from '../nearest.ts';

/**
 * The labs of these names; all of them where none is named.
 *
 * @throws {UsageError} suggesting the nearest name.
 */
export function namedLabs(all: readonly Lab[], names: readonly string[]): readonly Lab[] {
  if (names.length === 0) return all;
  return [...new Set(names)].map((name) => {
    const lab = all.find((each) => each.name === name);
    if (lab) return lab;
    const known = all.map((each) => each.name);
    throw new UsageError(`there is no lab "${name}"${suggestion(name, known) || ';'} the labs are ${known.join(', ')}`);
  });
}
