// Flaw: a spread has no selections of its own, so the measure ends there: whatever lies in a fragment is free.
// Seen in: https://github.com/JSONbored/metagraphed/issues/1402
// Caught by: a query is as deep as its longest branch, and a fragment is as deep as its text would be
import type { ValidationRule } from 'graphql';
import { depthLimit as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function depthLimit(max: number): ValidationRule {
  return (context) => reference(max)(Object.create(context, { getFragment: { value: () => undefined } }));
}
