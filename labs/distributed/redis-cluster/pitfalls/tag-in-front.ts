// Flaw: a tag is looked for at the beginning of the key alone, so `cart:{7}` and `{7}` are in different slots.
// Seen in: https://github.com/elixir-nebulex/nebulex_redis_adapter/issues/64
// Caught by: keys with one tag share a slot, and the tag is what stands in the first braces, if anything does
import { crc16, hashTag as reference, SLOTS } from '../src/index.ts';

export * from '../src/index.ts';

export const hashTag = (key: string): string => (key.startsWith('{') ? reference(key) : key);

export const keySlot = (key: string): number => crc16(Buffer.from(hashTag(key))) % SLOTS;
