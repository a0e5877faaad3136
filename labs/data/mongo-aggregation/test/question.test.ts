import { startMongo, startPostgres } from '@shared/services';
import { describeWith, random } from '@shared/testkit';
import { MongoClient } from 'mongodb';
import { Pool } from 'pg';
import { afterAll, expect, test } from 'vitest';
import { DISHES, type Dish, type Order, randomOrders } from './books.ts';
import { copyToPostgres, inSql, inTheApplication, inThePipeline } from './question.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);

await describeWith('one question', { mongo: () => startMongo(), pg: () => startPostgres() }, ({ mongo, pg }) => {
  const client = new MongoClient(mongo.url);
  const pool = new Pool({ connectionString: pg.url });
  afterAll(() => Promise.all([client.close(), pool.end()]));

  test('the application, the pipeline and SQL give one answer', async () => {
    const dice = random(SEED);
    const books = { orders: client.db().collection<Order>('orders'), dishes: client.db().collection<Dish>('dishes') };
    await books.dishes.insertMany([...DISHES]);
    for (let round = 0; round < 3; round++) {
      const orders = randomOrders(dice, 200).map((order) => ({
        ...order,
        dish: typeof order.dish === 'string' ? order.dish : null,
        cents: dice.int(0, 6_000),
      }));
      await books.orders.deleteMany({});
      await books.orders.insertMany(orders);
      await copyToPostgres(pool, orders, DISHES);
      const { taken } = await inTheApplication(books);
      expect(taken.length).toBeGreaterThan(5);
      expect((await inThePipeline(books)).taken, `pipeline, seed ${SEED}, round ${round}`).toEqual(taken);
      expect((await inSql(pool)).taken, `SQL, seed ${SEED}, round ${round}`).toEqual(taken);
    }
  });
});
