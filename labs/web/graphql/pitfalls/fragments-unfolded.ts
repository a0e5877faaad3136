// Flaw: each spread walks its fragment anew. Fragments that spread one another twice are walked 2, 4, 8, … times: a query of
// a few hundred bytes keeps the limit itself busy.
// Seen in: https://github.com/parse-community/parse-server/pull/10344
// Caught by: a query is measured in a time as long as its text; a fragment inside of itself is refused
import { Kind, type SelectionNode, type SelectionSetNode, type ValidationRule } from 'graphql';
import { LimitExceededError } from '../src/index.ts';

export * from '../src/index.ts';

export function depthLimit(max: number): ValidationRule {
  return (context) => ({
    OperationDefinition(operation) {
      const ofSet = (set: SelectionSetNode | undefined, within: readonly string[]): number =>
        Math.max(0, ...(set?.selections ?? []).map((node) => ofOne(node, within)));
      const ofOne = (node: SelectionNode, within: readonly string[]): number => {
        if (node.kind === Kind.FIELD) return 1 + ofSet(node.selectionSet, within);
        if (node.kind === Kind.INLINE_FRAGMENT) return ofSet(node.selectionSet, within);
        const name = node.name.value;
        return within.includes(name) ? Infinity : ofSet(context.getFragment(name)?.selectionSet, [...within, name]);
      };
      const found = ofSet(operation.selectionSet, []);
      if (found > max) context.reportError(new LimitExceededError('DEPTH_LIMIT', found, max, operation));
    },
  });
}
