import { inspect } from 'node:util';
import type { Cpu } from './cpu.ts';
import { checkNumber, InvalidArgumentError } from './errors.ts';

/** It computes, it waits (for a network, a disk, a database), or it does both. */
export type Kind = 'cpu' | 'io' | 'mixed';

export interface Workload {
  readonly kind: Kind;
  /** Time waited for each time computed, W/C: 19 when 5 of 100 ms compute. Of use for `io` and `mixed`. */
  readonly waitRatio?: number;
  /** Tasks that arrive in a second. With `latencyMs`. */
  readonly targetRps?: number;
  /** Milliseconds that a task stays, waiting included. With `targetRps`. */
  readonly latencyMs?: number;
}

/** How many processes, and how many threads in each. */
export interface Sizing {
  readonly processes: number;
  readonly threads: number;
}

export interface Plan extends Sizing {
  /** How many tasks may be under way at once, in all processes together. */
  readonly inFlight: number;
  /** The reasons, a sentence each. */
  readonly why: string;
}

/**
 * The rule of thumb as it is taught: for work that computes, no more processes than physical cores; for work that waits, up
 * to five threads for each logical core; for both, a process for each physical core, with the logical cores as its threads.
 * The five are the default of CPython 3.5 to 3.7's ThreadPoolExecutor (since 3.8: `min(32, cores + 4)`), whose threads stand
 * still while they wait. It knows neither the quota nor how long anything waits: `recommend` asks for both.
 */
export function ruleOfThumb(kind: Kind, { physical, logical }: Pick<Cpu, 'physical' | 'logical'>): Sizing {
  if (kind === 'cpu') return { processes: physical, threads: 1 };
  if (kind === 'io') return { processes: 1, threads: logical * 5 };
  return { processes: physical, threads: Math.max(1, Math.floor(logical / physical)) };
}

/**
 * A first figure to measure from; a load test has the last word. Places are not threads. How many tasks may be under way follows from the waiting: N(1 + W/C) keep N cores busy (Goetz,
 * Java Concurrency in Practice, 8.2), and rate × latency is how many there are (Little's law). How many threads follows from
 * the computing alone, since one event loop waits for thousands at once.
 * @throws InvalidArgumentError for a figure that can't be, and for work that waits when nothing tells how long.
 */
export function recommend(workload: Workload, cpu: Pick<Cpu, 'physical' | 'effective'>): Plan {
  checkWorkload(workload);
  const { kind, waitRatio, targetRps, latencyMs = 0 } = workload;
  const cores = checkNumber('effective', cpu.effective, 1, 1e6, true);
  const physical = checkNumber('physical', cpu.physical, 1, 1e6, true);
  if (kind === 'cpu') {
    const why = `${cores} cores are ours, and more workers only take turns on them. In Node threads share no lock: they will do.`;
    return { processes: 1, threads: cores, inFlight: cores, why };
  }
  const share = 1 + (waitRatio ?? Number.POSITIVE_INFINITY);
  const [inFlight, reason] = targetRps
    ? [Math.max(1, whole((targetRps * latencyMs) / 1_000)), `${targetRps} a second × ${latencyMs} ms are there at once`]
    : [whole(cores * share), `${cores} × (1 + ${waitRatio}) keep ${cores} cores busy`];
  const processes = kind === 'io' ? 1 : Math.min(physical, cores);
  const computing = kind === 'io' ? Math.min(cores, whole(inFlight / share)) : Math.floor(cores / processes);
  const threads = Math.max(1, computing);
  const why = `${reason}, and ${processes} × ${threads} threads compute, on ${cores} cores: each of them waits for any number.`;
  return { processes, threads, inFlight, why };
}

/** Rounded up, but not for the last digits of binary fractions: 10 × (1 + 7.1) is 81. */
export function whole(figure: number): number {
  return Math.ceil(Number(figure.toPrecision(12)));
}

/** @throws InvalidArgumentError for a figure that can't be, and for work that waits when nothing tells how long. */
export function checkWorkload({ kind, waitRatio, targetRps, latencyMs }: Workload): void {
  if (kind !== 'cpu' && kind !== 'io' && kind !== 'mixed') {
    throw new InvalidArgumentError(`kind is ${inspect(kind)}: it must be "cpu", "io" or "mixed".`);
  }
  if (waitRatio !== undefined) checkNumber('waitRatio', waitRatio, 0, 1e6);
  if (targetRps !== undefined) checkNumber('targetRps', targetRps, Number.MIN_VALUE, 1e9);
  if (latencyMs !== undefined) checkNumber('latencyMs', latencyMs, Number.MIN_VALUE, 1e9);
  if ((targetRps === undefined) !== (latencyMs === undefined)) {
    throw new InvalidArgumentError(`targetRps is ${targetRps}, latencyMs is ${latencyMs}: give both.`);
  }
  if (kind !== 'cpu' && waitRatio === undefined && targetRps === undefined) {
    throw new InvalidArgumentError(
      `How long does it wait? Measure waitRatio, or targetRps and latencyMs, for "${kind}".`,
    );
  }
}
