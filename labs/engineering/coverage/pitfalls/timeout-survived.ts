// Flaw: only a failed test notices a mutant, so an endless loop that the time limit ended counts as a survivor.
// Seen in: https://github.com/aptos-labs/aptos-core/pull/20471
// Caught by: a mutant that timed out was noticed, and one that no test ran was not
import { type Mutant, type MutationScore, mutationScore as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function mutationScore(mutants: Iterable<Mutant>): MutationScore {
  const { covered, total, timedOut } = reference(mutants);
  return { covered: covered - timedOut, total, timedOut };
}
