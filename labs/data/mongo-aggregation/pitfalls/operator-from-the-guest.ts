// Flaw: a value from a request stands in the filter as it came, so `{ "$ne": null }` is an operator.
// Seen in: https://github.com/steedos/steedos-platform/issues/1245
// Caught by: a value or a name from outside is compared, never run
import { fieldName } from '../src/outside.ts';

export * from '../src/index.ts';

export function equals(conditions: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(conditions).map(([name, is]) => [fieldName(name), is]));
}
