// One question, asked three ways: what did each category take on each day, and what is its total so far?
import type { Collection, Document } from 'mongodb';
import type { Pool } from 'pg';
import { ask, equals, lookupRefs } from '../src/index.ts';
import type { Dish, Order } from './books.ts';

export interface Taken {
  readonly category: string;
  readonly day: string;
  readonly cents: bigint;
  readonly soFar: bigint;
}

/** An answer, and how many documents or rows had to travel for it. */
export interface Answer {
  readonly taken: readonly Taken[];
  readonly travelled: number;
}

export interface Books {
  readonly orders: Collection<Order>;
  readonly dishes: Collection<Dish>;
}

/** Everything travels, and JavaScript joins, groups and adds. */
export async function inTheApplication({ orders, dishes }: Books): Promise<Answer> {
  const menu = new Map((await dishes.find().toArray()).map(({ code, category }) => [code, category]));
  const all = await orders.find().toArray();
  const paid = all.flatMap(({ status, dish, at, cents }) => {
    const category = typeof dish === 'string' ? menu.get(dish) : undefined;
    return status === 'paid' && category
      ? [{ category, day: at.toISOString().slice(0, 10), cents: BigInt(Number(cents)) }]
      : [];
  });
  const groups = [...Map.groupBy(paid, ({ category, day }) => `${category} ${day}`)].sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
  const totals = new Map<string, bigint>();
  const taken = groups.flatMap(([, [first, ...rest]]) => {
    if (!first) return [];
    const cents = rest.reduce((sum, each) => sum + each.cents, first.cents);
    totals.set(first.category, (totals.get(first.category) ?? 0n) + cents);
    return [{ ...first, cents, soFar: totals.get(first.category) ?? 0n }];
  });
  return { taken, travelled: all.length + menu.size };
}

export async function inThePipeline({ orders, dishes }: Books): Promise<Answer> {
  const stages: Document[] = [
    { $match: equals({ status: 'paid' }) },
    ...lookupRefs({ from: dishes.collectionName, local: 'dish', foreign: 'code', as: 'found', show: ['category'] }),
    { $match: { 'found.category': { $type: 'string' } } },
    {
      $group: {
        _id: { category: '$found.category', day: { $dateTrunc: { date: '$at', unit: 'day' } } },
        cents: { $sum: { $toLong: '$cents' } },
      },
    },
    {
      $setWindowFields: {
        partitionBy: '$_id.category',
        sortBy: { '_id.day': 1 },
        output: { soFar: { $sum: '$cents', window: { documents: ['unbounded', 'current'] } } },
      },
    },
    { $sort: { '_id.category': 1, '_id.day': 1 } },
  ];
  const rows = await ask<Document>(orders, stages);
  const taken = rows.map(({ _id, cents, soFar }) => ({
    category: _id.category,
    day: _id.day.toISOString().slice(0, 10),
    cents: BigInt(cents),
    soFar: BigInt(soFar),
  }));
  return { taken, travelled: rows.length };
}

export async function inSql(pool: Pool): Promise<Answer> {
  const { rows } = await pool.query(`
    SELECT category, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS day, sum(cents) AS cents,
           sum(sum(cents)) OVER (PARTITION BY category ORDER BY to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD')) AS so_far
    FROM orders JOIN dishes ON dishes.code = orders.dish
    WHERE status = 'paid'
    GROUP BY 1, 2 ORDER BY category COLLATE "C", 2`);
  const taken = rows.map(({ category, day, cents, so_far }) => ({
    category,
    day,
    cents: BigInt(cents),
    soFar: BigInt(so_far),
  }));
  return { taken, travelled: rows.length };
}

/** The same books in both databases. */
export async function copyToPostgres(pool: Pool, orders: readonly Order[], dishes: readonly Dish[]): Promise<void> {
  await pool.query(`
    DROP TABLE IF EXISTS orders, dishes;
    CREATE TABLE dishes (code text, category text NOT NULL);
    CREATE TABLE orders (id int PRIMARY KEY, status text, dish text, cents bigint, at timestamptz NOT NULL)`);
  await pool.query('INSERT INTO dishes SELECT * FROM unnest($1::text[], $2::text[])', [
    dishes.map(({ code }) => code ?? null),
    dishes.map(({ category }) => category),
  ]);
  await pool.query(
    'INSERT INTO orders SELECT * FROM unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::timestamptz[])',
    [
      orders.map(({ _id }) => _id),
      orders.map(({ status }) => status ?? null),
      orders.map(({ dish }) => (typeof dish === 'string' ? dish : null)),
      orders.map(({ cents }) => Number(cents)),
      orders.map(({ at }) => at),
    ],
  );
}
