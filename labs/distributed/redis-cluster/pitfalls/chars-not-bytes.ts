// Flaw: the checksum of UTF-16 code units, not of the bytes that Redis hashes: right for ASCII alone.
// Seen in: https://github.com/joaojeronimo/node_redis_cluster/issues/9
// Caught by: a key has the slot that every other client gives it: CRC16 of its bytes, mod 16384
import { crc16, hashTag, SLOTS } from '../src/index.ts';

export * from '../src/index.ts';

export const keySlot = (key: string): number =>
  crc16(Uint8Array.from(hashTag(key), (char) => char.charCodeAt(0))) % SLOTS;
