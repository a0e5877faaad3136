import { hash } from 'node:crypto';
import { InvalidArgumentError, whole } from './errors.ts';

/** Redis' largest string, 512 MB, in bits. */
const MOST_BITS = 2 ** 32;

export interface BloomShape {
  /** m: the length of the bitmap. */
  readonly bits: number;
  /** k: how many bits an id sets. */
  readonly hashes: number;
}

/**
 * m = ⌈−n·ln p / (ln 2)²⌉ bits and k = round(m/n · ln 2) of them for each id, for `capacity` = n ids and a false-positive
 * rate of `fpp` = p once all of them are in.
 * Source: Broder and Mitzenmacher, "Network Applications of Bloom Filters: A Survey" (2004), section 2.
 * @throws InvalidArgumentError on a capacity below 1, an `fpp` outside (0, 1), or more bits than Redis can hold.
 */
export function bloomShape(capacity: number, fpp: number): BloomShape {
  whole('capacity', capacity, 1, MOST_BITS);
  if (!(fpp > 0 && fpp < 1)) throw new InvalidArgumentError(`fpp must be between 0 and 1; it is ${fpp}.`);
  const bits = Math.max(8, Math.ceil((-capacity * Math.log(fpp)) / Math.LN2 ** 2));
  if (bits > MOST_BITS) {
    throw new InvalidArgumentError(`${capacity} ids at ${fpp} take ${bits} bits, above 2^32: split them over filters.`);
  }
  return { bits, hashes: Math.max(1, Math.round((bits / capacity) * Math.LN2)) };
}

/** The false-positive rate to expect with `ids` ids in the filter: (1 − e^(−k·ids/m))^k. */
export function predictedFpp({ bits, hashes }: BloomShape, ids: number): number {
  return (1 - Math.exp((-hashes * ids) / bits)) ** hashes;
}

/** Two independent numbers below 2^48. The i-th bit of an id is (a + i·b) mod m: k hashes for the price of one. */
export interface Fingerprint {
  readonly a: number;
  readonly b: number;
}

/**
 * SHA-256 of the id under a secret. Whoever knows a plain hash can work out, at home, ids that the filter lets through.
 * Source of double hashing: Kirsch and Mitzenmacher, "Less Hashing, Same Performance" (2006).
 */
export function fingerprint(secret: string, id: string): Fingerprint {
  const digest = hash('sha256', `${secret.length}:${secret}${id}`, 'buffer');
  return { a: digest.readUIntBE(0, 6), b: digest.readUIntBE(6, 6) };
}
