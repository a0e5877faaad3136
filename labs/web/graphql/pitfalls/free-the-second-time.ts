// Flaw: the set of visited fragments, there against cycles, is never left: a second spread of the same fragment is free.
// Seen in: https://github.com/parse-community/parse-server/pull/10130
// Caught by: a query is as deep as its longest branch, and a fragment is as deep as its text would be
import { Kind, type SelectionNode, type SelectionSetNode, type ValidationRule } from 'graphql';
import { LimitExceededError } from '../src/index.ts';

export * from '../src/index.ts';

export function depthLimit(max: number): ValidationRule {
  return (context) => ({
    OperationDefinition(operation) {
      const visited = new Set<string>();
      const ofSet = (set: SelectionSetNode | undefined): number => Math.max(0, ...(set?.selections ?? []).map(ofOne));
      const ofOne = (node: SelectionNode): number => {
        if (node.kind === Kind.FIELD) return 1 + ofSet(node.selectionSet);
        if (node.kind === Kind.INLINE_FRAGMENT) return ofSet(node.selectionSet);
        if (visited.has(node.name.value)) return 0;
        visited.add(node.name.value);
        return ofSet(context.getFragment(node.name.value)?.selectionSet);
      };
      const found = ofSet(operation.selectionSet);
      if (found > max) context.reportError(new LimitExceededError('DEPTH_LIMIT', found, max, operation));
    },
  });
}
