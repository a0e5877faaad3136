// Flaw: where the rollout stands is in the controller's memory, so the next controller begins anew, with a bad release too.
// Seen in: https://github.com/arkmq-org/arkmq-org-broker-operator/issues/121
// Caught by: a rollout goes on where it stood, and a release that was rolled back stays so
import { type CanaryOptions, canary as rollOut } from '../src/canary.ts';
import type { RolloutState } from '../src/store.ts';

export * from '../src/index.ts';

export function canary(options: CanaryOptions) {
  let state: RolloutState | undefined;
  const store = {
    load: async () => ({ revision: 0, state }),
    save: async (next: RolloutState, revision: number) => {
      state = next;
      return revision + 1;
    },
  };
  return rollOut({ ...options, store });
}
