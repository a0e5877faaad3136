import { sql } from 'kysely';
import * as lab from '#lab';

export interface OrderRow {
  id: string;
  version: number;
  customer: string | null;
  quantity: bigint | null;
  unit_cents: bigint;
  percent_off: bigint | null;
  express: boolean | null;
  paid: boolean | null;
  placed_at: Date | null;
}
type Terms = lab.Terms<OrderRow>;

const { and, atLeast, charLength, coalesce, dayIn, hybrid, hybridMethod, minus, not, or, rounded, times } = lab;
const subtotal = (o: Terms) => times(o.quantity, o.unit_cents);
const off = (o: Terms) => coalesce(o.percent_off, 0n);
const rebate = (o: Terms) => rounded(times(subtotal(o), off(o)), 100n);
const total = (o: Terms) => minus(subtotal(o), rebate(o));
const big = (o: Terms) => atLeast(total(o), 10_000n);

/** 1234n is '12.34', -5n is '-0.05'. */
const money = (cents: bigint) => {
  const digits = String(cents < 0n ? -cents : cents).padStart(3, '0');
  return `${cents < 0n ? '-' : ''}${digits.slice(0, -2)}.${digits.slice(-2)}`;
};

/** The order book, under a name of its own: a table, its class, and a class for some of its rows. */
export function orderBook(table: string) {
  class Order extends lab.model<OrderRow>()({
    table,
    key: 'id',
    version: 'version',
    columns: {
      id: 'string',
      version: 'number',
      customer: 'string',
      quantity: 'bigint',
      unit_cents: 'bigint',
      percent_off: 'bigint',
      express: 'boolean',
      paid: 'boolean',
      placed_at: 'instant',
    },
    hybrids: {
      total: hybrid<OrderRow>()(total),
      big: hybrid<OrderRow>()(big),
      urgent: hybrid<OrderRow>()((o) => and(big(o), or(o.express, not(o.paid)))),
      never: hybrid<OrderRow>()((o) => and(o.paid, atLeast(minus(o.unit_cents, null), 0n))),
      nameLength: hybrid<OrderRow>()((o) => charLength(o.customer)),
      placedOn: hybridMethod<OrderRow>()((o, zone: string) => dayIn(o.placed_at, zone)),
      ratio: hybrid<OrderRow>()((o) => rounded(o.unit_cents, o.quantity)),
      owed: hybrid<OrderRow>()((o) => minus(total(o), minus(total(o), 1n))),
      price: hybrid<OrderRow>()({
        js: (o) => money(o.unit_cents),
        sql: (o) => sql<string>`round(${o.unit_cents}::numeric / 100, 2)::text`,
        set: (price) => ({ unit_cents: BigInt(price.replace('.', '')) }),
      }),
    },
  }) {}
  class GiftOrder extends Order {}
  const create = sql`CREATE TABLE ${sql.table(table)} (
    id text PRIMARY KEY, version int NOT NULL, customer text, quantity int8, unit_cents int8 NOT NULL,
    percent_off int8, express boolean, paid boolean DEFAULT false, placed_at timestamptz(3))`;
  return { Order, GiftOrder, create };
}

/** A second table, for what is told of the first. */
export interface LineRow {
  id: string;
  order_id: string;
  text: string;
}
export function lines(table: string, of: string) {
  class Line extends lab.model<LineRow>()({
    table,
    key: 'id',
    columns: { id: 'string', order_id: 'string', text: 'string' },
  }) {}
  const create = sql`CREATE TABLE ${sql.table(table)} (id text PRIMARY KEY,
    order_id text NOT NULL REFERENCES ${sql.table(of)} DEFERRABLE, text text NOT NULL)`;
  return { Line, create };
}
