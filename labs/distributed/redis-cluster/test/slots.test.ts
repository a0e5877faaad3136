import { describe, expect, test } from 'vitest';
import {
  bySlot,
  ClusterError,
  crc16,
  hashTag,
  InvalidArgumentError,
  keySlot,
  ownersIn,
  planMoves,
  redirectionIn,
  SLOTS,
  taggedKey,
} from '#lab';

const parcels = Array.from({ length: 10_000 }, (_, n) => `parcel:${n}`);
const shares = (owners: readonly string[]) =>
  Object.fromEntries(Object.entries(Object.groupBy(owners, (it) => it)).map(([node, list]) => [node, list?.length]));
/** What `planMoves` makes of it. */
const after = (owners: readonly string[], nodes: readonly string[]) => {
  const moved = [...owners];
  const moves = planMoves(owners, nodes);
  for (const { slot, to } of moves) moved[slot] = to;
  return { moved, moves };
};
const three = Array.from({ length: SLOTS }, (_, slot) => ['a', 'b', 'c'][Math.floor((slot * 3) / SLOTS)] ?? 'c');

describe('slots', () => {
  test('a key has the slot that every other client gives it: CRC16 of its bytes, mod 16384', () => {
    expect(crc16(Buffer.from('123456789')).toString(16), 'CRC16/XMODEM of "123456789"').toBe('31c3');
    // As CLUSTER KEYSLOT says them.
    const known = { foo: 12_182, b: 3_300, '': 0, 'nht.reach.accounts:زووم': 4_107, '\u{1f480}': 9_284 };
    for (const [key, slot] of Object.entries(known)) expect(keySlot(key), JSON.stringify(key)).toBe(slot);
  });

  test('keys with one tag share a slot, and the tag is what stands in the first braces, if anything does', () => {
    const tags: [key: string, tag: string][] = [
      ['{user1000}.following', 'user1000'],
      ['following.{user1000}', 'user1000'],
      ['foo{}{bar}', 'foo{}{bar}'],
      ['{}', '{}'],
      ['foo{{bar}}zap', '{bar'],
      ['foo{bar}{zap}', 'bar'],
      ['A}B{C', 'A}B{C'],
      ['a}{b}c', 'b'],
      ['foo{bar', 'foo{bar'],
      ['plain', 'plain'],
    ];
    for (const [key, tag] of tags) {
      expect(hashTag(key), `the tag of ${key}`).toBe(tag);
      expect(keySlot(key), `the slot of ${key}`).toBe(crc16(Buffer.from(tag)) % SLOTS);
    }
  });

  test('a node that joins gets its share from each of the others, and nothing else moves', () => {
    const { moved, moves } = after(three, ['a', 'b', 'c', 'd']);
    expect(shares(moved), 'slots for each node').toEqual({ a: 4_096, b: 4_096, c: 4_096, d: 4_096 });
    expect(new Set(moves.map(({ to }) => to)), 'who gets slots').toEqual(new Set(['d']));
    expect(
      moves.every(({ slot, from }) => three[slot] === from),
      'a slot is moved from who has it',
    ).toBe(true);
    const moving = new Set(moves.map(({ slot }) => slot));
    const keys = parcels.filter((key) => moving.has(keySlot(key))).length;
    expect(keys / parcels.length, 'share of the keys that move').toBeCloseTo(0.25, 1);
  });

  test('a node that leaves gives all it has, and a fair share is left alone', () => {
    const { moved, moves } = after(three, ['a', 'b']);
    expect(shares(moved)).toEqual({ a: 8_192, b: 8_192 });
    expect(moves.every(({ from }) => from === 'c')).toBe(true);
    expect(planMoves(three, ['c', 'b', 'a']), 'nothing to do').toEqual([]);
    const five = after(moved, ['a', 'b', 'c', 'd', 'e']);
    expect(Object.values(shares(five.moved)).sort(), 'give or take one').toEqual([3_276, 3_277, 3_277, 3_277, 3_277]);
    expect(five.moves.length, 'as few as can be').toBe(16_384 - 3_277 - 3_277);
    expect(() => planMoves(three, [])).toThrow(InvalidArgumentError);
    expect(() => planMoves(three, ['a', 'a'])).toThrow(InvalidArgumentError);
    expect(() => planMoves([undefined], ['a'])).toThrow(InvalidArgumentError);
  });

  test('a tag that Redis would cut, and a key that two texts would share, are refused', () => {
    expect(taggedKey('cart:7', 'items')).toBe('{cart:7}:items');
    expect(keySlot(taggedKey('cart:7', 'items'))).toBe(keySlot('cart:7'));
    expect(hashTag(taggedKey('a{b', 'c'))).toBe('a{b');
    for (const tag of ['', 'a}b', '\ud83d'])
      expect(() => taggedKey(tag, 'x'), JSON.stringify(tag)).toThrow(InvalidArgumentError);
    expect(() => keySlot('user\ud83d')).toThrow(InvalidArgumentError);
    // @ts-expect-error: untyped code can hand in anything
    expect(() => keySlot(7)).toThrow(InvalidArgumentError);
  });

  test('keys are grouped by slot, with their places', () => {
    const groups = bySlot(['{a}1', 'b', '{a}2', 'b']);
    expect(groups).toEqual(
      new Map([
        [keySlot('a'), [0, 2]],
        [keySlot('b'), [1, 3]],
      ]),
    );
  });

  test('a redirection names a node, also by IPv6 address, and without a host it is the one that was asked', () => {
    const read = (text: string) => redirectionIn(new Error(text), '10.0.0.1:7000');
    expect(read('MOVED 3999 127.0.0.1:6381')).toEqual({ kind: 'MOVED', slot: 3_999, to: '127.0.0.1:6381' });
    expect(read('ASK 3999 ::1:6381')).toEqual({ kind: 'ASK', slot: 3_999, to: '::1:6381' });
    expect(read('MOVED 3999 :6381')).toEqual({ kind: 'MOVED', slot: 3_999, to: '10.0.0.1:6381' });
    expect(read('ERR MOVED 3999 127.0.0.1:6381')).toBe(undefined);
    const owners = ownersIn(
      [
        [0, 1, ['10.0.0.2', 7_000, 'id'], ['10.0.0.3', 7_000, 'id']],
        [3, 3, ['', 7_001]],
        [5, 5, [null, 7_002]],
      ],
      '10.0.0.1:7000',
    );
    const ports = ['10.0.0.2:7000', '10.0.0.2:7000', undefined, '10.0.0.1:7001', undefined, '10.0.0.1:7002'];
    expect(owners.slice(0, 6), 'CLUSTER SLOTS').toEqual(ports);
    for (const reply of [null, [], [['0', 1, ['h', 1]]], [[0, 1, 'h']]])
      expect(() => ownersIn(reply, 'h:1')).toThrow(ClusterError);
  });
});
