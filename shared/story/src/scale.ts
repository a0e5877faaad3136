/** From values to places on an axis. */

export interface Scale {
  readonly min: number;
  readonly max: number;
  /** 0 at min, 1 at max, in between and beyond in proportion; undefined where the axis has no such place. */
  at(value: number): number | undefined;
  /** Round values to label, at most about `wanted`, inside [min, max]. */
  ticks(wanted: number): number[];
}

export interface Domain {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly scale?: 'linear' | 'log' | undefined;
  /** Widen the axis to round values for about so many ticks: the outermost stand at its ends. */
  readonly nice?: number;
}

const TINY = 1e-300;

/** A scale for these values; without any value the axis runs from 0 to 1. */
export function scaleFor(values: readonly number[], domain: Domain = {}): Scale {
  const log = domain.scale === 'log';
  // Below 1e-300 numbers lose their digits and an axis its steps: that is zero for everyone.
  const usable = values.map((v) => (Math.abs(v) < TINY ? 0 : v)).filter((v) => Number.isFinite(v) && (!log || v > 0));
  let lo = fold(usable, Math.min) ?? (log ? 1 : 0);
  let hi = fold(usable, Math.max) ?? (log ? 10 : 1);
  if (domain.min !== undefined && usableEnd(domain.min, log)) lo = domain.min;
  // Zero is part of the truth about most quantities: leave it out only when the values are far away from it.
  else if (!log && lo > 0 && lo < hi * 0.6) lo = 0;
  if (domain.max !== undefined && usableEnd(domain.max, log)) hi = domain.max;
  if (lo > hi) [lo, hi] = [hi, lo];
  // Closer than that, there are no figures left to tell them apart.
  if (Math.abs(hi / 2 - lo / 2) <= 1e-12 * Math.max(Math.abs(lo), Math.abs(hi))) {
    if (log) [lo, hi] = [lo / 10, Math.min(hi * 10, Number.MAX_VALUE)];
    else if (lo === 0) hi = 1;
    else [lo, hi] = lo > 0 ? [0, hi] : [lo, 0];
  }
  return log ? logScale(lo, hi, domain) : linearScale(lo, hi, domain);
}

function usableEnd(end: number, log: boolean): boolean {
  return log ? end >= TINY : end === 0 || Math.abs(end) >= TINY;
}

function fold(values: readonly number[], pick: (a: number, b: number) => number): number | undefined {
  return values.length === 0 ? undefined : values.reduce((a, b) => pick(a, b));
}

function linearScale(lo: number, hi: number, domain: Domain): Scale {
  let [min, max] = [lo, hi];
  if (domain.nice !== undefined) {
    const step = roundStep(min, max, domain.nice);
    const [down, up] = [tidy(Math.floor(min / step) * step), tidy(Math.ceil(max / step) * step)];
    if (domain.min === undefined && down <= lo && down > -Infinity) min = down;
    if (domain.max === undefined && up >= hi && up < Infinity) max = up;
  }
  // Dividing first keeps ±1e308 from overflowing to Infinity.
  const size = Math.max(Math.abs(min), Math.abs(max));
  const span = max / size - min / size;
  return {
    min,
    max,
    at(value) {
      const place = (value / size - min / size) / span;
      return Number.isFinite(place) ? place : undefined;
    },
    ticks(wanted) {
      const step = roundStep(min, max, wanted);
      const first = Math.ceil(min / step - 1e-9);
      const last = Math.floor(max / step + 1e-9);
      const count = last - first + 1;
      if (!Number.isFinite(step) || !(count > 0) || count > 100) return [min, max];
      return Array.from({ length: count }, (_, i) => tidy((first + i) * step));
    },
  };
}

function logScale(lo: number, hi: number, domain: Domain): Scale {
  let [a, b] = [Math.log10(lo), Math.log10(hi)];
  if (domain.nice !== undefined && domain.min === undefined) a = Math.floor(a + 1e-9);
  if (domain.nice !== undefined && domain.max === undefined) b = Math.min(308, Math.ceil(b - 1e-9));
  const [low, high] = a === b ? [a, a + 1] : [a, b];
  return {
    min: 10 ** low,
    max: 10 ** high,
    at: (value) => (value >= TINY && Number.isFinite(value) ? (Math.log10(value) - low) / (high - low) : undefined),
    ticks(wanted) {
      const decades = Math.floor(high + 1e-9) - Math.ceil(low - 1e-9) + 1;
      if (decades < 1) return [10 ** low, 10 ** high];
      const every = Math.max(1, Math.ceil(decades / Math.max(2, wanted)));
      const first = Math.ceil(low - 1e-9);
      return Array.from({ length: Math.ceil(decades / every) }, (_, i) => 10 ** (first + i * every));
    },
  };
}

/** The step out of 1, 2, 5 × 10ⁿ that gives about `wanted` steps. */
function roundStep(min: number, max: number, wanted: number): number {
  const raw = max / Math.max(1, wanted) - min / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const lead = raw / power;
  return (lead <= 1.0001 ? 1 : lead <= 2.0001 ? 2 : lead <= 5.0001 ? 5 : 10) * power;
}

/** 0.30000000000000004 → 0.3 */
function tidy(value: number): number {
  return Number(value.toPrecision(15));
}
