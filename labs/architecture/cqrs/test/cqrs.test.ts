import { startPostgres } from '@shared/services';
import { describeWith, History, outcome, until } from '@shared/testkit';
import { DatabaseError, Pool } from 'pg';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import {
  board,
  CommandBus,
  CommandRejectedError,
  ConflictError,
  CqrsError,
  type EventStore,
  InvalidArgumentError,
  type Item,
  type Log,
  type OrderCommand,
  type OrderEvent,
  order,
  PoisonEventError,
  PostgresEventStore,
  type Projection,
  Projector,
  type ProjectorOptions,
  Queries,
  type Recorded,
  StaleReadError,
  StoreError,
  type StoreOptions,
  sales,
  type Tx,
} from '#lab';
import { listen } from './crash-worker.ts';

const BURGER: readonly Item[] = [{ name: 'cheeseburger', quantity: 2 }];
const FRIES: readonly Item[] = [{ name: 'fries', quantity: 1 }];
const entry = (n: number, stream = `order-${n}`, expectedVersion = 0) => ({
  stream,
  expectedVersion,
  events: [collected(n)],
  commandId: `c${n}`,
});
const collected = (n: number, items = BURGER): OrderEvent => ({
  type: 'OrderCollected',
  data: { orderId: String(n), items },
});

await describeWith('cqrs', { postgres: () => startPostgres() }, ({ postgres }) => {
  const pool = new Pool({ connectionString: postgres.url, max: 12 });
  pool.on('error', () => {});
  afterAll(() => pool.end());

  let shops = 0;
  /** A shop of the test's own: both books, nothing in them. */
  const open = async (storeOptions: StoreOptions = {}) => {
    const name = `s${++shops}`;
    const store = new PostgresEventStore<OrderEvent>(pool, name, storeOptions);
    await store.migrate();
    const bus = new CommandBus(store, order);
    let commands = 0;
    const send = (orderId: string, wish: DistributiveOmit<OrderCommand, 'id' | 'orderId'>, id = `c${++commands}`) =>
      bus.send({ id, orderId, ...wish });
    const projector = async (
      projection: Projection<OrderEvent> = board,
      options: ProjectorOptions = {},
      log: Log<OrderEvent> = store,
    ) => {
      const made = new Projector(pool, log, projection, { prefix: name, ...options });
      await made.migrate();
      return made;
    };
    const queries = new Queries(pool, name);
    const rows = (projection: { name: string }, options: Parameters<Queries['query']>[2] = {}) =>
      queries.query(
        projection,
        async (db, table) => (await db.query(`SELECT * FROM ${table} ORDER BY 1`)).rows,
        options,
      );
    const raw = (n: number, event: OrderEvent = collected(n)) =>
      store.append({ stream: `order-${n}`, expectedVersion: 0, events: [event], commandId: `raw${n}` });
    const sold = async () => Object.fromEntries((await rows(sales)).map(({ item, sold }) => [item, sold]));
    return { name, store, bus, send, projector, queries, rows, raw, sold };
  };
  /** The server ends this connection while nobody asks it anything. */
  const sever = async (tx: Tx) => {
    const { rows } = await tx.query('SELECT pg_backend_pid() AS pid');
    const gone = 'SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)';
    await pool.query('SELECT pg_terminate_backend($1)', [rows[0].pid]);
    await until(async () => (await pool.query(gone, [rows[0].pid])).rowCount);
  };
  /** Connections of a test's own; `hear` learns of each answer before whoever asked for it, and may keep it from him. */
  const connections = (hear: (statement: string) => unknown) => {
    const own = new Pool({ connectionString: postgres.url });
    own.on('error', () => {});
    onTestFinished(() => own.end());
    listen(own, async (statement) => void (await hear(statement)));
    return own;
  };
  const WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
  const waiting = async () => (await pool.query(`SELECT ${WAITING}`)).rowCount ?? 0;
  /** Waits for what happens while a call is under way; a call that fails is not waited for. */
  const meanwhile = (call: Promise<unknown>, ...[probe, options]: Parameters<typeof until>) =>
    Promise.race([call, until(probe, options)]);
  /** An instance whose round has failed, and that notes so when it is let go. */
  const failed = async (instance: (own: Pool) => Projector<OrderEvent>) => {
    const late = Promise.withResolvers<void>();
    onTestFinished(() => late.resolve());
    let rolledBack = false;
    const own = connections(() => undefined);
    const query = own.query.bind(own);
    Reflect.set(own, 'query', async (...args: unknown[]) => {
      if (String(args[0]).startsWith('UPDATE')) {
        rolledBack = true;
        await late.promise;
      }
      return Reflect.apply(query, undefined, args);
    });
    const projector = instance(own);
    await projector.migrate();
    const failing = projector.round();
    await meanwhile(failing, () => rolledBack, { what: 'the code to have failed' });
    const note = () => {
      late.resolve();
      return failing;
    };
    return { projector, note };
  };
  /** The server's commit of an event of this stream takes until it is let go, whatever the client does. */
  const slowCommit = async (name: string, stream: string) => {
    const gate = await pool.connect();
    await gate.query("SELECT pg_advisory_lock(hashtext('gate'), hashtext($1))", [name]);
    await gate.query(`
      CREATE FUNCTION ${name}_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.stream LIKE '${stream}' THEN PERFORM pg_advisory_xact_lock(hashtext('gate'), hashtext('${name}')); END IF;
        RETURN NULL;
      END $$;
      CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON ${name}_events DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION ${name}_gate()`);
    let shut = true;
    const letGo = async () => {
      if (!shut) return;
      shut = false;
      await gate.query('SELECT pg_advisory_unlock_all()');
      gate.release();
    };
    onTestFinished(letGo);
    return letGo;
  };
  const drain = async (projector: { round(): Promise<number> }) => {
    while ((await projector.round()) > 0);
  };

  // ── the command side ──────────────────────────────────────────────────────────────────────────────────────────────

  test('what makes no sense is refused', async () => {
    const { name, store, send, queries, projector, rows } = await open();
    const cases: [string, () => unknown][] = [
      ['no id', () => send('7', { type: 'place', customer: 'Li', items: BURGER }, '')],
      ['no item', () => send('7', { type: 'place', customer: 'Li', items: [] })],
      ['no name', () => send('7', { type: 'place', customer: 'Li', items: [{ name: '', quantity: 1 }] })],
      ['no order', () => send('', { type: 'place', customer: 'Li', items: BURGER })],
      ['nobody', () => send('7', { type: 'place', customer: '', items: BURGER })],
      [
        'more than an int',
        () => send('7', { type: 'place', customer: 'Li', items: [{ name: 'b', quantity: 2 ** 31 }] }),
      ],
      [
        'a name beyond what an index takes',
        () => send('7', { type: 'place', customer: 'Li', items: [{ name: 'b'.repeat(1_001), quantity: 1 }] }),
      ],
      ...[
        '{}',
        '{"items":"b"}',
        '{"items":[null]}',
        '{"items":[{"quantity":1}]}',
        '{"items":[{"name":"b","quantity":{"toString":1}}]}',
      ].map((body): [string, () => unknown] => [
        `what a browser sent: ${body}`,
        () => send('7', { type: 'place', customer: 'Li', ...JSON.parse(body) }),
      ]),
      ['half a burger', () => send('7', { type: 'place', customer: 'Li', items: [{ name: 'burger', quantity: 0.5 }] })],
      ['a negative one', () => send('7', { type: 'place', customer: 'Li', items: [{ name: 'burger', quantity: -1 }] })],
      [
        'a burger and a half',
        () => send('7', { type: 'place', customer: 'Li', items: [{ name: 'b', quantity: 1.5 }] }),
      ],
      ['a wait that no timer knows', () => new PostgresEventStore(pool, 'x', { lockTimeoutMs: 2 ** 31 })],
      ['no event', () => store.append({ stream: 's', expectedVersion: 0, events: [], commandId: 'c' })],
      [
        'an event that tells nothing',
        () => store.append({ ...entry(1), events: [JSON.parse('{"type":"OrderReady"}')] }),
      ],
      ['no version', () => store.append({ ...entry(1), expectedVersion: Number.NaN })],
      ['no attempt', () => new CommandBus(store, order, { attempts: 0 })],
      ['a timer that never ends', () => new PostgresEventStore(pool, 'x', { lockTimeoutMs: Number.POSITIVE_INFINITY })],
      ['a batch of nothing', () => projector(board, { batch: 0 })],
      ['a negative pause', () => projector(board, { idleMs: -1 })],
      ['a version that is no number', () => projector({ ...board, version: Number.NaN })],
      ['an unknown projection', () => projector().then(() => queries.query({ name: 'menu' }, async () => 1))],
      [
        'a projection that was never migrated, beside one that was',
        () => projector().then(() => new Projector(pool, store, sales, { prefix: name }).round()),
      ],
      ['a shop that is not there', () => new Queries(pool, 'nowhere').query(board, async () => 1)],
      ['a wait that is no number', () => queries.query(board, async () => 1, { timeoutMs: Number.NaN })],
      ...['toString', 'constructor', '__proto__', 'nope'].map((type): [string, () => unknown] => [
        `a command that is called ${type}`,
        () => send('7', JSON.parse(JSON.stringify({ type: 'x' }).replace('x', type))),
      ]),
    ];
    for (const [what, attempt] of cases) {
      await expect(async () => attempt(), what).rejects.toThrow(InvalidArgumentError);
    }
    expect(await store.backlog(0n)).toEqual({ events: 0, ms: 0 });
    expect(new InvalidArgumentError('x')).toBeInstanceOf(CqrsError);
    // The least that makes sense, and the most.
    expect(new PostgresEventStore(pool, 'x', { lockTimeoutMs: 2 ** 31 - 1 })).toBeDefined();
    await send('7', { type: 'place', customer: 'Li', items: BURGER });
    expect(await store.readAll(0n, 1)).toHaveLength(1);
    await (await projector()).round();
    expect(await rows(board, { timeoutMs: 0 })).toHaveLength(1);
  });

  test('what stands at a limit is within it', async () => {
    const { name, store, send, raw } = await open();
    const most = 2 ** 31 - 1;
    const longest = new PostgresEventStore<OrderEvent>(pool, name.padEnd(63 - '_commands'.length, 'x'));
    await longest.migrate();
    await longest.append({ ...entry(1, `${'汉'.repeat(333)}x`), commandId: 'c'.repeat(1_000) });
    const items = [1, most].map((quantity) => ({ name: `${quantity}`.padEnd(1_000, 'x'), quantity }));
    await send('7', { type: 'place', customer: 'L'.repeat(1_000), items });
    const shortest = new PostgresEventStore<OrderEvent>(pool, name, { lockTimeoutMs: 1 });
    expect(await shortest.readAll(0n, most)).toMatchObject([{ data: { items } }]);
    const wide = { ...sales, name: 'x'.repeat(63 - `${name}__${most}`.length) };
    for (const [least, batch] of [
      [0, 1],
      [most, most],
    ] as const) {
      const limits = { batch, idleMs: least, idleInTransactionMs: batch };
      const make = (options: ProjectorOptions) =>
        new Projector(pool, store, { ...wide, version: least }, { prefix: name, ...options });
      expect(() => make(limits), `batches of ${batch}`).not.toThrow();
      await raw(batch);
      const till = make({ batch });
      await till.migrate();
      await till.rebuild();
      expect(await till.lag(), `version ${least}`).toMatchObject({ events: 0 });
    }
    for (const attempts of [1, most]) expect(() => new CommandBus(store, order, { attempts })).not.toThrow();
  });

  test('what is not said is as the options say', async () => {
    const store = new PostgresEventStore<OrderEvent>(pool);
    await store.migrate();
    const readAll = vi.spyOn(store, 'readAll');
    const idle: unknown[] = [];
    const ask = async (db: Tx) => idle.push(...(await db.query('SHOW idle_in_transaction_session_timeout')).rows);
    const till = new Projector(pool, store, { ...sales, on: { OrderCollected: ask } });
    await till.migrate();
    const queries = new Queries(pool);
    const late = outcome(queries.query(sales, ask, { atLeast: 99n }), 30_000);
    await pool.query("ALTER TABLE orders_events ADD patience text DEFAULT current_setting('lock_timeout')");
    let writes = 0;
    const own = new PostgresEventStore<OrderEvent>(connections(() => writes++));
    await Promise.all([1, 2].map((n) => own.append(entry(n))));
    expect(writes, 'appends go one by one').toBe(2);
    const { rows } = await pool.query('SELECT DISTINCT patience FROM orders_events');
    expect(rows, 'the longest wait for the lock of the log').toEqual([{ patience: '5s' }]);
    await drain(till);
    expect(readAll.mock.calls.map(([, limit]) => limit)).toEqual([500, 500]);
    await queries.query(sales, ask);
    expect(idle, 'in two handlers and a query').toEqual(
      Array.from({ length: 3 }, () => ({ idle_in_transaction_session_timeout: '10s' })),
    );
    const append = vi.spyOn(store, 'append').mockRejectedValue(new ConflictError('order-7 has moved on'));
    const place: OrderCommand = { id: 'c', orderId: '7', type: 'place', customer: 'Li', items: BURGER };
    await expect(new CommandBus(store, order).send(place)).rejects.toThrow(ConflictError);
    expect(append).toHaveBeenCalledTimes(5);
    expect((await late).error).toMatchObject({
      constructor: StaleReadError,
      message: expect.stringContaining('after 1000 ms'),
    });
  });

  test('whichever statement fails, whoever asked is told', { timeout: 20_000 }, async () => {
    const { name, store, raw } = await open();
    await raw(1);
    const reason = Object.assign(new DatabaseError('canceling statement due to user request', 0, 'error'), {
      code: '57014',
    });
    let statements = 0;
    let fails = 0;
    const own = connections(() => {
      if (++statements === fails) throw reason;
    });
    const till = (of: string, on = own) => new Projector(on, store, { ...sales, name: of }, { prefix: name });
    const first = async (of: string) => {
      const healthy = till(of, pool);
      await healthy.migrate();
      await drain(healthy);
    };
    const jobs: [what: string, before: (of: string) => Promise<unknown>, job: (of: string) => Promise<unknown>][] = [
      ['open', async () => {}, (of) => new PostgresEventStore(own, `${name}${of}`).migrate()],
      ['migrate', async () => {}, (of) => till(of).migrate()],
      ['round', (of) => till(of, pool).migrate(), (of) => drain(till(of))],
      ['rebuild', first, (of) => till(of).rebuild()],
      ['resume', first, (of) => till(of).resume()],
      ['lag', first, (of) => till(of).lag()],
      ['query', first, (of) => new Queries(own, name).query({ name: of }, (db, table) => db.query(`TABLE ${table}`))],
    ];
    for (const [what, before, job] of jobs) {
      for (fails = 1; ; fails++) {
        const of = `${what}${fails}`;
        await before(of);
        statements = 0;
        const { error } = await outcome(job(of));
        if (statements < fails) break;
        const cause = error instanceof StoreError ? error.cause : error;
        expect(cause, `${what}, statement ${fails}`).toBe(reason);
      }
    }
  });

  test('a projector that failed waits before it tries again', async () => {
    const { store, projector } = await open();
    const told: unknown[] = [];
    const till = await projector(board, { idleMs: 60_000, onError: (error) => told.push(error) });
    vi.spyOn(store, 'readAll').mockRejectedValue(new Error('the log is away'));
    till.start();
    await until(() => told.length > 0, { what: 'the first failure to be told' });
    for (let trip = 0; trip < 20; trip++) await pool.query('SELECT 1');
    await till.stop();
    expect(told).toHaveLength(1);
  });

  test('a decision is made anew as often as was said, and no more', async () => {
    const { store } = await open();
    let appends = 0;
    vi.spyOn(store, 'append').mockImplementation(async () => {
      appends += 1;
      throw new ConflictError('order-7 has moved on');
    });
    const bus = new CommandBus(store, order, { attempts: 3 });
    const place: OrderCommand = { id: 'c', orderId: '7', type: 'place', customer: 'Li', items: BURGER };
    await expect(bus.send(place)).rejects.toThrow(ConflictError);
    expect(appends).toBe(3);
  });

  test('what would not come back as it went is refused, and the field is named', async () => {
    const { store, send } = await open();
    const half = 'user\ud83d';
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    const place = (customer: unknown) => JSON.parse(JSON.stringify({ type: 'place', customer, items: BURGER }));
    const event = (data: unknown) => ({ ...entry(1), events: [{ ...collected(1), data: Object(data) }] });
    const told = { ...collected(1), metadata: { clerk: 'Li' } };
    // Three of the hundred are those of the append itself.
    const nested = (levels: number) => Array.from({ length: levels - 1 }).reduce<object>((inner) => ({ inner }), {});
    const cases: [string, RegExp, () => Promise<unknown>][] = [
      ['more levels than a stack is sure of', /100 levels/, () => store.append(event(nested(98)))],
      ['half a pair in a command id', /command id/, () => send('7', { type: 'cook' }, half)],
      ['half a pair in an order id', /order id/, () => send(half, { type: 'cook' })],
      ['half a pair in a stream that is read', /stream/, () => store.read(half)],
      ['half a pair in a customer', /customer/, () => send('7', place(half))],
      ['half a pair in an event', /events\.0\.data\.customer/, () => store.append(event({ customer: half }))],
      ['U+0000 in a customer', /customer/, () => send('7', place('Li\0'))],
      ['U+0000 in a command id', /command id/, () => store.positionOf('c\0')],
      ['U+0000 in a key', /data/, () => store.append(event({ 'a\0': 1 }))],
      ['a stream beyond what an index takes', /1,000/, () => store.append(entry(1, 'x'.repeat(60_000)))],
      ['a bigint', /data\.n is of type bigint/, () => store.append(event({ n: 1n }))],
      ['a field beside the data', /metadata/, () => store.append({ ...entry(1), events: [told] })],
      ['a cycle', /data\.self contains itself/, () => store.append(event(cycle))],
      ['a date, which comes back as a text', /data\.at is a Date/, () => store.append(event({ at: new Date() }))],
      ['NaN, which comes back as null', /data\.n is NaN/, () => store.append(event({ n: Number.NaN }))],
      ['a map, which comes back empty', /Map/, () => store.append(event({ map: new Map([[1, 2]]) }))],
    ];
    for (const [what, field, attempt] of cases) {
      const error = await attempt().catch((reason: unknown) => reason);
      expect(error, what).toBeInstanceOf(InvalidArgumentError);
      expect(error, what).toMatchObject({ message: expect.stringMatching(field) });
    }
    const kept = { text: '汉堡 🍔 \\u0000', list: [0.1, -1e21, null, true], gone: undefined, own: { toString: 'x' } };
    await store.append(event(kept));
    expect(await store.read('order-1')).toMatchObject([{ data: JSON.parse(JSON.stringify(kept)) }]);
    await store.append({ ...event(nested(97)), stream: 'deep', commandId: 'deep' });
    expect((await store.backlog(0n)).events).toBe(2);
  });

  test('a name that Postgres would cut, or that would be taken for another, is refused at once', async () => {
    const { store, projector } = await open();
    const long = 'x'.repeat(58);
    const cases: [string, () => unknown][] = [
      ['a store beyond 63 bytes', () => new PostgresEventStore(pool, long)],
      ['one whose commands are a byte beyond', () => new PostgresEventStore(pool, 'x'.repeat(55))],
      ['a Chinese one', () => new PostgresEventStore(pool, '汉'.repeat(19))],
      ['a prefix beyond 63 bytes', () => new Projector(pool, store, board, { prefix: long })],
      ['a projection that fits until its tenth build', () => projector({ ...board, name: 'x'.repeat(57) })],
      ['a shop without a name', () => new PostgresEventStore(pool, '')],
      ['a zero-width space', () => new PostgresEventStore(pool, 'shop\u200b')],
      ['a quote', () => new Queries(pool, 'shop"').query(board, async () => 1)],
      ['an underscore: shop_a + b is shop + a_b', () => projector({ ...board, name: 'late_orders' })],
    ];
    for (const [what, attempt] of cases) {
      await expect(async () => attempt(), what).rejects.toThrow(InvalidArgumentError);
    }
    const { rounds, table } = await projector({ ...board, name: '大屏幕' }).then(async (screen) => ({
      rounds: await screen.round(),
      table: await new Queries(pool, `s${shops}`).query({ name: '大屏幕' }, async (_, name) => name),
    }));
    expect([rounds, table]).toEqual([0, `"s${shops}_大屏幕_1"`]);
  });

  test('an order goes its way, and each step is an event in its stream', async () => {
    const { store, send, name } = await open();
    // Another instance has another memory: what it decides on is in the book alone.
    const other = new CommandBus(new PostgresEventStore<OrderEvent>(pool, name), order);
    await send('7', { type: 'place', customer: 'Li', items: BURGER });
    await other.send({ id: 'there', orderId: '7', type: 'change', items: FRIES });
    for (const type of ['cook', 'finish', 'collect'] as const) await send('7', { type });
    const events = await store.read('order-7');
    expect(events.map(({ version, type }) => `${version} ${type}`)).toEqual([
      '1 OrderPlaced',
      '2 ItemsChanged',
      '3 CookingStarted',
      '4 OrderReady',
      '5 OrderCollected',
    ]);
    expect(events.at(-1)?.data).toEqual({ orderId: '7', items: FRIES });
  });

  test('a command that the rules refuse writes nothing', async () => {
    const { store, send } = await open();
    await expect(send('7', { type: 'cook' })).rejects.toThrow(CommandRejectedError);
    await send('7', { type: 'place', customer: 'Li', items: BURGER });
    await send('7', { type: 'cook' });
    await expect(send('7', { type: 'change', items: FRIES })).rejects.toThrow(CommandRejectedError);
    await expect(send('7', { type: 'place', customer: 'Wu', items: FRIES })).rejects.toThrow(CommandRejectedError);
    expect(await store.read('order-7')).toHaveLength(2);
  });

  test('of several decisions on one version one is written', async () => {
    const { store } = await open();
    const append = (commandId: string, expectedVersion: number) =>
      store.append({ stream: 'order-7', expectedVersion, events: [collected(7), collected(7)], commandId });
    const outcomes = await Promise.allSettled(['a', 'b', 'c', 'd'].map((id) => append(id, 0)));
    const lost = outcomes.flatMap((ended) => (ended.status === 'rejected' ? [ended.reason] : []));
    expect(lost).toHaveLength(3);
    for (const error of lost) expect(error).toBeInstanceOf(ConflictError);
    await expect(append('e', 1), 'an older version').rejects.toThrow(ConflictError);
    await expect(append('f', 5), 'a version that is not there').rejects.toThrow(ConflictError);
    expect((await store.read('order-7')).map(({ version }) => version)).toEqual([1, 2]);
  });

  test('whatever isolation the database has by default, of several decisions one is written, and of several who migrate and rebuild none fails', async () => {
    for (const isolation of ['repeatable read', 'serializable']) {
      const { name } = await open();
      const own = new Pool({
        connectionString: postgres.url,
        options: `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`,
      });
      own.on('error', () => {});
      onTestFinished(() => own.end());
      const instances = [1, 2, 3].map(
        () => new Projector(own, new PostgresEventStore<OrderEvent>(own, name), board, { prefix: name }),
      );
      await Promise.all(instances.map((each) => each.migrate()));
      await Promise.all(instances.map((each) => each.rebuild()));
      for (const groupCommit of [false, true]) {
        const store = new PostgresEventStore<OrderEvent>(own, name, { groupCommit });
        const appends = Array.from({ length: 5 }, (_, n) =>
          store.append({ ...entry(n, `order-${groupCommit}`), commandId: `${groupCommit}${n}` }),
        );
        const refused = (await Promise.allSettled(appends)).flatMap((each) =>
          each.status === 'rejected' ? [each.reason] : [],
        );
        expect(
          refused.map((error) => error instanceof ConflictError),
          `${isolation}: ${refused}`,
        ).toEqual([true, true, true, true]);
      }
    }
  });

  test('whatever isolation the database has by default, an order refuses no other order', async () => {
    const { name } = await open();
    // As Postgres reads a small table: whole, and what others write to it meanwhile is a conflict to "serializable".
    const whole = ['indexscan', 'bitmapscan', 'indexonlyscan'].map((way) => `-c enable_${way}=off`).join(' ');
    const options = `-c default_transaction_isolation=serializable ${whole}`;
    const own = new Pool({ connectionString: postgres.url, options });
    onTestFinished(() => own.end());
    const store = new PostgresEventStore<OrderEvent>(own, name);
    const gate = await pool.connect();
    onTestFinished(() => gate.release(true));
    // Nobody's append ends before everybody's has begun.
    await gate.query(`BEGIN; LOCK TABLE ${name}_events IN SHARE MODE`);
    const appends = Array.from({ length: 8 }, (_, n) => store.append(entry(n)).then(() => 'appended', String));
    await until(async () => (await waiting()) === 8, { what: 'all to wait' });
    await gate.query('ROLLBACK');
    expect(await Promise.all(appends)).toEqual(Array(8).fill('appended'));
  });

  test('whoever was slower decides anew on what is there by then', async () => {
    const { store, send } = await open();
    let overtaken = async () => {};
    /** Between the decision and the append of whoever sends over this, somebody else is faster, once. */
    const late: EventStore<OrderEvent> = {
      read: (stream) => store.read(stream),
      readAll: (after, limit) => store.readAll(after, limit),
      positionOf: (id) => store.positionOf(id),
      backlog: (after) => store.backlog(after),
      append: async (entry) => {
        const faster = overtaken;
        overtaken = async () => {};
        await faster();
        return store.append(entry);
      },
    };
    const slow = new CommandBus(late, order);
    const history = async (n: string) => (await store.read(`order-${n}`)).map(({ type }) => type);
    for (const orderId of ['7', '8']) await send(orderId, { type: 'place', customer: 'Li', items: BURGER });
    overtaken = async () => void (await send('7', { type: 'change', items: FRIES }));
    await slow.send({ id: 'still allowed', orderId: '7', type: 'cook' });
    expect(await history('7')).toEqual(['OrderPlaced', 'ItemsChanged', 'CookingStarted']);
    overtaken = async () => void (await send('8', { type: 'cook' }));
    const refused = slow.send({ id: 'too late', orderId: '8', type: 'change', items: FRIES });
    await expect(refused).rejects.toThrow(CommandRejectedError);
    expect(await history('8')).toEqual(['OrderPlaced', 'CookingStarted']);
  });

  test('a command that is sent again has one effect and the same answer', async () => {
    const { store, bus, send } = await open();
    await send('7', { type: 'place', customer: 'Li', items: BURGER });
    const change = { id: 'the same', orderId: '7', type: 'change', items: FRIES } as const;
    // Another instance has another memory: only what is in the database counts.
    const other = new CommandBus(new PostgresEventStore<OrderEvent>(pool, `s${shops}`), order);
    const answers = await Promise.all([bus.send(change), other.send(change), bus.send(change), other.send(change)]);
    await send('7', { type: 'cook' });
    answers.push(await other.send(change));
    // The last attempt, too, may have met nobody but its twin.
    const finish = { id: 'once', orderId: '7', type: 'finish' } as const;
    const append = vi.spyOn(store, 'append').mockImplementationOnce(async (entry) => {
      await other.send(finish);
      return store.append(entry);
    });
    onTestFinished(() => append.mockRestore());
    const last = new CommandBus(store, order, { attempts: 1 }).send(finish);
    expect(await last).toEqual(await other.send(finish));
    // Refused for what its twin has done, and nobody could be asked whether it was its twin.
    const collect = { id: 'refused', orderId: '7', type: 'collect' } as const;
    const looks = vi.spyOn(store, 'read').mockImplementationOnce(async (stream) => {
      const { position } = await other.send(collect);
      vi.spyOn(store, 'positionOf').mockRejectedValueOnce(new StoreError(`at ${position}`, 'no', undefined));
      return store.read(stream);
    });
    onTestFinished(() => looks.mockRestore());
    await expect(bus.send(collect)).rejects.toThrow(StoreError);
    expect(await bus.send(collect)).toEqual(await other.send(collect));
    expect(new Set(answers.map(({ position }) => position)).size, 'positions told').toBe(1);
    expect((await store.read('order-7')).map(({ type }) => type)).toEqual([
      'OrderPlaced',
      'ItemsChanged',
      'CookingStarted',
      'OrderReady',
      'OrderCollected',
    ]);
  });

  // ── the query side ────────────────────────────────────────────────────────────────────────────────────────────────

  test('the board shows what has happened, once it is projected', async () => {
    const { send, projector, rows, sold } = await open();
    const [screen, till] = [await projector(), await projector(sales)];
    await send('7', { type: 'place', customer: 'Li', items: [...BURGER, ...FRIES] });
    await send('8', { type: 'place', customer: 'Wu', items: FRIES });
    for (const type of ['cook', 'finish', 'collect'] as const) await send('7', { type });
    expect(await rows(board), 'before').toEqual([]);
    await drain(screen);
    await drain(till);
    expect(await rows(board)).toMatchObject([
      { order_id: '7', customer: 'Li', items: 'cheeseburger ×2, fries ×1', status: 'collected' },
      { order_id: '8', customer: 'Wu', items: 'fries ×1', status: 'placed' },
    ]);
    expect(await sold()).toEqual({ cheeseburger: 2, fries: 1 });
    const most = 2 ** 31 - 1;
    await send('9', { type: 'place', customer: 'Li', items: [...FRIES, { name: 'fries', quantity: most }] });
    for (const type of ['cook', 'finish', 'collect'] as const) await send('9', { type });
    await drain(till);
    expect(await sold(), 'whatever the rules allow can be counted').toEqual({ cheeseburger: 2, fries: most + 2 });
  });

  test('a read model needs nothing but the events', async () => {
    const { name, projector, rows } = await open();
    // The command side is elsewhere: what arrives is the log, and its tables are out of reach.
    await pool.query(`ALTER TABLE ${name}_events RENAME TO ${name}_elsewhere`);
    const event = (position: bigint, data: OrderEvent): Recorded<OrderEvent> => ({
      ...data,
      position,
      stream: 'order-7',
      version: Number(position),
      at: new Date(),
    });
    const log = [
      event(1n, { type: 'OrderPlaced', data: { orderId: '7', customer: 'Li', items: BURGER } }),
      event(2n, { type: 'ItemsChanged', data: { orderId: '7', items: FRIES } }),
    ];
    const readAll = async (after: bigint) => log.filter(({ position }) => position > after);
    await drain(await projector(board, {}, { readAll, backlog: async () => ({ events: 0, ms: 0 }) }));
    expect(await rows(board)).toMatchObject([{ order_id: '7', items: 'fries ×1' }]);
  });

  test('events that come twice or in disorder do no harm', async () => {
    const { store, raw, projector, sold } = await open();
    for (let n = 1; n <= 6; n++) await raw(n);
    let last: Recorded<OrderEvent>[] = [];
    const readAll = async (after: bigint, limit: number) => {
      const fresh = await store.readAll(after, limit);
      const sent = [...last, ...fresh.toReversed(), ...fresh];
      last = fresh;
      return fresh.length === 0 ? [] : sent;
    };
    await drain(await projector(sales, { batch: 2 }, { readAll, backlog: (after) => store.backlog(after) }));
    expect(await sold()).toEqual({ cheeseburger: 12 });
  });

  test('a batch that fails half-way leaves neither rows nor a checkpoint', async () => {
    const { name, raw, projector, sold } = await open();
    for (let n = 1; n <= 4; n++) await raw(n);
    const troubles = [
      (tx: Tx) => tx.query("DO $$ BEGIN RAISE 'the disk is full' USING ERRCODE = '53100'; END $$"),
      // What is lost in the middle is this batch, and neither the process nor the projection.
      sever,
      // All rows are written, and the checkpoint can't be.
      () =>
        pool.query(`
          CREATE OR REPLACE FUNCTION ${name}_full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is full' USING ERRCODE = '53100'; END $$;
          CREATE TRIGGER full_disk BEFORE UPDATE OF position ON ${name}_builds EXECUTE FUNCTION ${name}_full()`),
    ];
    let trouble: ((tx: Tx) => Promise<unknown>) | undefined;
    const flaky: Projection<OrderEvent> = {
      ...sales,
      on: {
        OrderCollected: async (tx, table, event) => {
          if (event.data.orderId === '3') await trouble?.(tx);
          await sales.on.OrderCollected?.(tx, table, event);
        },
      },
    };
    const till = await projector(flaky);
    for (trouble of troubles) {
      await expect(till.round()).rejects.toThrow(/the disk is full|connection/i);
      expect(await sold()).toEqual({});
      expect(await till.lag()).toMatchObject({ events: 4, paused: undefined });
    }
    trouble = undefined;
    await pool.query(`DROP TRIGGER full_disk ON ${name}_builds`);
    await drain(till);
    expect(await sold()).toEqual({ cheeseburger: 8 });
  });

  test('queries never write', async () => {
    const { queries, projector } = await open();
    await projector();
    for (const sql of ['DELETE FROM', 'TRUNCATE', 'DROP TABLE']) {
      await expect(queries.query(board, (db, table) => db.query(`${sql} ${table}`))).rejects.toThrow(/read-only/);
    }
  });

  test('whoever asks a table that is not there is told so, and not kept waiting for a rebuild', async () => {
    const { queries, projector } = await open();
    await projector();
    const astray = queries.query(board, (db) => db.query('SELECT FROM nowhere'));
    await expect(astray).rejects.toThrow('nowhere');
  });

  test('the lag grows with what waits, and an idle shop has none', async () => {
    const { name, raw, projector } = await open();
    const till = await projector(sales);
    expect(await till.lag()).toEqual({ events: 0, ms: 0, paused: undefined });
    await raw(1);
    await raw(2);
    const early = await till.lag();
    await until(async () => (await till.lag()).ms > early.ms + 20, { what: 'the lag to grow' });
    expect(early).toMatchObject({ events: 2 });
    // The clock of the machine that asks is an hour ahead.
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 3_600_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect((await till.lag()).ms).toBeLessThan(1_800_000);
    await pool.query(`UPDATE ${name}_events SET at = at + interval '1 hour'`);
    expect(await till.lag(), "the log's own clock was set back").toMatchObject({ events: 2, ms: 0 });
    await drain(till);
    expect(await till.lag(), 'all is done').toEqual({ events: 0, ms: 0, paused: undefined });
  });

  test('a reader sees what it wrote, or is told that it cannot', async () => {
    const { send, projector, rows } = await open();
    const screen = await projector(board, { idleMs: 1 });
    onTestFinished(() => screen.stop());
    const { position } = await send('7', { type: 'place', customer: 'Li', items: BURGER });
    const late = await rows(board, { atLeast: position, timeoutMs: 30 }).catch((error: unknown) => error);
    expect(late).toBeInstanceOf(StaleReadError);
    expect(late).toMatchObject({ position: 0n, atLeast: position });
    expect(await rows(board), 'who does not ask for more gets the old board at once').toEqual([]);
    const waiting = rows(board, { atLeast: position, timeoutMs: 4_000 });
    screen.start();
    expect(await waiting).toMatchObject([{ order_id: '7' }]);
  });

  test('whoever no longer waits is let go: a query and a rebuild end by their signal', async () => {
    const { store, raw, projector, rows, sold } = await open();
    for (let n = 1; n <= 4; n++) await raw(n);
    const till = await projector(sales);
    const leaves = new AbortController();
    const query = rows(sales, { atLeast: 4n, timeoutMs: 60_000, signal: leaves.signal });
    leaves.abort(new Error('the customer has left'));
    await expect(query).rejects.toThrow('the customer has left');
    await drain(till);
    const closing = new AbortController();
    const asked: bigint[] = [];
    const readAll = async (after: bigint, limit: number) => {
      asked.push(after);
      closing.abort(new Error('the shop closes'));
      return store.readAll(after, limit);
    };
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    const next = await projector(sales, { batch: 2 }, log);
    await expect(next.rebuild({ signal: closing.signal })).rejects.toThrow('the shop closes');
    expect(asked, 'one batch').toEqual([0n]);
    const left = next.rebuild({ signal: closing.signal });
    await expect(left, 'who has left before').rejects.toThrow('the shop closes');
    expect(asked, 'not one batch more').toHaveLength(1);
    await next.rebuild();
    expect(
      asked.filter((after) => after === 0n),
      'beginnings',
    ).toHaveLength(1);
    expect(await sold()).toEqual({ cheeseburger: 8 });
  });

  test('a poison event pauses its own projection, and no other', async () => {
    const { raw, projector, rows, sold, send } = await open();
    await raw(1);
    await raw(2);
    await raw(3, collected(3, [{ name: 'pineapple', quantity: 1 }]));
    const { position } = await send('7', { type: 'place', customer: 'Li', items: BURGER });
    await raw(4);
    const fussy: Projection<OrderEvent> = {
      ...sales,
      on: {
        OrderCollected: async (tx, table, event) => {
          if (event.data.items.some(({ name }) => name === 'pineapple')) throw new Error('no such burger');
          await sales.on.OrderCollected?.(tx, table, event);
        },
      },
    };
    const told: unknown[] = [];
    const till = await projector(fussy, { onError: (error) => told.push(error) });
    const screen = await projector();
    await drain(till);
    await drain(till);
    await drain(screen);
    expect(await sold(), 'what came before it is counted, what comes after it waits').toEqual({ cheeseburger: 4 });
    expect(await till.lag()).toMatchObject({ events: 3, paused: expect.stringContaining('no such burger') });
    expect(told, 'told once, not at each round').toHaveLength(1);
    expect(await rows(board, { atLeast: position }), 'the board goes on').toHaveLength(1);
    const mended = await projector(sales);
    await mended.resume();
    await drain(mended);
    expect(await sold()).toEqual({ cheeseburger: 6, pineapple: 1 });
  });

  test('a handler that fails is told from a database that is away, whatever its error says', async () => {
    const failures: [string, (tx: Tx, table: string) => unknown][] = [
      [
        'a text like a lost connection',
        () => Promise.reject(new Error('the connection to the grill is not queryable')),
      ],
      ...[404, '400', '5731', '57P01', 'ECONNRESET'].map((code): [string, () => unknown] => [
        `code ${code}`,
        () => Promise.reject(Object.assign(new Error('no such burger'), { code })),
      ]),
      ['what the database refuses', (tx, table) => tx.query(`INSERT INTO ${table} VALUES (NULL, 1)`)],
      ['a parameter that is missing', (tx) => tx.query('SELECT $1::int + $2', [1])],
      [
        'a refusal that comes with the commit',
        async (tx, table) => {
          await tx.query(`ALTER TABLE ${table} ADD UNIQUE (sold) DEFERRABLE INITIALLY DEFERRED`);
          await tx.query(`INSERT INTO ${table} VALUES ('this', 9), ('that', 9)`);
        },
      ],
      ['a refusal that it swallows', (tx, table) => tx.query(`INSERT INTO ${table} VALUES (NULL, 1)`).catch(() => {})],
      ['a reason that Postgres cannot keep', () => Promise.reject(new Error('half\ud83d and \0'))],
      ['no error at all', () => Promise.reject(Object.create(null))],
    ];
    const { name, raw, projector, queries } = await open();
    for (const n of [1, 2, 3]) await raw(n);
    for (const [n, [what, fail]] of failures.entries()) {
      const told: unknown[] = [];
      const on: typeof sales.on = {
        OrderCollected: async (tx, table, event) =>
          event.data.orderId === '2' ? fail(tx, table) : sales.on.OrderCollected?.(tx, table, event),
      };
      const till = await projector({ ...sales, name: `sales${n}`, on }, { onError: (error) => told.push(error) });
      for (let round = 0; round < 5; round++) await till.round().catch((error: unknown) => told.push(error));
      expect(await till.lag(), what).toMatchObject({ events: 2, paused: expect.stringContaining("can't apply") });
      expect(told, what).toMatchObject([{ constructor: PoisonEventError, position: 2n }]);
      const sold = await queries.query(
        { name: `sales${n}` },
        async (db, table) => (await db.query(`TABLE ${table}`)).rows,
      );
      expect(sold, `${what}, in ${name}`).toEqual([{ item: 'cheeseburger', sold: 2 }]);
    }
  });

  test('what comes of a handler when its batch is rolled back is refused: it would be kept, and done again by the next try', async () => {
    const { raw, sold, projector } = await open();
    const gate = Promise.withResolvers<void>();
    let late: Promise<unknown> | undefined;
    const on: typeof sales.on = {
      OrderCollected: (tx, table, event) => {
        if (late) return Promise.resolve(sales.on.OrderCollected?.(tx, table, event));
        late = gate.promise.then(() => sales.on.OrderCollected?.(tx, table, event));
        return Promise.all([tx.query('SELECT 1 / 0'), late]);
      },
    };
    const till = await projector({ ...sales, on }, { onError: () => {} });
    await raw(1);
    await till.round();
    gate.resolve();
    expect((await outcome(Promise.resolve(late))).error).toBeInstanceOf(CqrsError);
    await till.resume();
    await drain(till);
    expect(await sold()).toEqual({ cheeseburger: 2 });
  });

  test('an answer that nobody waits for any more is no verdict on the event, whatever its handler says', async () => {
    for (const said of ['the error as it is', 'an error of its own', 'nothing']) {
      const { name, raw, sold, projector } = await open();
      const gate = await pool.connect();
      onTestFinished(() => gate.release(true));
      const lock = `hashtext('stall'), hashtext('${name}')`;
      await gate.query(`SELECT pg_advisory_lock(${lock})`);
      let stalls = true;
      const on: typeof sales.on = {
        OrderCollected: async (tx, table, event) => {
          const question = { text: `SELECT pg_advisory_xact_lock(${lock})`, query_timeout: 50 };
          const error: unknown = stalls ? await tx.query(question).then(String, (given: unknown) => given) : undefined;
          if (!stalls) return sales.on.OrderCollected?.(tx, table, event);
          // When the transaction is rolled back, the database answers again.
          await gate.query(`SELECT pg_advisory_unlock(${lock})`);
          stalls = false;
          if (said === 'nothing') return;
          throw said === 'the error as it is' ? error : new Error('the grill is out', { cause: error });
        },
      };
      const told: unknown[] = [];
      const till = await projector({ ...sales, on }, { onError: (error) => told.push(error) });
      await raw(1);
      await till.round().catch((error: unknown) => told.push(error));
      expect(told, said).toMatchObject([{ constructor: StoreError, written: 'unknown' }]);
      // The server may not have heard yet that nobody has that connection any more.
      await until(async () => (await till.round()) > 0, { what: 'the batch to be tried again' });
      expect(await sold(), said).toEqual({ cheeseburger: 2 });
      expect((await till.lag()).paused, said).toBeUndefined();
    }
  });

  test('a verdict is about the build that failed, whichever is live by then', async () => {
    const { name, store, raw, projector, sold } = await open();
    await raw(1);
    const on: typeof sales.on = { OrderCollected: () => Promise.reject(new Error('old code')) };
    const old = await failed((own) => new Projector(own, store, { ...sales, on }, { prefix: name }));
    const next = await projector({ ...sales, version: 2 });
    await next.rebuild();
    await old.note();
    await raw(2);
    await drain(next);
    expect(await next.lag()).toEqual({ events: 0, ms: 0, paused: undefined });
    expect(await sold()).toEqual({ cheeseburger: 4 });
    await expect(old.projector.resume(), 'the old code resumes nothing').rejects.toThrow(InvalidArgumentError);
  });

  test('a verdict that comes late is not told again, and pauses nothing that mended code has brought on', async () => {
    const { name, store, raw, projector, sold } = await open();
    await raw(1);
    const on: typeof sales.on = { OrderCollected: () => Promise.reject(new Error('old code')) };
    let told = 0;
    const instance = (own: Pool) =>
      new Projector(own, store, { ...sales, on }, { prefix: name, onError: () => told++ });
    const [first, second, third] = [await failed(instance), await failed(instance), await failed(instance)];
    for (const each of [first, second]) await each.note();
    expect(told, 'by two that have failed').toBe(1);
    // It mends nothing, and leaves a second build of this version.
    await expect(first.projector.rebuild()).rejects.toThrow(PoisonEventError);
    const mended = await projector(sales);
    await mended.resume();
    await drain(mended);
    await third.note();
    expect(await mended.lag(), 'it has been applied since').toEqual({ events: 0, ms: 0, paused: undefined });
    await raw(2);
    await drain(mended);
    expect([await sold(), told]).toEqual([{ cheeseburger: 4 }, 1]);
  });

  test('events of any type pass, also of those that every object has', async () => {
    const { name, raw, projector, sold } = await open();
    for (const [n, type] of ['toString', 'constructor', '__proto__', 'nope'].entries())
      await pool.query(`INSERT INTO ${name}_events (stream, version, type, data) VALUES ($1, 1, $2, '{}')`, [
        `x${n}`,
        type,
      ]);
    await raw(1);
    class Handlers {
      readonly count = sales.on.OrderCollected;
      async OrderCollected(...happened: Parameters<NonNullable<typeof this.count>>) {
        await this.count?.(...happened);
      }
    }
    for (const [version, on] of [sales.on, new Handlers()].entries()) {
      const till = await projector({ ...sales, version, on });
      if (version > 0) await till.rebuild();
      await drain(till);
      expect(await till.lag()).toEqual({ events: 0, ms: 0, paused: undefined });
      expect(await sold(), on.constructor.name).toEqual({ cheeseburger: 2 });
    }
  });

  test('a log of two kinds of events feeds a read model that knows one of them', async () => {
    const { name, raw, sold } = await open();
    type Booked = { readonly type: 'Booked'; readonly data: { readonly table: number } };
    const both = new PostgresEventStore<OrderEvent | Booked>(pool, name);
    const booked: Booked = { type: 'Booked', data: { table: 4 } };
    await both.append({ stream: 'table-4', expectedVersion: 0, events: [booked], commandId: 'b1' });
    await raw(1);
    const till = new Projector(pool, both, sales, { prefix: name });
    await till.migrate();
    await drain(till);
    expect(await sold()).toEqual({ cheeseburger: 2 });
  });

  test('each handler is handed its own event, also where two types have one shape', async () => {
    const { send, projector, rows } = await open();
    const kitchen: Projection<OrderEvent> = {
      name: 'kitchen',
      version: 1,
      create: (tx, table) => tx.query(`CREATE TABLE ${table} (order_id text PRIMARY KEY)`),
      on: {
        CookingStarted: (tx, table, { data }) => tx.query(`INSERT INTO ${table} VALUES ($1)`, [data.orderId]),
        OrderReady: (tx, table, { data }) => tx.query(`DELETE FROM ${table} WHERE order_id = $1`, [data.orderId]),
      },
    };
    const screen = await projector(kitchen);
    for (const orderId of ['7', '8']) {
      await send(orderId, { type: 'place', customer: 'Li', items: BURGER });
      await send(orderId, { type: 'cook' });
    }
    await send('7', { type: 'finish' });
    await drain(screen);
    expect(await rows(kitchen)).toEqual([{ order_id: '8' }]);
  });

  test('a projector goes on after an error of whoever listens, and after a stop', async () => {
    const { raw, projector, sold } = await open();
    await raw(1);
    let healthy = false;
    const on: typeof sales.on = {
      OrderCollected: async (tx, table, event) => {
        if (!healthy) await tx.query("DO $$ BEGIN RAISE 'busy' USING ERRCODE = '40001'; END $$");
        await sales.on.OrderCollected?.(tx, table, event);
      },
    };
    let told = 0;
    const warned = vi.spyOn(process, 'emitWarning').mockReturnValue();
    onTestFinished(() => warned.mockRestore());
    const onError = async () => {
      told++;
      throw new Error('no log is at hand');
    };
    const till = await projector({ ...sales, on }, { idleMs: 1, onError });
    onTestFinished(() => till.stop());
    till.start();
    await until(() => told > 1, { what: 'a second attempt' });
    const stopped = till.stop();
    healthy = true;
    till.start();
    await stopped;
    await until(async () => (await till.lag()).events === 0, { what: 'it to go on' });
    expect(await sold()).toEqual({ cheeseburger: 2 });
    expect(warned).toHaveBeenCalledWith(expect.stringContaining('no log is at hand'));
  });

  test('code of another version leaves the read model alone', async () => {
    const { raw, projector, sold } = await open();
    await raw(1);
    const old = await projector(sales);
    await drain(old);
    const next = await projector({ ...sales, version: 2 });
    expect(await next.round(), 'not before the rebuild').toBe(0);
    await next.rebuild();
    await raw(2);
    await drain(old);
    expect(await sold(), 'the old code has stood down').toEqual({ cheeseburger: 2 });
    await drain(next);
    expect(await sold()).toEqual({ cheeseburger: 4 });
  });

  test('code of another version asks nothing of the log, of which it could do nothing', async () => {
    const { raw, store, projector } = await open();
    await raw(1);
    await projector(sales);
    const readAll = vi.fn((after: bigint, limit: number) => store.readAll(after, limit));
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    const next = await projector({ ...sales, version: 2 }, {}, log);
    expect(await next.round()).toBe(0);
    expect(readAll, 'batch after batch, until somebody rebuilds').not.toHaveBeenCalled();
    await next.rebuild();
    await raw(2);
    expect(await next.round()).toBe(1);
  });

  // ── the rebuild ───────────────────────────────────────────────────────────────────────────────────────────────────

  test('a rebuild gives what the live projection gave', async () => {
    const { send, projector, queries, rows } = await open();
    const projections = [board, sales];
    const projectors = await Promise.all(projections.map((projection) => projector(projection, { batch: 3 })));
    for (const id of ['7', '8', '9']) {
      await send(id, { type: 'place', customer: 'Li', items: BURGER });
      if (id !== '9') await send(id, { type: 'change', items: FRIES });
      if (id === '7') for (const type of ['cook', 'finish', 'collect'] as const) await send(id, { type });
    }
    for (const each of projectors) await drain(each);
    const before = [await rows(board), await rows(sales)];
    // A slip of the hand on the screen is what a rebuild mends.
    const table = await queries.query(board, async (_, name) => name);
    await pool.query(`UPDATE ${table} SET status = 'lost'`);
    for (const each of projectors) await each.rebuild();
    expect([await rows(board), await rows(sales)]).toEqual(before);
    const rebuilt = await queries.query(board, async (_, name) => name);
    const { rows: known } = await pool.query('SELECT reltuples FROM pg_class WHERE oid = $1::regclass', [rebuilt]);
    expect(known, 'the planner has statistics of it').toEqual([{ reltuples: before[0]?.length }]);
    await expect(pool.query(`SELECT FROM ${table}`), 'the old table is gone').rejects.toThrow('does not exist');
  });

  test('the board is served throughout a rebuild and never goes back in time', async () => {
    const { store, send, projector, rows } = await open();
    for (const id of ['1', '2', '3']) await send(id, { type: 'place', customer: 'Li', items: BURGER });
    const live = await projector();
    await drain(live);
    const served: number[] = [];
    const looks: number[] = [];
    let told = 0n;
    // While the rebuild reads an order comes in, is projected, and is asked for; the last one when all had been read.
    const readAll = async (after: bigint, limit: number) => {
      const events = await store.readAll(after, limit);
      looks.push((await rows(board)).length);
      if (served.length === 3 || (served.length === 2 && events.length > 0)) return events;
      const sent = await send(`late ${served.length}`, { type: 'place', customer: 'Wu', items: FRIES });
      await drain(live);
      served.push((await rows(board, { atLeast: sent.position, timeoutMs: 0 }).catch(() => [])).length);
      told = sent.position;
      return events;
    };
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    await (await projector(board, { batch: 1 }, log)).rebuild();
    expect(Math.min(...looks), `rows on the board at each look while it was rebuilt: ${looks}`).toBe(3);
    expect(served, 'with each order that came in meanwhile').toEqual([4, 5, 6]);
    expect(await rows(board, { atLeast: told, timeoutMs: 0 }), 'after the switch').toHaveLength(6);
  });

  test('a rebuild comes to its end, though new orders never stop coming', async () => {
    const { store, raw, projector, sold } = await open();
    let orders = 0;
    while (orders < 8) await raw(++orders);
    await drain(await projector(sales));
    let guests = 30;
    const readAll = async (after: bigint, limit: number) => {
      if (guests-- > 0) await raw(++orders);
      return store.readAll(after, limit);
    };
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    const till = await projector(sales, { batch: 3 }, log);
    await till.rebuild();
    expect(guests, 'guests who had not come when it ended').toBeGreaterThan(0);
    await drain(till);
    expect(await sold(), 'and nothing is missed').toEqual({ cheeseburger: orders * 2 });
  });

  test('a rebuild leaves less than a batch to be done while the live one waits, also where the log gives few events at a time', async () => {
    const { store, raw, projector, sold } = await open();
    let orders = 0;
    while (orders < 30) await raw(++orders);
    const live = await projector(sales);
    await drain(live);
    let held = 0;
    const readAll = async (after: bigint) => {
      if (orders < 40) {
        await raw(++orders);
        if ((await live.round()) === 0) held++;
      }
      return store.readAll(after, 3);
    };
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    const till = await projector(sales, { batch: 5 }, log);
    await till.rebuild();
    expect(held, 'orders that the live one could not take').toBeLessThanOrEqual(2);
    await drain(till);
    expect(await sold()).toEqual({ cheeseburger: orders * 2 });
  });

  test('a rebuild that died goes on where it was', async () => {
    const { store, raw, projector, sold } = await open();
    for (let n = 1; n <= 6; n++) await raw(n);
    await drain(await projector(sales));
    const asked: bigint[] = [];
    let lives = 2;
    const readAll = async (after: bigint, limit: number) => {
      if (lives-- === 0) throw new Error('the machine is gone');
      asked.push(after);
      return store.readAll(after, limit);
    };
    const log = { readAll, backlog: (after: bigint) => store.backlog(after) };
    const till = await projector(sales, { batch: 2 }, log);
    await expect(till.rebuild()).rejects.toThrow('the machine is gone');
    expect(await sold(), 'served meanwhile').toEqual({ cheeseburger: 12 });
    lives = 100;
    await till.rebuild();
    expect(await sold()).toEqual({ cheeseburger: 12 });
    expect(
      asked.filter((after) => after === 0n),
      'beginnings',
    ).toHaveLength(1);
  });

  test('of two who rebuild at once neither takes the other for the end: the live one goes on, and a poison event is told', async () => {
    const { raw, projector } = await open();
    await raw(1);
    const live = await projector(sales);
    await drain(live);
    const { promise: gate, resolve: letGo } = Promise.withResolvers<void>();
    onTestFinished(() => letGo());
    const slow: Projection<OrderEvent> = {
      ...sales,
      version: 2,
      on: {
        async OrderCollected(tx, table, event) {
          await gate;
          if (event.stream === 'order-5') throw new Error('no such burger');
          return sales.on.OrderCollected?.(tx, table, event);
        },
      },
    };
    const twins = await Promise.all([1, 2].map(() => projector(slow, { batch: 1 })));
    const rebuilt = Promise.allSettled(twins.map((twin) => twin.rebuild()));
    await meanwhile(rebuilt, waiting);
    await raw(2);
    expect(await live.round(), 'events that the live one applies while one twin waits for the other').toBe(1);
    for (let n = 3; n <= 6; n++) await raw(n);
    letGo();
    const poisoned = { status: 'rejected', reason: expect.any(PoisonEventError) };
    expect(await rebuilt).toEqual([poisoned, poisoned]);
    await drain(live);
    expect((await live.lag()).events, 'it stays').toBe(0);
  });

  test('whoever rebuilds is told of a poison event also where his twin has applied what came before it', async () => {
    const { name, store, raw, projector, rows } = await open();
    for (let n = 1; n <= 3; n++) await raw(n);
    const fussy: Projection<OrderEvent> = {
      ...sales,
      version: 2,
      on: {
        OrderCollected: async (tx, table, event) => {
          if (event.stream === 'order-3') throw new Error('no such burger');
          return sales.on.OrderCollected?.(tx, table, event);
        },
      },
    };
    await projector(sales);
    const twin = await projector(fussy, { batch: 2 });
    let rollbacks = 0;
    const own = connections(async (statement) => {
      if (statement !== 'ROLLBACK' || ++rollbacks > 1) return;
      await expect(twin.rebuild()).rejects.toThrow(PoisonEventError);
    });
    const rebuilt = new Projector(own, store, fussy, { prefix: name }).rebuild();
    await expect(rebuilt).rejects.toThrow(PoisonEventError);
    expect(await rows(sales), 'the old one, which has read nothing yet, stays').toEqual([]);
  });

  test('what is to be right only in the end may be wrong on the way, also in the last steps of a rebuild', async () => {
    const { store, raw, projector, rows } = await open();
    const ranks: Projection<OrderEvent> = {
      name: 'ranks',
      version: 1,
      create: (tx, table) =>
        tx.query(`CREATE TABLE ${table} (item text, rank int UNIQUE DEFERRABLE INITIALLY DEFERRED)`),
      on: {
        OrderCollected: async (tx, table, { data: { orderId } }) => {
          await tx.query(`INSERT INTO ${table} VALUES ($1, 1)`, [orderId]);
          await tx.query(`UPDATE ${table} SET rank = rank + 1 WHERE item <> $1`, [orderId]);
        },
      },
    };
    for (let n = 1; n <= 5; n++) await raw(n);
    await drain(await projector(ranks));
    const shown = await rows(ranks);
    // Three of them seem to have come when the live one is held already, and each is a page of the log.
    const readAll = async (after: bigint) => store.readAll(after, 1);
    const backlog = async () => ({ events: 0, ms: 0 });
    await (await projector({ ...ranks, version: 2 }, {}, { readAll, backlog })).rebuild();
    expect(await rows(ranks)).toEqual(shown);
  });

  test('a rebuild that a later one has overtaken leaves that one live, also where it died before it had dropped the old', async () => {
    const { name, store, raw, projector, sold } = await open();
    await raw(1);
    await drain(await projector(sales));
    const gate = Promise.withResolvers<void>();
    onTestFinished(() => gate.resolve());
    let looked = false;
    const readAll = async (after: bigint, limit: number) => {
      looked = true;
      await gate.promise;
      return store.readAll(after, limit);
    };
    const slow = await projector({ ...sales, version: 2 }, {}, { readAll, backlog: (after) => store.backlog(after) });
    const lingers = slow.rebuild();
    await meanwhile(lingers, () => looked, { what: 'the earlier one to read the log' });
    const dies = connections((statement) => {
      if (statement.startsWith('DELETE')) throw new Error('the machine is gone');
    });
    const latest: Projection<OrderEvent> = { ...sales, version: 3 };
    await expect(new Projector(dies, store, latest, { prefix: name }).rebuild()).rejects.toThrow('the machine is gone');
    gate.resolve();
    await lingers;
    await raw(2);
    await drain(await projector(latest));
    expect(await sold(), 'the code of the later one has counted on').toEqual({ cheeseburger: 4 });
  });

  test('code that is rolled back rebuilds, also where the later rebuild died before it had dropped the old', async () => {
    const { name, store, raw, projector, sold } = await open();
    await raw(1);
    const old = await projector(sales);
    await drain(old);
    const dies = connections((statement) => {
      if (statement.startsWith('DELETE')) throw new Error('the machine is gone');
    });
    const later = new Projector(dies, store, { ...sales, version: 2 }, { prefix: name });
    await expect(later.rebuild()).rejects.toThrow('the machine is gone');
    await raw(2);
    await old.rebuild();
    await raw(3);
    await drain(old);
    expect(await sold(), 'the code that was there before counts on').toEqual({ cheeseburger: 6 });
  });

  test('a rebuild that meets a poison event leaves the live read model as it is', async () => {
    const { raw, projector, sold } = await open();
    await raw(1);
    const live = await projector(sales);
    await drain(live);
    const fussy: Projection<OrderEvent> = {
      ...sales,
      version: 2,
      on: {
        OrderCollected: async () => {
          throw new Error('no such burger');
        },
      },
    };
    await expect((await projector(fussy)).rebuild()).rejects.toThrow(PoisonEventError);
    await raw(2);
    await drain(live);
    expect(await sold()).toEqual({ cheeseburger: 4 });
    expect(await live.lag()).toEqual({ events: 0, ms: 0, paused: undefined });
    await (await projector({ ...sales, version: 2 })).rebuild();
    expect(await sold(), 'mended, it goes on').toEqual({ cheeseburger: 4 });
  });

  test('a rebuild whose batch a poison event cuts short is told of it, also where the live read model is behind', async () => {
    for (const [where, poison] of [
      ['in the first batch', 2],
      ['after a full one', 4],
    ] as const) {
      const { raw, projector, rows } = await open();
      for (let n = 1; n <= poison; n++) await raw(n);
      await projector(sales);
      const fussy: Projection<OrderEvent> = {
        ...sales,
        version: 2,
        on: {
          OrderCollected: async (tx, table, event) => {
            if (event.stream === `order-${poison}`) throw new Error('no such burger');
            return sales.on.OrderCollected?.(tx, table, event);
          },
        },
      };
      const rebuilt = (await projector(fussy, { batch: 2 })).rebuild();
      await expect(rebuilt, where).rejects.toThrow(PoisonEventError);
      expect(await rows(sales), `${where}: the old one stays`).toEqual([]);
    }
  });

  test('a rebuild whose table a later one has dropped ends in peace, and leaves that one live', async () => {
    const { store, raw, projector, sold } = await open();
    await raw(1);
    await drain(await projector(sales));
    const later = await projector({ ...sales, version: 3 });
    const backlog = async (after: bigint) => {
      await later.rebuild();
      return store.backlog(after);
    };
    const log = { readAll: (after: bigint, limit: number) => store.readAll(after, limit), backlog };
    await (await projector({ ...sales, version: 2 }, {}, log)).rebuild();
    await raw(2);
    await drain(later);
    expect(await sold()).toEqual({ cheeseburger: 4 });
  });

  test('a log that ends before the live read model is not the one to rebuild it from', async () => {
    const { store, raw, projector, sold } = await open();
    for (const n of [1, 2, 3]) await raw(n);
    const live = await projector(sales);
    await drain(live);
    const restored = (await store.readAll(0n, 10)).slice(0, 2);
    const readAll = async (after: bigint) => restored.filter(({ position }) => position > after);
    const log = { readAll, backlog: async (after: bigint) => ({ events: (await readAll(after)).length, ms: 0 }) };
    const lost = (await outcome((await projector({ ...sales, version: 2 }, {}, log)).rebuild())).error;
    expect(lost).toMatchObject({ constructor: CqrsError, message: expect.stringContaining('the same log') });
    await raw(4);
    await drain(live);
    expect(await sold(), 'the live one goes on').toEqual({ cheeseburger: 8 });
  });

  test('no query fails while rebuilds come and go', async () => {
    const { store, raw, projector, queries, sold } = await open();
    await raw(1);
    const till = await projector(sales);
    await drain(till);
    const blocked = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let rebuilt: Promise<void> | undefined;
    const looks: string[] = [];
    // The rebuild takes place between the look at which table is live and the question to it: all of it, or as far as it
    // gets while somebody asks.
    const answer = await queries.query(sales, async (db, table) => {
      looks.push(table);
      let over = false;
      rebuilt ??= till.rebuild().finally(() => {
        over = true;
      });
      await until(async () => over || looks.length > 1 || (await pool.query(blocked)).rowCount, {
        what: 'the rebuild to end or to wait for whoever asks',
      });
      return (await db.query(`SELECT sold FROM ${table}`)).rows;
    });
    await rebuilt;
    // One that lingers is overtaken by two that don't: its table is gone.
    const gate = Promise.withResolvers<void>();
    let done = false;
    const readAll = async (after: bigint, limit: number) => {
      const events = await store.readAll(after, limit);
      done = events.length === 0;
      if (done) await gate.promise;
      return events;
    };
    const slow = await projector(sales, {}, { readAll, backlog: (after) => store.backlog(after) });
    const lingers = slow.rebuild();
    await meanwhile(lingers, () => done, { what: 'the slow one to have read the log' });
    for (let n = 0; n < 2; n++) await till.rebuild();
    gate.resolve();
    await lingers;
    expect(await sold()).toEqual({ cheeseburger: 2 });
    expect(answer, `asked ${looks.join(', then ')}`).toEqual([{ sold: 2 }]);
  });

  test('whoever still reads an old build keeps its rebuild waiting, and neither migrations nor other projections', async () => {
    const { name, raw, projector } = await open();
    await raw(1);
    const till = await projector(sales);
    const other = { ...sales, name: 'other' };
    const apart = await projector(other);
    // As a backup does, for an hour.
    const reader = await pool.connect();
    onTestFinished(() => reader.release(true));
    await reader.query(`BEGIN; LOCK TABLE "${name}_sales_1" IN ACCESS SHARE MODE`);
    let rebuilt = false;
    const rebuild = till.rebuild().then(() => {
      rebuilt = true;
    });
    await meanwhile(rebuild, waiting, { what: 'the rebuild to wait for the reader' });
    let migrated = false;
    const migration = projector(other).then(() => {
      migrated = true;
    });
    await until(async () => migrated || (await waiting()) > 1, { what: 'the migration to end or to wait as well' });
    const applied = apart.round();
    await until(async () => migrated || (await waiting()) > 2, { what: 'the round to end or to wait as well' });
    const seen = { migrated, rebuilt };
    await reader.query('COMMIT');
    await Promise.all([rebuild, migration]);
    expect(seen).toEqual({ migrated: true, rebuilt: false });
    expect(await applied).toBe(1);
  });

  // ── many at once ───────────────────────────────────────────────────────────────────────────────────────────────

  test('a reader never skips an event whose writer commits late', async () => {
    const { name, store } = await open();
    const letGo = await slowCommit(name, 'order-1');
    const first = store.append(entry(1));
    await meanwhile(first, waiting, { what: 'the first writer to be about to commit' });
    let done = false;
    const second = new PostgresEventStore<OrderEvent>(pool, name).append(entry(2)).finally(() => {
      done = true;
    });
    await meanwhile(second, async () => done || (await waiting()) > 1, { what: 'the second to commit or to wait' });
    const history = new History<string>();
    const seen = await store.readAll(0n, 10);
    history.record(`seen before the first commits: ${seen.map(({ stream }) => stream).join(', ') || 'nothing'}`);
    await letGo();
    await Promise.all([first, second]);
    seen.push(...(await store.readAll(seen.at(-1)?.position ?? 0n, 10)));
    expect(
      seen.map(({ stream }) => stream),
      history.toString(),
    ).toEqual(['order-1', 'order-2']);
  });

  test('whoever cannot have the log in time is told that nothing was written', async () => {
    const { name, store } = await open();
    const letGo = await slowCommit(name, 'order-1');
    const first = store.append(entry(1));
    await meanwhile(first, waiting, { what: 'the first writer to be about to commit' });
    for (const groupCommit of [false, true]) {
      const hurried = new PostgresEventStore<OrderEvent>(pool, name, { lockTimeoutMs: 20, groupCommit });
      const outcomes = await Promise.allSettled([2, 3].map((n) => hurried.append(entry(n))));
      for (const ended of outcomes)
        expect(ended).toMatchObject({ reason: { written: 'no', cause: { code: '55P03' } } });
    }
    await letGo();
    await first;
    await store.append(entry(2));
    expect((await store.readAll(0n, 10)).map(({ stream }) => stream)).toEqual(['order-1', 'order-2']);
  });

  test('a writer that stands still holds nobody up, and its append is one step', async () => {
    const { name, store } = await open();
    let steps = 0;
    let over = false;
    for (let stands = 1; !over; stands++) {
      steps = 0;
      const still = Promise.withResolvers<void>();
      const own = connections(() => (++steps === stands ? still.promise : undefined));
      const slow = new PostgresEventStore<OrderEvent>(own, name).append(entry(2 * stands)).finally(() => {
        over = steps < stands;
      });
      await meanwhile(slow, () => steps === stands || over, { what: 'the writer to stand' });
      const quick = store.append(entry(2 * stands + 1));
      const told = await outcome(quick).then(
        () => 'written',
        () => 'held up',
      );
      still.resolve();
      await Promise.all([slow, quick]);
      expect(told, `while another writer stood still after step ${stands}`).toBe('written');
    }
    expect(steps, 'steps of an append').toBe(1);
  });

  test('appends that come in together go together, and one that fails fails alone', async () => {
    const { name } = await open();
    await pool.query(`ALTER TABLE ${name}_events ADD CHECK (stream <> 'order-refused')`);
    let statements = 0;
    const own = connections(() => statements++);
    const store = new PostgresEventStore<OrderEvent>(own, name, { groupCommit: true });
    /** While the first is under way the others come in. */
    const crowd = async (first: string, others: readonly (readonly [n: number, stream: string, version: number])[]) => {
      statements = 0;
      const letGo = await slowCommit(name, first);
      const all = [store.append(entry(others[0]?.[0] ?? 0, first))];
      await meanwhile(Promise.all(all), waiting, { what: 'the first to be under way' });
      all.push(...others.slice(1).map(([n, stream, version]) => store.append(entry(n, stream, version))));
      const settled = Promise.allSettled(all);
      await letGo();
      const outcomes = await settled;
      await pool.query(`DROP TRIGGER gate ON ${name}_events; DROP FUNCTION ${name}_gate`);
      return outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.constructor : 'written'));
    };
    const together = await crowd('order-a', [
      [1, '', 0],
      [2, 'order-b', 0],
      [3, 'order-b', 1],
      [4, 'order-c', 7],
      [2, 'order-d', 0],
    ]);
    expect(together, 'a conflict is its own').toEqual(['written', 'written', 'written', ConflictError, ConflictError]);
    expect(statements).toBe(2);
    const refused = await crowd('order-e', [
      [11, '', 0],
      [12, 'order-f', 0],
      [13, 'order-refused', 0],
      [14, 'order-f', 1],
    ]);
    expect(refused, 'what Postgres refuses, too').toEqual(['written', 'written', StoreError, 'written']);
    expect((await store.readAll(0n, 20)).map(({ stream, version }) => `${stream} ${version}`)).toEqual([
      'order-a 1',
      'order-b 1',
      'order-b 2',
      'order-e 1',
      'order-f 1',
      'order-f 2',
    ]);
  });

  test('a group has its limits, and what is larger than a group goes by itself', async () => {
    const { name } = await open();
    let groups = 0;
    const own = connections(() => groups++);
    const store = new PostgresEventStore<OrderEvent>(own, name, { groupCommit: true });
    let orders = 0;
    const together = async (characters: readonly number[]) => {
      groups = 0;
      const appends = characters.map((length) => {
        const n = ++orders;
        return store.append({ ...entry(n), events: [collected(n, [{ name: 'x'.repeat(length), quantity: 1 }])] });
      });
      await Promise.all(appends);
      return groups;
    };
    const few = Array.from({ length: 500 }, () => 1);
    expect(await together(few), '500 that are small').toBe(1);
    expect(await together([...few, 1]), '501').toBe(2);
    expect(await together([400_000, 400_000]), 'less than a million characters').toBe(1);
    expect(await together([400_000, 400_000, 400_000]), 'more').toBe(2);
    expect(await together([1, 1_200_000, 1]), 'one that alone has more').toBe(3);
    expect((await store.backlog(0n)).events).toBe(orders);
  });

  test('appends that go together and cannot have the log in time wait for it once, and not one after the other', async () => {
    const { name, store } = await open();
    const letGo = await slowCommit(name, 'order-1');
    const first = store.append(entry(1));
    await meanwhile(first, waiting, { what: 'the first writer to be about to commit' });
    let turns = 0;
    const own = connections(() => undefined);
    own.on('acquire', () => turns++);
    const hurried = new PostgresEventStore<OrderEvent>(own, name, { lockTimeoutMs: 20, groupCommit: true });
    const outcomes = await Promise.allSettled([2, 3, 4, 5, 6].map((n) => hurried.append(entry(n))));
    for (const ended of outcomes) expect(ended).toMatchObject({ reason: { written: 'no', cause: { code: '55P03' } } });
    expect(turns, 'turns of five').toBeLessThanOrEqual(2);
    await letGo();
    await first;
  });

  test('a pooler that has lost Postgres says so with a code of its own, and the outcome is unknown', async () => {
    for (const groupCommit of [false, true]) {
      const { name, store } = await open();
      // As PgBouncer does it, here after the commit.
      const own = connections(async () => {
        if ((await store.read('order-1')).length === 0) return;
        throw Object.assign(new DatabaseError('server conn crashed?', 0, 'error'), { code: '08P01' });
      });
      const append = new PostgresEventStore<OrderEvent>(own, name, { groupCommit }).append(entry(1));
      await expect(append).rejects.toMatchObject({ constructor: StoreError, written: 'unknown' });
      expect((await store.backlog(0n)).events).toBe(1);
    }
  });

  test('whoever loses the connection is told that the outcome is unknown, and may send again', async () => {
    for (const groupCommit of [false, true]) {
      const { name, store } = await open({ groupCommit });
      const letGo = await slowCommit(name, 'order-%');
      const appends = [1, 2, 3].map((n) => store.append(entry(n)).catch((error: unknown) => error));
      const all = groupCommit ? 1 : 3;
      const under = async () => (await waiting()) === all;
      await meanwhile(Promise.all(appends), under, { what: 'all to be under way' });
      await pool.query(`SELECT pg_terminate_backend(pid) ${WAITING}`);
      const heard = await Promise.all(appends);
      for (const error of heard) expect(error).toMatchObject({ constructor: StoreError, written: 'unknown' });
      expect(new Set(heard).size, 'an error for each').toBe(3);
      await letGo();
      for (const n of [1, 2, 3]) await store.append(entry(n));
      expect((await store.backlog(0n)).events, 'nothing had been written').toBe(3);
    }
    // This time it had been: only the answer is lost.
    const { name, store } = await open();
    let lost = false;
    const own = connections((statement) => {
      if (lost || !statement.includes('_append')) return;
      lost = true;
      throw new Error('read ECONNRESET');
    });
    const bus = new CommandBus(new PostgresEventStore<OrderEvent>(own, name), order);
    const place = { id: 'place', orderId: '1', type: 'place', customer: 'Li', items: BURGER } as const;
    const { position } = await bus.send(place);
    expect([lost, await bus.send(place)]).toEqual([true, { position }]);
    expect(await store.read('order-1')).toMatchObject([{ position }]);
    own.once('acquire', (client) => queueMicrotask(() => client.emit('error', new Error('gone with the greeting'))));
    expect(await bus.send(place), 'by a connection that ends as it comes').toEqual({ position });
    const nobody = new Pool({ connectionString: 'postgres://127.0.0.1:1/none' });
    await expect(new PostgresEventStore(nobody).append(entry(1))).rejects.toMatchObject({
      constructor: StoreError,
      written: 'no',
    });
  });

  test('what was handed over is what is written, whatever becomes of it meanwhile', async () => {
    const { store } = await open({ groupCommit: true });
    const items = [{ name: 'cheeseburger', quantity: 2 }];
    const events = [collected(1, items)];
    const append = store.append({ ...entry(1), events });
    Object.assign(items[0] ?? {}, { quantity: 200 });
    events.push(collected(2));
    await append;
    expect(await store.read('order-1')).toMatchObject([{ data: { items: BURGER } }]);
  });

  test('twelve writers at once: a reader skips nothing and keeps the order of each stream', async () => {
    const { name, store: alone } = await open();
    const grouped = new PostgresEventStore<OrderEvent>(pool, name, { groupCommit: true });
    const writers = Array.from({ length: 12 }, async (_, writer) => {
      // Two instances: what one writes alone comes between what the other writes together.
      const store = writer % 3 === 0 ? alone : grouped;
      for (let n = 0; n < 6; n++) {
        const entry = { stream: `order-${writer % 4}`, events: [collected(n)], commandId: `${writer} ${n}` };
        for (let written = false; !written; ) {
          const expectedVersion = (await store.read(entry.stream)).length;
          written = await store.append({ ...entry, expectedVersion }).then(
            () => true,
            (error: unknown) => {
              if (error instanceof ConflictError) return false;
              throw error;
            },
          );
        }
      }
    });
    let writing = true;
    const all = Promise.all(writers).finally(() => {
      writing = false;
    });
    all.catch(() => {});
    const seen: Recorded<OrderEvent>[] = [];
    for (let last = false; !last; ) {
      // Asked before the log is: an event may be written between an empty answer and the question.
      const over = !writing;
      const events = await alone.readAll(seen.at(-1)?.position ?? 0n, 7);
      seen.push(...events);
      last = over && events.length === 0;
    }
    await all;
    expect(seen).toHaveLength(12 * 6);
    for (const stream of new Set(seen.map((event) => event.stream))) {
      const versions = seen.filter((event) => event.stream === stream).map(({ version }) => version);
      expect(versions, stream).toEqual(versions.map((_, index) => index + 1));
    }
  }, 30_000);

  test('of two instances one projects', async () => {
    const { raw, projector, sold } = await open();
    for (let n = 1; n <= 3; n++) await raw(n);
    let inside = 0;
    let ended = 0;
    // Whoever is inside waits until the other is inside too, or has been turned away.
    const slow: Projection<OrderEvent> = {
      ...sales,
      on: {
        OrderCollected: async (tx, table, event) => {
          if (event.data.orderId === '1') {
            inside++;
            await until(() => inside === 2 || ended > 0, { what: 'the other instance' });
          }
          await sales.on.OrderCollected?.(tx, table, event);
        },
      },
    };
    const instances = [await projector(slow), await projector(slow)];
    const work = async (instance: { round(): Promise<number> }) => {
      const applied = await instance.round();
      ended++;
      return applied;
    };
    const applied = await Promise.all(instances.map(work));
    expect(await sold(), `instances inside at once: ${inside}`).toEqual({ cheeseburger: 6 });
    expect(applied.toSorted()).toEqual([0, 3]);
  });

  test('an instance that stands still in the middle of a batch gives way to the next', async () => {
    const { raw, projector, sold } = await open();
    await raw(1);
    const still = Promise.withResolvers<void>();
    let stands = false;
    const on: typeof sales.on = {
      OrderCollected: async (tx, table, event) => {
        await sales.on.OrderCollected?.(tx, table, event);
        stands = true;
        await still.promise;
      },
    };
    const frozen = await projector({ ...sales, on }, { idleInTransactionMs: 50 });
    const round = frozen.round().catch((error: unknown) => error);
    await meanwhile(round, () => stands, { what: 'the first instance to stand' });
    const next = await projector(sales);
    await until(async () => (await next.round()) > 0, { what: 'the next to have the batch' });
    still.resolve();
    expect(await round).toBeInstanceOf(StoreError);
    expect(await sold()).toEqual({ cheeseburger: 2 });
    expect(await next.lag()).toEqual({ events: 0, ms: 0, paused: undefined });
  });
});

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
