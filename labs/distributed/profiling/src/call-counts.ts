import type { Profiler } from 'node:inspector';

export interface CallCount {
  /** Empty when the function has none. */
  readonly name: string;
  readonly url: string;
  /** Where the function begins in its script, in UTF-16 units from 0: what tells two of one name apart. */
  readonly offset: number;
  /** How often it was called: counted, not estimated. V8 counts each time that an `async` function or a generator goes on, too. */
  readonly calls: number;
}

/**
 * What precise coverage says of calls: each function is its own entry, with the count of its first range. The first entry of a
 * script is the script itself, as if it were a function.
 *
 * @param accept Which scripts count, by URL. Default: those of files.
 * @returns the most called first; what was never called isn't listed
 */
export function countCalls(
  coverage: readonly Profiler.ScriptCoverage[],
  accept: (url: string) => boolean = (url) => url.startsWith('file:'),
): CallCount[] {
  return coverage
    .filter(({ url }) => accept(url))
    .flatMap(({ url, functions }) =>
      functions.flatMap(({ functionName, ranges: [whole] }) =>
        whole && whole.count > 0 ? [{ name: functionName, url, offset: whole.startOffset, calls: whole.count }] : [],
      ),
    )
    .sort((a, b) => b.calls - a.calls);
}
