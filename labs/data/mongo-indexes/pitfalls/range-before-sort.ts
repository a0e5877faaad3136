// Flaw: an index has the fields of the filter first, in their order, and then those of the sort: it is sorted in memory.
// Seen in: https://github.com/nightscout/cgm-remote-monitor/pull/8478
// Caught by: an index has equalities first, then what sorts, then ranges
import { type Direction, indexFor as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function indexFor(...[filter, sort = {}]: Parameters<typeof reference>): Map<string, Direction> {
  const serves = reference(filter, sort);
  const fields = Object.keys(filter).filter((field) => serves.has(field));
  return new Map<string, Direction>([
    ...fields.map((field): [string, Direction] => [field, 1]),
    ...Object.entries(sort),
  ]);
}
