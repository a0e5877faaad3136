export interface ContestOptions {
  /** Rounds in which each contestant has its turn, in changing order. Default 5. */
  readonly rounds?: number;
  /** Milliseconds of one turn. Default 500. */
  readonly turnMs?: number;
  /** Callers at once. Default 1. */
  readonly workers?: number;
}

/** One contestant's result: the median over the rounds, and in brackets the least and the most. */
export interface Standing {
  readonly name: string;
  readonly perSecond: number;
  readonly spread: readonly [number, number];
  /** Latencies of one call in milliseconds: medians over the rounds. */
  readonly p50: number;
  readonly p99: number;
  /** Operations per second of each round, in order. */
  readonly rounds: readonly number[];
}

/**
 * Measures calls side by side in one process: all contestants in every round, so that whatever else the machine does
 * meets each of them. Quote ratios (see `ratio`), not the absolute figures: they are this machine's.
 * The first turn of each contestant warms up and is not counted.
 */
export async function contest(
  contestants: Readonly<Record<string, (worker: number) => Promise<unknown>>>,
  options: ContestOptions = {},
): Promise<Standing[]> {
  const { rounds = 5, turnMs = 500, workers = 1 } = options;
  const entries = Object.entries(contestants).map(([name, call]) => ({ name, call, turns: [] as Turn[] }));
  for (const { call } of entries) await turn(call, turnMs / 2, workers);
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? entries : entries.toReversed();
    for (const { call, turns } of order) turns.push(await turn(call, turnMs, workers));
  }
  return entries.map(({ name, turns }) => {
    const perRound = turns.map(({ perSecond }) => perSecond);
    return {
      name,
      perSecond: median(perRound),
      spread: [Math.min(...perRound), Math.max(...perRound)],
      p50: median(turns.map(({ p50 }) => p50)),
      p99: median(turns.map(({ p99 }) => p99)),
      rounds: perRound,
    };
  });
}

/** How many times as many operations `a` did as `b`, round by round: what else the machine did met both in each. */
export function ratios(a: Standing, b: Standing): number[] {
  return a.rounds.map((perSecond, round) => perSecond / (b.rounds[round] ?? Number.NaN));
}

/** How many times as many operations `a` did as `b`: the median of the ratios round by round. */
export function ratio(a: Standing, b: Standing): number {
  return median(ratios(a, b));
}

/** What the rounds say: their median, and how far those between the best and the worst one lie apart. */
export interface Consensus {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  /** `1.31 ×, the middle rounds 1.12–1.40`. */
  readonly text: string;
  /** Whether the ratio is at least `floor`; undefined where the middle rounds disagree, so that nothing can be claimed. */
  reaches(floor: number): boolean | undefined;
}

/** @throws {RangeError} on fewer than three ratios: without the best and the worst nothing would be left. */
export function consensus(ratios: readonly number[]): Consensus {
  const inner = ratios.toSorted((a, b) => a - b).slice(1, -1);
  const [low, high] = [inner[0], inner.at(-1)];
  if (low === undefined || high === undefined) {
    throw new RangeError(`${ratios.length} rounds say nothing: let there be three or more`);
  }
  const middle = median(ratios);
  const figure = (times: number) => times.toFixed(times < 10 ? 2 : 0);
  return {
    median: middle,
    low,
    high,
    text: `${figure(middle)} ×, the middle rounds ${figure(low)}–${figure(high)}`,
    reaches: (floor) => (low < floor && high >= floor ? undefined : middle >= floor),
  };
}

interface Turn {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

async function turn(call: (worker: number) => Promise<unknown>, ms: number, workers: number): Promise<Turn> {
  const latencies: number[] = [];
  const start = performance.now();
  await Promise.all(
    Array.from({ length: workers }, async (_, worker) => {
      for (let now = performance.now(); now - start < ms; ) {
        await call(worker);
        const end = performance.now();
        latencies.push(end - now);
        now = end;
      }
    }),
  );
  const seconds = (performance.now() - start) / 1000;
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { perSecond: latencies.length / seconds, p50: at(0.5), p99: at(0.99) };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 ? middle : middle - 1], sorted[middle]];
  return (low + high) / 2;
}

/** The standings as a story's table shows them. */
export function standingsTable(standings: readonly Standing[]) {
  return {
    columns: ['', 'per second', 'spread', 'p50 ms', 'p99 ms'].map((label, index) =>
      index === 0 ? label : { label, align: 'right' as const },
    ),
    rows: standings.map(({ name, perSecond, spread, p50, p99 }) => [
      name,
      perSecond.toFixed(0),
      `${spread[0].toFixed(0)}–${spread[1].toFixed(0)}`,
      p50.toFixed(2),
      p99.toFixed(2),
    ]),
  };
}
