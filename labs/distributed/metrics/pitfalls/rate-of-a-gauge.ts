// Flaw: rate() on a stock: each sale is taken for a restart, and all that is left for what was sold.
// Seen in: https://github.com/samber/awesome-prometheus-alerts/pull/270
// Caught by: a stock that will be gone in time is foretold, a refill or slow sales are not taken for it
export * from '../src/index.ts';

export function runsOut(gauge: string, window: string, withinSeconds: number): string {
  return `${gauge} - rate(${gauge}[${window}]) * ${withinSeconds} <= 0`;
}
