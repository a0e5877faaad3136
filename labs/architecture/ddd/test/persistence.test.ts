import { startPostgres } from '@shared/services';
import { describeWith, History, random, until } from '@shared/testkit';
import { Pool } from 'pg';
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  Address,
  AlreadyChargedError,
  ConcurrencyError,
  CorruptRecordError,
  Customer,
  type CustomerId,
  customerId,
  Dish,
  type DomainEvent,
  httpApi,
  InvalidValueError,
  Money,
  migrate,
  NotFoundError,
  Order,
  type OrderId,
  OrderService,
  OrderStateError,
  OutboxRelay,
  orderId,
  PaymentError,
  PostgresCustomers,
  PostgresOrders,
  PrintedMenu,
  paymentPolicy,
  Size,
  Spiciness,
  type Subscriber,
  UnknownDishError,
} from '#lab';
import { auditTransactions, watchTransactions } from './audit.ts';

const SEED = Number(process.env['LAB_SEED'] ?? 20_261);
const yuan = (text: string) => Money.parse(text, 'CNY');
const fish = new Dish('fish with pickled cabbage', Size.Large, Spiciness.Medium);
const home = new Address('Beijing', 'Chaoyang 1');
const menu = new PrintedMenu('CNY', { [fish.name]: { large: '128.00', small: '58.00' }, rice: { small: '3.00' } });
const item = { name: fish.name, size: 'large', spiciness: 'medium', quantity: 1 };
const where = { city: 'Beijing', street: 'Chaoyang 1' };

await describeWith('orders in PostgreSQL', { pg: () => startPostgres() }, ({ pg }) => {
  const pool = new Pool({ connectionString: pg.url, max: 10 });
  // Of those at rest, which whoever has a pool listens to: one that a test has ended may be back before it knows.
  pool.on('error', () => {});
  const orders = new PostgresOrders(pool);
  const customers = new PostgresCustomers(pool);
  const service = new OrderService({ orders, customers, menu });

  beforeAll(async () => {
    await migrate(pool);
    await migrate(pool); // a second time does no harm
    await auditTransactions(pool);
  });
  afterAll(() => pool.end());

  const draft = () => {
    const order = Order.draft(customerId(), home, 'CNY');
    order.add(fish, yuan('128.00'), 2);
    return order;
  };
  const registered = async (balance: string) => {
    const customer = Customer.register(yuan(balance));
    await customers.save(customer);
    return customer.id;
  };
  const announced = async (id: string) => {
    const sql = 'SELECT event FROM outbox WHERE aggregate_id = $1 ORDER BY id';
    return (await pool.query<{ event: DomainEvent }>(sql, [id])).rows.map(({ event }) => event.type);
  };
  /** A relay that minds the events of this test alone: the others' are told to nobody. */
  const relay = (ids: readonly string[], ...subscribers: Subscriber[]) =>
    new OutboxRelay(
      pool,
      subscribers.map((subscriber) => async (event) => {
        if (ids.includes(event.orderId)) await subscriber(event);
      }),
    );
  const settle = (...ids: OrderId[]) => relay(ids, paymentPolicy({ orders, customers })).drain();
  const outcome = (promise: Promise<unknown>) =>
    promise.then(
      () => 'saved',
      (error: unknown) => (error instanceof Error ? error.constructor.name : String(error)),
    );

  /** What a transaction of somebody else's has locked, until it is released. */
  const hold = async (sql: string, from = pool) => {
    const client = await from.connect();
    await client.query('BEGIN');
    await client.query(sql);
    let held = true;
    const release = async (end = 'ROLLBACK') => {
      if (!held) return;
      held = false;
      await client.query(end).finally(() => client.release());
    };
    /** The connections that wait for a lock. */
    const waiting = async () => {
      const { rows } = await pool.query<{ pid: number }>(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rows.map(({ pid }) => pid);
    };
    return { release, waiting, [Symbol.asyncDispose]: () => release() };
  };
  /** Whose orders somebody else has always saved first. */
  const overtaken = {
    get: (id: OrderId) => orders.get(id),
    save: async ({ id, version }: Order) => {
      throw new ConcurrencyError('Order', id, version);
    },
  };
  /** What would have ended the process, had it not been this test. */
  const deaths = () => {
    const died = vi.fn();
    for (const end of ['uncaughtException', 'unhandledRejection']) {
      const usual = process.rawListeners(end);
      process.removeAllListeners(end).on(end, died);
      onTestFinished(() => {
        process.off(end, died);
        for (const listener of usual) process.on(end, listener as (...args: unknown[]) => void);
      });
    }
    return died;
  };

  // ── repositories ──────────────────────────────────────────────────────────────────────────────────────────────────

  test('an order comes back as it was saved', async () => {
    const order = draft();
    order.add(new Dish('rice', Size.Small, Spiciness.None), Money.of(2 ** 45, 'CNY'), 20);
    order.redeem(yuan('12.34'));
    await orders.save(order);
    expect((await orders.get(order.id)).snapshot()).toEqual({ ...order.snapshot(), version: 1 });
    expect(order.version, 'and the one in hand knows that it was saved').toBe(1);
    order.remove(fish);
    order.deliverTo(new Address('Shanghai', 'Bund 9'));
    order.place();
    await orders.save(order);
    expect((await orders.get(order.id)).snapshot()).toEqual({ ...order.snapshot(), version: 2 });
    const empty = Order.draft(customerId(), home, 'JPY');
    await orders.save(empty);
    expect((await orders.get(empty.id)).snapshot()).toEqual(empty.snapshot());
  });

  test('what is not there is an error of its own', async () => {
    await expect(orders.get(orderId())).rejects.toBeInstanceOf(NotFoundError);
    await expect(customers.get(customerId())).rejects.toBeInstanceOf(NotFoundError);
  });

  test('of two editors of one order the second is refused', async () => {
    const order = draft();
    await orders.save(order);
    const [one, other] = [await orders.get(order.id), await orders.get(order.id)];
    one.changeQuantity(fish, 3);
    other.deliverTo(new Address('Shanghai', 'Bund 9'));
    await orders.save(one);
    const history = new History<string>();
    history.record('both loaded version 1; the first saved 3 portions');
    history.record(`the second saves another address: ${await outcome(orders.save(other))}`);
    const stored = await orders.get(order.id);
    history.record(`stored: ${stored.lines.map(({ quantity }) => quantity)} portions, to ${stored.address.city}`);
    expect(
      stored.lines.map(({ quantity }) => quantity),
      history.toString(),
    ).toEqual([3]);
    expect(await outcome(orders.save(other)), history.toString()).toBe('ConcurrencyError');
    const twin = Order.draft(order.customerId, home, 'CNY', order.id);
    expect(await outcome(orders.save(twin)), 'a new order under an id that is taken').toBe('ConcurrencyError');
  });

  test('of two editors of one customer the second is refused', async () => {
    const id = await registered('10.00');
    const [one, other] = [await customers.get(id), await customers.get(id)];
    one.topUp(yuan('5.00'));
    other.topUp(yuan('7.00'));
    await customers.save(one);
    expect(await outcome(customers.save(other))).toBe('ConcurrencyError');
    const twin = Customer.register(yuan('1.00'), id);
    expect(await outcome(customers.save(twin)), 'a new customer under an id that is taken').toBe('ConcurrencyError');
    expect(String((await customers.get(id)).balance)).toBe('15.00 CNY');
    expect([one, other, twin].map(({ version }) => version)).toEqual([2, 1, 0]);
  });

  test('of many editors at once exactly one wins', async () => {
    const order = draft();
    await orders.save(order);
    const editors = await Promise.all(Array.from({ length: 8 }, () => orders.get(order.id)));
    // Nobody's transaction ends before everybody has begun his and stands before the row.
    await using row = await hold(`SELECT FROM orders WHERE id = '${order.id}' FOR UPDATE`);
    let ended = 0;
    const saves = editors.map((editor, index) => {
      editor.changeQuantity(fish, index + 1);
      return outcome(orders.save(editor)).finally(() => ended++);
    });
    await until(async () => (await row.waiting()).length + ended === 8, { what: 'all to stand before the row' });
    await row.release();
    expect((await Promise.all(saves)).sort()).toEqual([...Array(7).fill('ConcurrencyError'), 'saved']);
    expect((await orders.get(order.id)).version).toBe(2);
  });

  test('whatever isolation the database has by default, the second editor is refused and an order is charged once', async () => {
    for (const isolation of ['repeatable read', 'serializable']) {
      const options = `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`;
      const own = new Pool({ connectionString: pg.url, options });
      onTestFinished(() => own.end());
      const order = draft();
      await orders.save(order);
      const customer = await registered('500.00');
      const editors = await Promise.all([1, 2].map(() => orders.get(order.id)));
      const charged = await Promise.all([1, 2].map(() => customers.get(customer)));
      await using row = await hold(
        `SELECT FROM orders WHERE id = '${order.id}' FOR UPDATE; LOCK TABLE charges IN SHARE MODE`,
      );
      const saves = [
        ...editors.map((editor, index) => {
          editor.changeQuantity(fish, index + 3);
          return outcome(new PostgresOrders(own).save(editor));
        }),
        ...charged.map((each) => {
          each.charge(order.id, yuan('256.00'));
          return outcome(new PostgresCustomers(own).save(each));
        }),
      ];
      await until(async () => (await row.waiting()).length === 4, { what: 'all to wait' });
      await row.release();
      const [one = '', other = '', ...charges] = await Promise.all(saves);
      expect([one, other].sort(), isolation).toEqual(['ConcurrencyError', 'saved']);
      expect(charges.sort(), isolation).toEqual(['AlreadyChargedError', 'saved']);
      expect(String((await customers.get(customer)).balance)).toBe('244.00 CNY');
    }
  });

  test('whatever isolation the database has by default, an order refuses no other order', async () => {
    // As Postgres reads a small table: whole, and what others write to it meanwhile is a conflict to "serializable".
    const whole = ['indexscan', 'bitmapscan', 'indexonlyscan'].map((way) => `-c enable_${way}=off`).join(' ');
    const options = `-c default_transaction_isolation=serializable ${whole}`;
    const own = new Pool({ connectionString: pg.url, options });
    onTestFinished(() => own.end());
    // Nobody's transaction ends before everybody has begun his.
    await using table = await hold('LOCK TABLE outbox IN SHARE MODE');
    const saves = Array.from({ length: 8 }, () => outcome(new PostgresOrders(own).save(draft())));
    await until(async () => (await table.waiting()).length === 8, { what: 'all to wait' });
    await table.release();
    expect(await Promise.all(saves)).toEqual(Array(8).fill('saved'));
  });

  test('whatever isolation the database has by default, what others write meanwhile keeps nobody from reading', async () => {
    const own = new Pool({ connectionString: pg.url, options: '-c default_transaction_isolation=serializable' });
    onTestFinished(() => own.end());
    const order = draft();
    await orders.save(order);
    const customer = await registered('1.00');
    // Who reads now sees things before this change, which has not counted an order that is there when it ends: no such moment.
    await using change = await hold(
      `SELECT count(*) FROM orders; UPDATE orders SET version = 2 WHERE id = '${order.id}';
       UPDATE customers SET version = 2 WHERE id = '${customer}'; LOCK TABLE customers, order_lines`,
      own,
    );
    const versions = [new PostgresOrders(own).get(order.id), new PostgresCustomers(own).get(customer)].map((read) =>
      read.then(({ version }) => version, String),
    );
    await until(async () => (await change.waiting()).length === 2, { what: 'both to wait' });
    await own.query("INSERT INTO orders VALUES (gen_random_uuid(), 1, gen_random_uuid(), 'draft', 'CNY', 'a', 'b', 0)");
    await change.release('COMMIT');
    expect(await Promise.all(versions)).toEqual([2, 2]);
  });

  test('a row that breaks a rule is a fault, and no answer to the guest', async () => {
    const order = draft();
    await orders.save(order);
    const customer = await registered('1.00');
    await pool.query("UPDATE orders SET status = 'eaten' WHERE id = $1", [order.id]);
    await pool.query("UPDATE customers SET currency = 'gold' WHERE id = $1", [customer]);
    await expect(orders.get(order.id)).rejects.toBeInstanceOf(CorruptRecordError);
    await expect(orders.get(order.id)).rejects.toThrow('eaten');
    await expect(customers.get(customer)).rejects.toBeInstanceOf(CorruptRecordError);
    const unsaved = pool.query('UPDATE customers SET version = 0 WHERE id = $1', [customer]);
    await expect(unsaved, 'a row that was never saved').rejects.toThrow('version');
    const asking = httpApi(service)(new Request(`http://restaurant/orders/${order.id}`));
    await expect(asking, 'what he sent was not wrong').rejects.toBeInstanceOf(CorruptRecordError);
  });

  test('a connection that is lost in the middle of a save is an error, and not the end of the process', async () => {
    const died = deaths();
    const order = draft();
    await using lines = await hold('LOCK TABLE order_lines');
    const saving = outcome(orders.save(order));
    const backend = await until(async () => (await lines.waiting())[0], { what: 'the save to stand before the table' });
    await pool.query('SELECT pg_terminate_backend($1)', [backend]);
    expect(await saving).not.toBe('saved');
    pool.once('acquire', (client) => queueMicrotask(() => client.emit('error', new Error('gone with the greeting'))));
    await outcome(customers.save(Customer.register(yuan('1.00'))));
    pool.once('acquire', (client) => void client.end());
    expect(await outcome(customers.save(Customer.register(yuan('1.00')))), 'lost before it began').not.toBe('saved');
    await new Promise(setImmediate);
    expect(died.mock.calls.map(([error]) => String(error))).toEqual([]);
    await lines.release();
    expect(await outcome(orders.save(order)), 'the pool has others').toBe('saved');
  });

  test('an order that could not be saved announces nothing', async () => {
    const order = draft();
    await orders.save(order);
    const [stale, other] = [await orders.get(order.id), await orders.get(order.id)];
    other.deliverTo(new Address('Shanghai', 'Bund 9'));
    await orders.save(other);
    stale.place();
    await expect(orders.save(stale)).rejects.toBeInstanceOf(ConcurrencyError);
    expect(await announced(order.id), `stored: ${(await orders.get(order.id)).status}`).toEqual([]);
  });

  test('a save is one step, however many lines and events there are', async () => {
    const watched = new Pool({ connectionString: pg.url });
    onTestFinished(() => watched.end());
    const asked: string[] = [];
    watched.on('connect', (client) => {
      const query = client.query.bind(client);
      Reflect.set(client, 'query', (...args: unknown[]) => {
        asked.push(JSON.stringify(args[0]).slice(0, 80));
        return Reflect.apply(query, undefined, args);
      });
    });
    const order = draft();
    for (const name of ['rice', 'soup', 'tea']) order.add(new Dish(name, Size.Small, Spiciness.None), yuan('3.00'), 1);
    const repository = new PostgresOrders(watched);
    await repository.save(order);
    for (const { dish } of order.lines.slice(2)) order.remove(dish);
    order.place();
    order.pay();
    await repository.save(order);
    expect(asked, asked.join('\n')).toHaveLength(2);
    expect((await orders.get(order.id)).snapshot()).toEqual(order.snapshot());
    expect(await announced(order.id)).toEqual(['order-placed', 'order-paid']);
  });

  test('a save that failed can be repeated, with its events', async () => {
    const order = draft();
    order.place();
    await pool.query('ALTER TABLE outbox ADD CONSTRAINT broken CHECK (false) NOT VALID');
    const failed = await outcome(orders.save(order));
    await pool.query('ALTER TABLE outbox DROP CONSTRAINT broken');
    expect(failed, 'the outbox took nothing').not.toBe('saved');
    await expect(orders.get(order.id), 'so the order is not there either').rejects.toBeInstanceOf(NotFoundError);
    expect([order.version, order.events.length]).toEqual([0, 1]);
    await orders.save(order);
    expect([order.version, order.events.length]).toEqual([1, 0]);
    await orders.save(order);
    expect(await announced(order.id), 'announced once').toEqual(['order-placed']);
  });

  test('a charge that the database refuses was not made, and can be repeated', async () => {
    const customer = await customers.get(await registered('500.00'));
    customer.charge(orderId(), yuan('128.00'));
    const refusals = {
      'its event': 'outbox ADD CONSTRAINT broken CHECK (false) NOT VALID',
      'its COMMIT':
        'charges ADD CONSTRAINT broken FOREIGN KEY (order_id) REFERENCES orders DEFERRABLE INITIALLY DEFERRED NOT VALID',
    };
    for (const [what, broken] of Object.entries(refusals)) {
      await pool.query(`ALTER TABLE ${broken}`);
      const failed = await outcome(customers.save(customer));
      await pool.query(`ALTER TABLE ${broken.split(' ', 1)} DROP CONSTRAINT broken`);
      expect(failed, what).not.toBe('saved');
      expect([customer.version, customer.events.length], what).toEqual([1, 1]);
      expect(String((await customers.get(customer.id)).balance), what).toBe('500.00 CNY');
    }
    await customers.save(customer);
    expect([customer.version, customer.events.length]).toEqual([2, 0]);
    expect(String((await customers.get(customer.id)).balance)).toBe('372.00 CNY');
    expect(await announced(customer.id)).toEqual(['customer-charged']);
  });

  // ── use cases ─────────────────────────────────────────────────────────────────────────────────────────────────────

  test('an order that cannot be made leaves nothing behind', async () => {
    const customer = await registered('100.00');
    const count = async () => (await pool.query<{ n: string }>('SELECT count(*) AS n FROM orders')).rows[0]?.n;
    const before = await count();
    const request = { ...where, customerId: customer, items: [item] };
    const bad = [
      ['too dear', request, PaymentError],
      ['no dish', { ...request, items: [] }, InvalidValueError],
      ['quantity 0', { ...request, items: [{ ...item, quantity: 0 }] }, InvalidValueError],
      ['gigantic', { ...request, items: [{ ...item, size: 'gigantic' }] }, InvalidValueError],
      ['not on the menu', { ...request, items: [{ ...item, size: 'medium' }] }, UnknownDishError],
      ['half a fen off', { ...request, voucher: 0.5 }, InvalidValueError],
      ['nobody', { ...request, customerId: customerId() }, NotFoundError],
      ['no such id', { ...request, customerId: '7' }, InvalidValueError],
    ] as const;
    for (const [name, each, error] of bad) {
      await expect(service.createOrder(each), name).rejects.toBeInstanceOf(error);
    }
    expect(await count()).toBe(before);
    await expect(
      service.createOrder({ ...request, voucher: 2_800 }),
      'with a voucher it is enough',
    ).resolves.toBeTruthy();
  });

  test('a placed order is paid, and the customer charged, once the event has gone round', async () => {
    const customer = await registered('500.00');
    const id = await service.createOrder({ ...where, customerId: customer, voucher: 1_000, items: [item, item] });
    expect([(await orders.get(id)).status, String((await customers.get(customer)).balance)]).toEqual([
      'placed',
      '500.00 CNY',
    ]);
    expect((await settle(id)).failed).toEqual([]);
    const receipt = await service.receipt(id);
    const line = { dish: 'large fish with pickled cabbage, medium spice', quantity: 2, net: '246.00 CNY' };
    expect(receipt).toEqual({ orderId: id, status: 'paid', lines: [line], total: '246.00 CNY' });
    expect(String((await customers.get(customer)).balance)).toBe('254.00 CNY');
    expect(await announced(id)).toEqual(['order-placed', 'order-paid']);
    await expect(service.changeAddress(id, 'Shanghai', 'Bund 9')).rejects.toBeInstanceOf(OrderStateError);
  });

  test('of two orders that the money is enough for one of, one is paid and the other declined', async () => {
    const customer = await registered('200.00');
    const request = { ...where, customerId: customer, items: [item] };
    const ids = await Promise.all([service.createOrder(request), service.createOrder(request)]);
    await settle(...ids);
    const statuses = await Promise.all(ids.map(async (id) => (await orders.get(id)).status));
    expect(statuses.sort()).toEqual(['declined', 'paid']);
    expect(String((await customers.get(customer)).balance)).toBe('72.00 CNY');
  });

  test('a transaction changes one aggregate, and its events are announced in it', async () => {
    const customer = await registered('500.00');
    const watched = await watchTransactions(pool);
    const id = await service.createOrder({ ...where, customerId: customer, items: [item] });
    await service.changeAddress(id, 'Shanghai', 'Bund 9');
    await settle(id);
    expect((await orders.get(id)).status).toBe('paid');
    const transactions = (await watched()).filter(({ ids }) => ids.includes(id) || ids.includes(customer));
    const history = new History<string>();
    for (const { tables, ids } of transactions) history.record(`${tables.join(', ')}: ${ids.length} aggregate(s)`);
    expect(
      transactions.map(({ ids }) => ids.length),
      history.toString(),
    ).toEqual(transactions.map(() => 1));
    const announcing = transactions.filter(({ tables }) => tables.includes('outbox'));
    const honest = announcing.filter(({ tables }) => tables.includes('orders') || tables.includes('customers'));
    expect([announcing.length, honest.length], history.toString()).toEqual([3, 3]);
  });

  test('an order is charged once, however often its event is told', async () => {
    const customer = await registered('500.00');
    const id = await service.createOrder({ ...where, customerId: customer, items: [item] });
    const told: DomainEvent[] = [];
    const policy = paymentPolicy({ orders, customers });
    const witness: Subscriber = async (event) => {
      told.push(event);
      await policy(event);
    };
    await relay([id], witness).drain();
    for (const event of [...told, ...told]) await policy(event);
    expect(told.map(({ type }) => type)).toEqual(['order-placed', 'customer-charged', 'order-paid']);
    expect(String((await customers.get(customer)).balance)).toBe('372.00 CNY');
    const again = await customers.get(customer);
    again.charge(id, yuan('128.00'));
    await expect(customers.save(again)).rejects.toBeInstanceOf(AlreadyChargedError);
    expect(String((await customers.get(customer)).balance)).toBe('372.00 CNY');
  });

  test('a charge that could not be saved is not taken for done', async () => {
    const customer = await registered('500.00');
    const id = await service.createOrder({ ...where, customerId: customer, items: [item] });
    const overtaken = {
      get: (of: CustomerId) => customers.get(of),
      save: async () => {
        throw new ConcurrencyError('Customer', customer, 1);
      },
    };
    const { failed } = await relay([id], paymentPolicy({ orders, customers: overtaken })).drain();
    expect(failed).toMatchObject([expect.any(ConcurrencyError)]);
    await settle(id);
    expect((await orders.get(id)).status).toBe('paid');
  });

  test('a payment that could not be saved is not taken for done', async () => {
    const id = await service.createOrder({ ...where, customerId: await registered('500.00'), items: [item] });
    const { failed } = await relay([id], paymentPolicy({ orders: overtaken, customers })).drain();
    expect(failed).toMatchObject([expect.any(ConcurrencyError)]);
    await settle(id);
    expect((await orders.get(id)).status).toBe('paid');
  });

  test('an event whose subscriber failed is told again, before the later ones of its order', async () => {
    const customer = await registered('500.00');
    const id = await service.createOrder({ ...where, customerId: customer, items: [item] });
    const order = await orders.get(id);
    order.pay();
    await orders.save(order);
    const told: string[] = [];
    let down = true;
    const kitchen = relay([id], async ({ type }) => {
      if (down) throw new Error('the kitchen does not answer');
      told.push(type);
    });
    const round = await kitchen.drain();
    expect(round.failed, 'the first failed, so the second was not tried').toHaveLength(1);
    expect(told).toEqual([]);
    down = false;
    expect((await kitchen.drain()).failed).toEqual([]);
    expect(told).toEqual(['order-placed', 'order-paid']);
    expect(await kitchen.drain(), 'and then there is nothing left').toEqual({ delivered: 0, failed: [] });
  });

  test('a round with a failure ends, and tells of it, though new orders never stop coming', async () => {
    const request = { ...where, customerId: await registered('500.00'), items: [item] };
    const ids = [await service.createOrder(request), await service.createOrder(request)];
    let guests = 10;
    const rush: Subscriber = async ({ orderId: id }) => {
      if (id === ids[0]) throw new Error('the kitchen does not answer');
      if (guests-- > 0) ids.push(await service.createOrder(request));
    };
    const { failed } = await relay(ids, rush).drain();
    expect(failed).toMatchObject([{ message: 'the kitchen does not answer' }]);
    expect(guests, 'guests who had not come when the round ended').toBeGreaterThan(0);
    const told: string[] = [];
    await relay(ids, async ({ orderId: id }) => void told.push(id)).drain();
    expect(told[0], 'the next round begins with it').toBe(ids[0]);
  });

  test('what one subscriber does to an event, the next one is not told', async () => {
    const customer = await registered('500.00');
    const id = await service.createOrder({ ...where, customerId: customer, items: [item] });
    const told: unknown[] = [];
    const forger: Subscriber = async (event) => {
      if (event.type === 'order-placed') Reflect.set(event.total, 'minor', 1);
      Reflect.set(event, 'type', 'forged');
    };
    await relay([id], forger, async (event) => void told.push(structuredClone(event))).drain();
    expect(told).toMatchObject([{ type: 'order-placed', total: { minor: 12_800 } }]);
  });

  test('a relay needs one connection, and marks what it has told on that', async () => {
    await relay([]).drain();
    const placed = [draft(), draft(), draft()];
    for (const order of placed) {
      order.place();
      await orders.save(order);
    }
    const one = new Pool({ connectionString: pg.url, max: 1, connectionTimeoutMillis: 2_000 });
    const told: string[] = [];
    let closed: Promise<void> | undefined;
    // The program ends in the middle of a round, and the pool with it: it waits for whoever has a connection.
    const sms: Subscriber = async ({ orderId: id }) => {
      told.push(id);
      if (told.length === 2) closed = one.end();
    };
    const round = await new OutboxRelay(one, [sms]).drain();
    await closed;
    expect(round, 'what could not be marked would be told again').toEqual({ delivered: 3, failed: [] });
    await relay(
      placed.map(({ id }) => id),
      async ({ orderId: id }) => void told.push(id),
    ).drain();
    expect(told, 'each of them once').toEqual(placed.map(({ id }) => id));
  });

  test('where nothing can be marked, nothing is told; after a mark that failed nothing more is', async () => {
    const placed = [draft(), draft()];
    for (const order of placed) {
      order.place();
      await orders.save(order);
    }
    const [first, second] = placed.map(({ id }) => id);
    const told: unknown[] = [];
    const sms: Subscriber = async ({ orderId: id }) => void told.push(id);
    const refused = async (options: string) => {
      const there = new Pool({ connectionString: pg.url, options });
      onTestFinished(() => there.end());
      return Promise.allSettled([new OutboxRelay(there, [sms]).drain()]);
    };
    // The old primary after a failover: it answers whoever reads, and lends the lock, too.
    const standby = await refused('-c default_transaction_read_only=on');
    expect(told, 'a second later they would be told again, and again').toEqual([]);
    expect(standby).toMatchObject([{ status: 'rejected', reason: { code: '25006' } }]);
    // As on a full disk: the table can be written, this row can't.
    await using row = await hold(`SELECT FROM outbox WHERE aggregate_id = '${first}' FOR UPDATE`);
    const full = await refused('-c lock_timeout=20');
    expect(full).toMatchObject([{ status: 'rejected', reason: { code: '55P03' } }]);
    expect(told, 'each round would tell all of them again').toEqual([first]);
    await row.release();
    await relay(
      placed.map(({ id }) => id),
      sms,
    ).drain();
    expect(told, 'once it can be written').toEqual([first, first, second]);
  });

  test('two restaurants in one database do not wait for each other', async () => {
    await pool.query('DROP SCHEMA IF EXISTS next_door CASCADE; CREATE SCHEMA next_door');
    const theirs = new Pool({ connectionString: pg.url, options: '-c search_path=next_door' });
    onTestFinished(() => theirs.end());
    // Its instances start at the same time, and each migrates.
    await Promise.all(Array.from({ length: 4 }, () => migrate(theirs)));
    const [here, there] = [draft(), draft()];
    for (const order of [here, there]) order.place();
    await orders.save(here);
    await new PostgresOrders(theirs).save(there);
    const next = new OutboxRelay(theirs, [async () => {}]);
    let delivered: number | undefined;
    await relay([here.id], async () => {
      delivered = (await next.drain()).delivered;
    }).drain();
    expect(delivered, 'told next door while one is told here').toBe(1);
  });

  test('of two relays at once one works, so that nothing is told twice or out of order', async () => {
    await relay([]).drain();
    const customer = await registered('2000.00');
    const request = { ...where, customerId: customer, items: [item] };
    const ids = await Promise.all(Array.from({ length: 6 }, () => service.createOrder(request)));
    const told: string[] = [];
    const late: unknown[] = [];
    const subscriber: Subscriber = async ({ orderId: id }) => {
      told.push(id);
      late.push(await relay(ids, subscriber).drain());
    };
    await Promise.all([relay(ids, subscriber).drain(), relay(ids, subscriber).drain(), relay(ids, subscriber).drain()]);
    expect(told.toSorted()).toEqual(ids.toSorted());
    expect(late, 'who comes while one works').toEqual(ids.map(() => ({ delivered: 0, failed: [] })));
  });

  test('a lock that could not be given back goes with its connection', async () => {
    await pool.query(`
      DROP SCHEMA IF EXISTS refusing CASCADE; CREATE SCHEMA refusing;
      CREATE FUNCTION refusing.pg_advisory_unlock(int, int) RETURNS boolean LANGUAGE plpgsql
        AS $$ BEGIN RAISE 'not now'; END $$`);
    const own = new Pool({ connectionString: pg.url, options: '-c search_path=refusing,pg_catalog,public' });
    onTestFinished(() => own.end());
    await new OutboxRelay(own, []).drain();
    const order = draft();
    order.place();
    await orders.save(order);
    const next = async () => (await relay([]).drain()).delivered;
    expect(await until(next, { what: 'another relay to have the lock' })).toBe(1);
  });

  test('a relay that has lost its lock tells nothing more, since another may be at work', async () => {
    const died = deaths();
    await relay([]).drain();
    const customer = await registered('2000.00');
    const request = { ...where, customerId: customer, items: [item] };
    const ids = [await service.createOrder(request), await service.createOrder(request)];
    const told: string[] = [];
    const history = new History<string>();
    const locks = async () =>
      (
        await pool.query<{ pid: number }>(
          `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`,
        )
      ).rows;
    const kitchen: Subscriber = async ({ orderId: id }) => {
      told.push(id);
      history.record(`the relay tells the kitchen of ${id}`);
      if (told.length > 1) return;
      for (const { pid } of await locks()) await pool.query('SELECT pg_terminate_backend($1)', [pid]);
      await until(async () => (await locks()).length === 0, { what: 'the lock to be free' });
      history.record('its connection is lost, and its lock is free');
    };
    // Whom the relay at work has told of what came after, too.
    const guest: Subscriber = async ({ orderId: id }) => {
      told.push(id);
      history.record(`the relay tells the guest of ${id}`);
    };
    const round = relay(ids, kitchen, guest).drain();
    await expect(round, history.toString()).rejects.toThrow(/connection|terminat|ECONNRESET/i);
    expect(told, history.toString()).toEqual(ids.slice(0, 1));
    expect(died.mock.calls.map(([error]) => String(error))).toEqual([]);
    await relay(ids, async ({ orderId: id }) => void told.push(id)).drain();
    expect([...new Set(told)], 'at least once').toEqual(ids);
  });

  test('whatever fails on the way, every order ends paid or declined and the money adds up', async () => {
    const dice = random(SEED);
    const people = await Promise.all(['300.00', '700.00', '1000.00'].map(registered));
    const small = { ...item, size: 'small', quantity: 2 };
    const ids: OrderId[] = [];
    const policy = paymentPolicy({ orders, customers });
    const flaky: Subscriber = async (event) => {
      if (dice.next() < 0.2) throw new Error('down before');
      await policy(event);
      if (dice.next() < 0.2) throw new Error('down after: it will be told again');
    };
    for (let round = 0; round < 6; round++) {
      const requests = people.map((customer) => ({
        ...where,
        customerId: customer,
        items: [dice.pick([item, small])],
      }));
      const made = await Promise.allSettled(requests.map((request) => service.createOrder(request)));
      ids.push(...made.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : [])));
      await Promise.all([relay(ids, flaky).drain(), relay(ids, flaky).drain()]);
    }
    // Now that nothing fails any more, one round is enough.
    expect((await settle(...ids)).failed).toEqual([]);
    const made = await Promise.all(ids.map((id) => orders.get(id)));
    expect(made.filter(({ status }) => status !== 'paid' && status !== 'declined')).toEqual([]);
    const paid = made.filter(({ status }) => status === 'paid').reduce((sum, { total }) => sum.add(total), yuan('0'));
    const left = await Promise.all(people.map(async (id) => (await customers.get(id)).balance));
    expect(paid.minor, 'somebody ate').toBeGreaterThan(0);
    expect(String(left.reduce((sum, balance) => sum.add(balance), paid)), 'spent + left').toBe('2000.00 CNY');
  });

  // ── the waiter ────────────────────────────────────────────────────────────────────────────────────────────────────

  test('the waiter says what became of a request', async () => {
    const api = httpApi(service);
    const customer = await registered('500.00');
    const send = async (method: string, path: string, body?: unknown, waiter = api) => {
      const init =
        body === undefined ? { method } : { method, body: typeof body === 'string' ? body : JSON.stringify(body) };
      const response = await waiter(new Request(`http://restaurant${path}`, init));
      return { status: response.status, body: await response.text() };
    };
    const request = { ...where, customerId: customer, items: [item] };
    const created = await send('POST', '/orders', request);
    expect(created.status, created.body).toBe(201);
    const { orderId: id }: { orderId: string } = JSON.parse(created.body);
    expect((await send('GET', `/orders/${id}`)).body).toContain('"status":"placed"');
    expect((await send('PUT', `/orders/${id}/address`, { city: 'Shanghai', street: 'Bund 9' })).status).toBe(204);
    const answers = [
      await send('POST', '/orders', '{not JSON'),
      await send('POST', '/orders', { ...request, items: 'fish' }),
      await send('PUT', `/orders/${id}/address`, { city: 7 }),
      await send('POST', '/orders', { ...request, items: [{ ...item, quantity: 4 }] }),
      await send('POST', '/orders', { ...request, items: [{ ...item, quantity: 0 }] }),
      await send('GET', `/orders/${orderId()}`),
      await send('DELETE', `/orders/${id}`),
      await send('GET', '/'),
      await send('POST', '/orders', { ...request, voucher: '5.00' }),
      await send('PUT', `/orders/${id}/street`, { city: 'Shanghai', street: 'Bund 9' }),
      await send('PUT', `/orders/${id}/address/old`, { city: 'Shanghai', street: 'Bund 9' }),
      await send('POST', '/orders', 'null'),
      await send('POST', '/orders', { ...request, items: [item, { ...item, quantity: '4' }] }),
      await send('POST', `/orders/${id}`, request),
      await send('GET', '/orders'),
      await send('GET', `/orders/${id}/address`),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      ...[400, 400, 400, 402, 422, 404, 404, 404, 400, 404, 404],
      ...[400, 400, 404, 404, 404],
    ]);
    expect(answers[3]?.body).toContain('owes 512.00 CNY and has 500.00 CNY');
    const late = httpApi(new OrderService({ orders: overtaken, customers, menu }));
    const conflicts = [
      await send('POST', '/orders', request, late),
      await send('PUT', `/orders/${id}/address`, { city: 'Shanghai', street: 'Bund 1' }, late),
    ];
    expect(conflicts.map(({ status }) => status)).toEqual([409, 409]);
    expect(conflicts[1]?.body, 'what he can do').toContain('load it again');
    const gone = new Pool({ connectionString: pg.url });
    await gone.end();
    const broken = httpApi(new OrderService({ orders: new PostgresOrders(gone), customers, menu }));
    const asking = broken(new Request(`http://restaurant/orders/${id}`));
    await expect(asking, 'a fault of the database is no answer to the guest').rejects.toThrow('pool');
  });
});
