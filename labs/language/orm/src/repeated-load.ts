/** N+1, caught in the act: one relation, loaded one by one on objects that came from one query. */
export interface RepeatedLoad {
  readonly relation: string;
  /** What would load all of them at once. */
  readonly remedy: 'selectRelated' | 'prefetch';
  readonly count: number;
  /** How many objects the query had. */
  readonly of: number;
  /** Where `load()` was called: `demo.ts:41:20`. */
  readonly at: string;
}

/** The first line of the stack outside of this folder. */
export function callSite(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  const outside = lines.find((line) => !line.includes(import.meta.dirname) && !line.includes('node:')) ?? '';
  return /(?:file:\/\/)?([^ (]+:\d+:\d+)\)?$/.exec(outside)?.[1] ?? 'an unknown place';
}

const told = new Set<string>();

/** A process warning, once for each place. */
export function warn({ relation, remedy, count, of, at }: RepeatedLoad): void {
  if (told.has(at)) return;
  told.add(at);
  const text = `${relation} was loaded ${count} times, one by one, on objects of one query (${of} rows) at ${at}. Add .${remedy}('${relation}') to the query.`;
  process.emitWarning(text, 'RepeatedLoadWarning');
}
