import { inspect } from 'node:util';
import { checkNumber } from './check.ts';
import { InvalidArgumentError } from './errors.ts';

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

/** A workload that has been checked. */
export interface Measured {
  readonly kind: Kind;
  readonly waitRatio: number | undefined;
  readonly targetRps: number | undefined;
  readonly latencyMs: number | undefined;
  /** Milliseconds of the latency in which it computes; undefined when the workload doesn't tell. */
  readonly computeMs: number | undefined;
}

/** @throws InvalidArgumentError for a figure that can't be, and for work that waits when nothing tells how long. */
export function checkWorkload({ kind, waitRatio, targetRps, latencyMs }: Workload): Measured {
  if (kind !== 'cpu' && kind !== 'io' && kind !== 'mixed') {
    throw new InvalidArgumentError(`kind is ${inspect(kind)}: it must be "cpu", "io" or "mixed".`);
  }
  if (waitRatio !== undefined) checkNumber('waitRatio', waitRatio, 0, 1e6);
  if (targetRps !== undefined) checkNumber('targetRps', targetRps, Number.MIN_VALUE, 1e9);
  if (latencyMs !== undefined) checkNumber('latencyMs', latencyMs, Number.MIN_VALUE, 1e9);
  if ((targetRps === undefined) !== (latencyMs === undefined)) {
    throw new InvalidArgumentError(
      `targetRps is ${targetRps}, latencyMs is ${latencyMs}: one says how many come, the other how long each stays. Give both.`,
    );
  }
  const known = kind === 'cpu' ? 0 : waitRatio;
  if (known === undefined && targetRps === undefined) {
    throw new InvalidArgumentError(
      `Work of kind ${kind} waits, and nothing says how long: measure waitRatio, or targetRps and latencyMs.`,
    );
  }
  const computeMs = known === undefined || latencyMs === undefined ? undefined : latencyMs / (1 + known);
  return { kind, waitRatio, targetRps, latencyMs, computeMs };
}
