import { InvalidArgumentError } from './errors.ts';

/**
 * Staggered expiry (错峰过期): `baseMs` with up to `spread` of it taken off or added, at random. Whatever was stored at one
 * moment then expires over `2 · spread · baseMs` instead of at one moment.
 *
 * @param spread a share of `baseMs`, from 0 to below 1. Default 1/12: 60 minutes become 55 to 65.
 * @param random uniform in [0, 1). Default `Math.random`: a function of the key would send the same keys together again.
 * @returns whole milliseconds, at least 1.
 * @throws InvalidArgumentError
 */
export function jitterTtl(baseMs: number, spread = 1 / 12, random: () => number = Math.random): number {
  if (!(baseMs >= 1 && baseMs < Number.POSITIVE_INFINITY)) {
    throw new InvalidArgumentError(`baseMs must be a number of milliseconds from 1; it is ${baseMs}.`);
  }
  if (!(spread >= 0 && spread < 1))
    throw new InvalidArgumentError(`spread must be from 0 to below 1; it is ${spread}.`);
  return Math.max(1, Math.round(baseMs * (1 + spread * (2 * random() - 1))));
}
