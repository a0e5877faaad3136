import type { Mutant, MutantStatus } from './mutants.ts';
import type { Share } from './share.ts';

/** The mutants that the tests noticed, of those that they could notice. */
export interface MutationScore extends Share {
  /** Those of the noticed that only a time limit noticed: many of them say that the machine was busy. */
  readonly timedOut: number;
}

/**
 * A mutant that hangs was noticed; one that no test ran was not, and counts like a survivor. What didn't compile, crashed
 * the tool, or was ignored says nothing of the tests.
 */
export function mutationScore(mutants: Iterable<Mutant>): MutationScore {
  const by = new Map<MutantStatus, number>();
  for (const { status } of mutants) by.set(status, (by.get(status) ?? 0) + 1);
  const count = (status: MutantStatus) => by.get(status) ?? 0;
  const covered = count('Killed') + count('Timeout');
  return { covered, total: covered + count('Survived') + count('NoCoverage'), timedOut: count('Timeout') };
}
