/** Milliseconds in which a machine that is neither slow nor busy starts a process of laws, or of a demo. */
const USUAL_MS = 500;
const MOST = 6;

let patience = 1;
measurePatience(performance.now());

/**
 * How much longer than usual this process waits for what ought to happen: as much longer as it took to start, 1 to 6
 * times. A deadline is there to end what hangs; one that a slow machine misses would say nothing of the lab.
 */
export const patient = (ms: number): number => Math.round(ms * patience);

/** @param startedMs what it took to start this process */
export function measurePatience(startedMs: number): void {
  patience = Math.min(MOST, Math.max(1, startedMs / USUAL_MS));
}
