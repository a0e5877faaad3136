/** A stretch of the run, in which the level moves in a straight line to `to`; before the first stage it is 0. */
export interface Stage {
  /** How long; 0 is a jump. */
  readonly seconds: number;
  /** The level at the end: users in the closed model, arrivals a second in the open one. */
  readonly to: number;
}

export const lengthOf = (stages: readonly Stage[]): number => stages.reduce((sum, { seconds }) => sum + seconds, 0);

/** The level `at` so many seconds after the start; after the last stage it is 0 again: everybody goes home. */
export function levelAt(stages: readonly Stage[], at: number): number {
  let begins = 0;
  let from = 0;
  for (const { seconds, to } of stages) {
    if (at < begins + seconds) return from + ((to - from) * (at - begins)) / seconds;
    begins += seconds;
    from = to;
  }
  return 0;
}

/** How many arrivals are due until `at`: the area below the level. */
export function arrivalsUntil(stages: readonly Stage[], at: number): number {
  let begins = 0;
  let from = 0;
  let sum = 0;
  for (const { seconds, to } of stages) {
    const spent = Math.min(Math.max(at - begins, 0), seconds);
    if (spent > 0) sum += spent * (from + ((to - from) * spent) / seconds / 2);
    begins += seconds;
    from = to;
  }
  return Math.round(sum);
}

/**
 * When arrival number `index` (from 0) is due, in seconds after the start: when the area below the level has reached
 * `index` and a half. It doesn't depend on any answer: that is the open model. Infinity when there is no such arrival.
 */
export function dueAt(stages: readonly Stage[], index: number): number {
  let begins = 0;
  let from = 0;
  let need = index + 0.5;
  for (const { seconds, to } of stages) {
    const area = (seconds * (from + to)) / 2;
    // The root of from·t + slope·t²/2 = need, in the form that divides by nothing small.
    const square = from * from + (2 * (to - from) * need) / seconds;
    if (need < area) return begins + (2 * need) / (from + Math.sqrt(Math.max(0, square)));
    need -= area;
    begins += seconds;
    from = to;
  }
  return Number.POSITIVE_INFINITY;
}

/** Which part of the load a process has: every `of`th user or arrival, beginning with number `index`. */
export interface Share {
  readonly index: number;
  readonly of: number;
}

/** How many of the first `count` are this share's. */
export const shareOf = (count: number, { index, of }: Share): number => Math.floor((count - index + of - 1) / of);
