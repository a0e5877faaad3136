import { inspect } from 'node:util';
import { InvalidArgumentError } from './errors.ts';

/** The key space of a cluster: every key is in one of so many slots, and every slot is served by one primary. */
export const SLOTS = 16_384;

/**
 * CRC16/XMODEM: polynomial 0x1021, start 0, no reflection, no final XOR; of "123456789" it is 0x31C3.
 * Redis Cluster specification, appendix A.
 */
export function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1) & 0xffff;
  }
  return crc;
}

/**
 * The part of the key that decides its slot: what stands between the first `{` and the first `}` after it. The whole key
 * where there is no such pair, or nothing in it. Redis Cluster specification, "Hash tags".
 */
export function hashTag(key: string): string {
  const open = key.indexOf('{');
  const close = open < 0 ? -1 : key.indexOf('}', open + 1);
  return close > open + 1 ? key.slice(open + 1, close) : key;
}

/**
 * The slot of a key, from 0 to 16383.
 * @throws InvalidArgumentError for what two different texts would share: half a surrogate pair.
 */
export function keySlot(key: string): number {
  assertText('A key', key);
  return crc16(Buffer.from(hashTag(key))) % SLOTS;
}

/**
 * `{tag}:rest`: all keys of one tag are in one slot, so one command, transaction or script may touch them together.
 * @throws InvalidArgumentError for a tag that Redis would cut or ignore: an empty one, or one with a `}`.
 */
export function taggedKey(tag: string, rest: string): string {
  assertText('A hash tag', tag);
  assertText('A key', rest);
  if (tag === '' || tag.includes('}')) {
    throw new InvalidArgumentError(`A hash tag must not be empty, nor have a "}": it is ${inspect(tag)}.`);
  }
  return `{${tag}}:${rest}`;
}

/** The places of each slot's keys in `keys`: one command may have the keys of one slot. */
export function bySlot(keys: readonly string[]): Map<number, number[]> {
  return Map.groupBy(keys.keys(), (index) => {
    const key: unknown = keys[index];
    assertText('A key', key);
    return keySlot(key);
  });
}

/** In UTF-8 all halves of surrogate pairs are one character: two keys would become one. */
export function assertText(what: string, text: unknown): asserts text is string {
  if (typeof text === 'string' && text.isWellFormed()) return;
  throw new InvalidArgumentError(
    `${what} must be a well-formed string: it is ${inspect(text, { maxStringLength: 100 })}.`,
  );
}
