/** Milliseconds in which a process of laws, or of a demo, starts on a usual machine, and on one that is no longer usual. */
const USUAL_MS = 500;
const SLOW_MS = 1_000;
const MOST = 6;

let patience = 1;
measurePatience(performance.now());

/**
 * How much longer than usual this process waits for what ought to happen: where it was slow to start as much longer as
 * that took, at most 6 times. A deadline is there to end what hangs; one that a slow machine misses says nothing of the lab.
 */
export const patient = (ms: number): number => Math.round(ms * patience);

/** @param startedMs what it took to start this process */
export function measurePatience(startedMs: number): void {
  patience = startedMs < SLOW_MS ? 1 : Math.min(MOST, startedMs / USUAL_MS);
}
