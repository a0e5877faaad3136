import { InvalidArgumentError, quote } from './errors.ts';
import { hundredths, type Share } from './share.ts';

/** What each figure may not fall below, in hundredths of a percent: 9876 is 98.76 %. */
export type Floor = ReadonlyMap<string, number>;

/** What was measured, by the figure's name: `lines`, `mutants`. */
export type Measures = Readonly<Record<string, Share>>;

export interface Reading {
  readonly name: string;
  readonly floor: number | undefined;
  /** Undefined: not measured, or a share of nothing. */
  readonly now: number | undefined;
  readonly verdict: 'new' | 'risen' | 'held' | 'fallen' | 'unmeasured';
}

export interface Ratchet {
  /** No figure has fallen, and none that has a floor is missing. */
  readonly holds: boolean;
  /** From now on. Where a figure has fallen or is missing, the floor as it was. */
  readonly floor: Floor;
  readonly readings: readonly Reading[];
}

/** What a figure may be called, in the file too. */
export const NAME = /^[a-z][\w .:/-]{0,99}$/i;

/**
 * Compares what was measured with the floor, and raises the floor to it.
 * @param previous Nothing in it: the first run sets the floor.
 * @throws InvalidArgumentError for what is no share, or has a name that is none
 */
export function ratchet(previous: Floor, now: Measures): Ratchet {
  const measured = new Map<string, number>();
  for (const [name, share] of Object.entries(now)) {
    if (!NAME.test(name)) throw new InvalidArgumentError(`${quote(name)} is no name of a figure`);
    const value = hundredths(share);
    if (value !== undefined) measured.set(name, value);
  }
  const names = new Set([...previous.keys(), ...measured.keys()]);
  const readings = [...names].map((name) => read(name, previous.get(name), measured.get(name)));
  const holds = readings.every(({ verdict }) => verdict !== 'fallen' && verdict !== 'unmeasured');
  return { holds, floor: highest(holds ? [previous, measured] : [previous]), readings };
}

function read(name: string, floor: number | undefined, now: number | undefined): Reading {
  if (now === undefined) return { name, floor, now, verdict: 'unmeasured' };
  if (floor === undefined) return { name, floor, now, verdict: 'new' };
  const verdict = now === floor ? 'held' : now > floor ? 'risen' : 'fallen';
  return { name, floor, now, verdict };
}

/** Of each figure the highest. */
export function highest(floors: Iterable<Floor>): Floor {
  const all = new Map<string, number>();
  for (const floor of floors) {
    for (const [name, value] of floor) all.set(name, Math.max(value, all.get(name) ?? 0));
  }
  return all;
}
