// Flaw: one refresh at a time within a tab, but not among tabs: two that refresh at once log the user out of both.
// Seen in: https://github.com/opendefender/OpenRisk/issues/700
// Caught by: one refresh at a time: a tab’s calls share one, and another tab’s begins when it has ended
export * from '../src/index.ts';

export function singleFlight<T>(refresh: () => Promise<T>): () => Promise<T> {
  let flight: Promise<T> | undefined;
  return () => {
    flight ??= refresh().finally(() => {
      flight = undefined;
    });
    return flight;
  };
}
