import { type CanaryOptions, canary, type RolloutState, StateConflictError, type StateStore } from '#lab';

/** A store in memory, and every state that it was given. */
export function newStore() {
  const states: RolloutState[] = [];
  const store: StateStore = {
    load: async () => ({ revision: states.length, state: structuredClone(states.at(-1)) }),
    save: async (state, revision) => {
      if (revision !== states.length) throw new StateConflictError('late');
      return states.push(structuredClone(state));
    },
  };
  return { store, states };
}

/** A shop in memory: each look finds `perLook` more requests, of which the given share has failed. */
export function newTraffic(shares: { canary: number; stable: number }, perLook: number, next: () => number) {
  const counts = { canary: { requests: 0, errors: 0 }, stable: { requests: 0, errors: 0 } };
  const weights: number[] = [];
  const serve = (count: { requests: number; errors: number }, requests: number, share: number) => {
    for (let n = 0; n < requests; n++) if (next() < share) count.errors++;
    count.requests += requests;
  };
  return {
    weights,
    counts,
    setWeight: async (percent: number): Promise<void> => {
      weights.push(percent);
    },
    measure: async () => {
      const part = (weights.at(-1) ?? 0) / 100;
      serve(counts.canary, Math.round(perLook * part), shares.canary);
      serve(counts.stable, Math.round(perLook * (1 - part)), shares.stable);
      return structuredClone(counts);
    },
  };
}
export const QUICK = { steps: [5, 25, 100], intervalMs: 1, stepTimeoutMs: 3_000, minRequests: 50 };
export const rollOut = (traffic: Pick<CanaryOptions, 'setWeight' | 'measure'>, options: Partial<CanaryOptions> = {}) =>
  canary({ release: 'v2', store: newStore().store, ...QUICK, ...traffic, ...options });
