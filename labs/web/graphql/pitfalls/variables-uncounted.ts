// Flaw: the cost is counted from the text alone, where `first: $n` is no number: a billion as a variable costs what one does.
// Seen in: https://github.com/Escape-Technologies/graphql-armor/pull/762
// Caught by: what lies below a list counts as often as it has objects: by a literal, a variable, its default or the schema’s
import type { ValidationRule } from 'graphql';
import { type CostLimitOptions, costLimit as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function costLimit(max: number, { variables: _, ...options }: CostLimitOptions = {}): ValidationRule {
  return reference(max, options);
}
