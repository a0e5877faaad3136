import { checkNumber } from './check.ts';
import type { Cpu } from './cpu.ts';
import { checkWorkload, type Kind, type Workload } from './workload.ts';

/** How many processes, and how many threads in each. */
export interface Sizing {
  readonly processes: number;
  readonly threads: number;
}

export interface Plan extends Sizing {
  /** How many tasks may be under way at once, in all processes together. */
  readonly inFlight: number;
  /** Tasks a second at which all cores compute all the time; undefined when the workload doesn't tell how much it computes. */
  readonly maxRps: number | undefined;
  /** The reasons, a sentence each. */
  readonly why: string;
}

/**
 * The rule of thumb as it is taught: for work that computes, no more processes than physical cores; for work that waits, up
 * to five threads for each logical core; for both, a process for each physical core, with the logical cores as its threads.
 *
 * The five are the default of CPython 3.5 to 3.7's ThreadPoolExecutor (since 3.8: `min(32, cores + 4)`), whose threads stand
 * still while they wait. It knows neither the quota nor how long anything waits: `recommend` asks for both.
 */
export function ruleOfThumb(kind: Kind, { physical, logical }: Pick<Cpu, 'physical' | 'logical'>): Sizing {
  if (kind === 'cpu') return { processes: physical, threads: 1 };
  if (kind === 'io') return { processes: 1, threads: logical * 5 };
  return { processes: physical, threads: Math.max(1, Math.floor(logical / physical)) };
}

/**
 * A first figure to measure from, never the last word: `calibrate()` and a load test have that.
 *
 * Places are not threads. How many tasks may be under way follows from the waiting: N(1 + W/C) keep N cores busy (Goetz,
 * Java Concurrency in Practice, 8.2), and rate × latency is how many there are (Little's law). How many threads follows from
 * the computing alone, since one event loop waits for thousands at once.
 * @throws InvalidArgumentError for a figure that can't be, and for work that waits when nothing tells how long.
 */
export function recommend(workload: Workload, cpu: Pick<Cpu, 'physical' | 'effective'>): Plan {
  const { kind, waitRatio = 0, targetRps, latencyMs = 0, computeMs } = checkWorkload(workload);
  const cores = checkNumber('effective', cpu.effective, 1, 1e6, true);
  const physical = checkNumber('physical', cpu.physical, 1, 1e6, true);
  const maxRps = computeMs && (cores * 1_000) / computeMs;
  if (kind === 'cpu') {
    const why =
      `${cores} cores are ours, and more workers only take turns on them. Threads will do: in Node each has an event loop ` +
      'and a heap of its own, and no lock is shared. Take processes where one crash must not take the others.';
    return { processes: 1, threads: cores, inFlight: cores, maxRps, why };
  }
  const inFlight = targetRps ? littlesLaw(targetRps, latencyMs) : busyPlaces(cores, waitRatio);
  const reason = targetRps
    ? `${targetRps} a second that stay ${latencyMs} ms each are ${inFlight} at once.`
    : `${cores} × (1 + ${waitRatio}) tasks under way keep ${cores} cores busy.`;
  if (kind === 'io') {
    const asked = targetRps && computeMs ? (targetRps * computeMs) / 1_000 : 1;
    const threads = Math.min(cores, Math.max(1, whole(asked)));
    const why = `${reason} One event loop waits for all of them; what they compute takes ${threads} of ${cores} cores.`;
    return { processes: 1, threads, inFlight, maxRps, why };
  }
  const processes = Math.min(physical, cores);
  const threads = Math.max(1, Math.floor(cores / processes));
  const why = `${reason} ${processes} × ${threads} threads compute, no more than the ${cores} cores that are ours.`;
  return { processes, threads, inFlight, maxRps, why };
}

/** N(1 + W/C): how many tasks keep `cores` busy when each waits `waitRatio` times as long as it computes. */
function busyPlaces(cores: number, waitRatio: number): number {
  return whole(cores * (1 + waitRatio));
}

/** L = λW: how many are there at once when `perSecond` arrive and each stays for `latencyMs`. */
function littlesLaw(perSecond: number, latencyMs: number): number {
  return Math.max(1, whole((perSecond * latencyMs) / 1_000));
}

/** Rounded up, but not for the last digits of binary fractions: 10 × (1 + 7.1) is 81. */
export function whole(figure: number): number {
  return Math.ceil(Number(figure.toPrecision(12)));
}
