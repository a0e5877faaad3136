import { z } from 'zod';

export interface WritingOptions {
  /** In UTF-16 units, as JavaScript counts. Default 0. */
  readonly min?: number;
  readonly max: number;
}

/** Text that Postgres can store, without control characters but tab and line ends: U+0000 it refuses, and half a surrogate pair is changed on its way. The contract says so too. */
export const writing = ({ min = 0, max }: WritingOptions): z.ZodString =>
  z
    .string()
    .min(min)
    .max(max)
    .regex(/^(?:[\t\n\r]|[^\p{Cc}\p{Cs}])*$/u, 'has a control character or half a surrogate pair in it');

/** A number in a query: digits and nothing else, where `Number` takes `0x10`, `1e3` and the empty text too. */
export const wholeNumber = ({ min = 0, max = 2_147_483_647 }: { readonly min?: number; readonly max?: number } = {}) =>
  z.preprocess(
    (given) => (typeof given === 'string' && /^(?:0|-?[1-9][0-9]*)$/.test(given) ? Number(given) : given),
    z.int().min(min).max(max),
  );
