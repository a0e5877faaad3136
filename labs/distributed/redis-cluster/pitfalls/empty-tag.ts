// Flaw: after an empty pair of braces it looks on for another: `foo{}{bar}` is hashed by what Redis does not.
// Seen in: https://github.com/redis/ioredis/pull/2172
// Caught by: keys with one tag share a slot, and the tag is what stands in the first braces, if anything does
import { crc16, SLOTS } from '../src/index.ts';

export * from '../src/index.ts';

export const hashTag = (key: string): string => /\{([^}]+)\}/.exec(key)?.[1] ?? key;

export const keySlot = (key: string): number => crc16(Buffer.from(hashTag(key))) % SLOTS;
