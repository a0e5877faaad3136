// The restaurant's books on random days, and plain JavaScript that answers from them: the oracle of the laws.
import type { Random } from '@shared/testkit';
import { Decimal128, Double, Int32, Long } from 'mongodb';

export const DAY_MS = 86_400_000;
export const MONDAY = new Date('2026-03-02T00:00:00Z');
export const at = (days: number, ms = 0) => new Date(MONDAY.getTime() + days * DAY_MS + ms);

export interface Order {
  _id: number;
  table?: string | null;
  status?: string | null;
  /** What was ordered: one dish, a list of them, or nobody wrote it down. */
  dish?: string | null | (string | null)[];
  /** As four versions of the till have written it; some with a slip. */
  cents?: unknown;
  at: Date;
  changed: Date;
  tags?: string[];
}

export interface Dish {
  _id: string;
  code?: string | null;
  name: string;
  category: string;
}

export const DISHES: readonly Dish[] = [
  { _id: 'd1', code: 'ramen', name: 'Ramen', category: 'noodles' },
  { _id: 'd2', code: 'udon', name: 'Udon', category: 'noodles' },
  { _id: 'd3', code: 'mochi', name: 'Mochi', category: 'sweets' },
  { _id: 'd4', code: null, name: 'Soup of the day', category: 'soups' },
  { _id: 'd5', name: 'Off the card', category: 'soups' },
];

/** A whole number in one of the types that BSON has for it. */
const typed = (random: Random, cents: number) =>
  random.pick([new Int32(cents), Long.fromNumber(cents), new Double(cents), Decimal128.fromString(`${cents}`)]);
const SLIPS = ['1290', 12.5, Number.NaN, true, Number.POSITIVE_INFINITY, Decimal128.fromString('0.5')];

/** `count` orders over ten days, a slip of the pen or a gap in about every fourth. */
export function randomOrders(random: Random, count: number): Order[] {
  const dish = () => random.pick(['ramen', 'udon', 'mochi', 'gone', null]);
  const maybe = <T>(value: T) => (random.next() < 0.85 ? value : random.pick([null, undefined]));
  return Array.from({ length: count }, (_, _id) => {
    const time = at(random.int(0, 9), random.int(0, 5) * 3_600_000);
    const amount =
      random.next() < 0.85 ? typed(random, random.int(0, 60) * 100) : random.pick([...SLIPS, null, undefined]);
    const order: Order = { _id, at: time, changed: at(20, random.int(0, 50)) };
    const fields = {
      table: maybe(random.pick(['t1', 't2', 't3'])),
      status: maybe(random.pick(['paid', 'open', 'cancelled'])),
      dish: random.next() < 0.3 ? Array.from({ length: random.int(0, 4) }, dish) : maybe(dish()),
      cents: amount,
      tags: maybe(Array.from({ length: random.int(0, 3) }, () => random.pick(['spicy', 'vegan', 'large']))),
    };
    return Object.assign(order, Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)));
  });
}

/** Whole cents; null for nothing to pay; undefined for what can't be read. */
export function centsOf({ cents }: Pick<Order, 'cents'>): bigint | null | undefined {
  if (cents === undefined || cents === null) return null;
  if (typeof cents !== 'number' && typeof cents !== 'bigint' && !(typeof cents === 'object' && '_bsontype' in cents))
    return undefined;
  const text = String(cents);
  return /^-?\d+$/.test(text) ? BigInt(text) : undefined;
}

export function totalOf(orders: readonly Pick<Order, 'cents'>[]) {
  const read = orders.map(centsOf);
  return {
    count: orders.length,
    sum: read.reduce<bigint>((sum, cents) => sum + (cents ?? 0n), 0n),
    unread: read.filter((cents) => cents === undefined).length,
  };
}

export function bucketsOf(orders: readonly Order[], edges: readonly number[]) {
  const number = (order: Order) =>
    typeof order.cents === 'string' || typeof order.cents === 'boolean'
      ? Number.NaN
      : Number(String(order.cents ?? 'none'));
  const within = (from: number, to: number) => orders.filter((order) => number(order) >= from && number(order) < to);
  const buckets = edges
    .slice(0, -1)
    .map((from, i) => ({ from, to: edges[i + 1] ?? from, ...totalOf(within(from, edges[i + 1] ?? from)) }));
  const inside = new Set(within(edges[0] ?? 0, edges.at(-1) ?? 0));
  return { buckets, outside: totalOf(orders.filter((order) => !inside.has(order))) };
}

export function joinOf({ dish }: Order, dishes: readonly Dish[] = DISHES) {
  const find = (code: string | null | undefined) => dishes.find((each) => code != null && each.code === code) ?? null;
  return Array.isArray(dish) ? dish.map(find) : find(dish);
}

export function runningOf(orders: readonly Order[], days: number) {
  const key = (order: Order) => order.table ?? '';
  const sorted = orders.toSorted(
    (a, b) => key(a).localeCompare(key(b)) || a.at.getTime() - b.at.getTime() || a._id - b._id,
  );
  return sorted.map((order, i) => {
    const upTo = totalOf(sorted.slice(0, i + 1).filter((each) => key(each) === key(order)));
    const age = (each: Order) => order.at.getTime() - each.at.getTime();
    const recent = sorted.filter((each) => key(each) === key(order) && age(each) >= 0 && age(each) < days * DAY_MS);
    return { id: order._id, total: upTo.sum, recent: totalOf(recent).sum, unread: upTo.unread };
  });
}

export function daysOf(orders: readonly Order[], counts = (order: Order) => order.status !== 'cancelled') {
  const days = Map.groupBy(orders, (order) => Math.floor(order.at.getTime() / DAY_MS) * DAY_MS);
  return [...days]
    .sort(([a], [b]) => a - b)
    .map(([day, its]) => ({ day: new Date(day), ...totalOf(its.filter(counts)) }));
}
