// Flaw: a judgement knows what was changed and not in which code, so it goes on excusing after the line is another.
// Seen in: https://github.com/mick-gsk/drift/issues/524
// Caught by: an excused mutant has a reason, and is excused until its code changes
import { type Equivalent, type Mutant, missingTests as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function missingTests(mutants: readonly Mutant[], equivalents: readonly Equivalent[] = []) {
  const blind = equivalents.map((judgement) => {
    const { path, original, replacement } = judgement;
    const alike = mutants.find((it) => it.path === path && it.original === original && it.replacement === replacement);
    return { ...judgement, code: alike?.code ?? judgement.code };
  });
  return reference(mutants, blind);
}
