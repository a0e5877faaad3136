import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { random } from '@shared/testkit';
import { sql } from 'kysely';
import { Session as LastWriterWins } from './pitfalls/last-writer-wins.ts';
import { events, openPostgres, Session, type Session as Unit } from './src/index.ts';
import { lines, type OrderRow, orderBook } from './test/shop.ts';

const ROWS = 1_000;
const ZONE = 'Asia/Shanghai';

const options = {
  title: 'Hybrid properties and events 混合属性与事件监听',
  subtitle: 'The order book of a shop: one question in two languages, and who is told of a change',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  const sent: string[] = [];
  await using db = openPostgres<Record<string, OrderRow>>(
    { connectionString: pg.url },
    { log: ({ query }) => void sent.push(query.sql) },
  );
  const { Order, create } = orderBook('orders');
  const { Line: Audit, create: createAudit } = lines('audit', 'orders');
  await create.execute(db);
  await createAudit.execute(db);
  const dice = random(story.seed);
  const day = Date.parse('2026-03-28T16:00Z');
  const rows = Array.from(
    { length: ROWS },
    (_, n): OrderRow => ({
      id: String(n).padStart(4, '0'),
      version: 1,
      customer: 'Ann',
      quantity: dice.int(0, 19) === 0 ? null : BigInt(dice.int(1, 9)),
      unit_cents: BigInt(dice.int(5, 4_999)),
      percent_off: dice.int(0, 3) === 0 ? null : BigInt(dice.int(1, 30)),
      express: null,
      paid: false,
      placed_at: new Date(day + dice.int(0, 48 * 3_600_000 - 1)),
    }),
  );
  await db.insertInto('orders').values(rows).execute();

  await story.scene('One total, two answers', async () => {
    story.say(
      `${ROWS} orders. The page computes their totals in JavaScript, the report in SQL; each is a line that looks right. ` +
        'Some orders have no quantity yet, some no discount.',
    );
    const naive = {
      total: (o: OrderRow) => {
        const cents = Number(o.quantity) * Number(o.unit_cents);
        return Math.round(cents * (1 - Number(o.percent_off) / 100));
      },
      day: (o: OrderRow) => o.placed_at?.toISOString().slice(0, 10) ?? null,
    };
    story.say('JavaScript: `Math.round(quantity * cents * (1 - off / 100))`, the day by `toISOString()`.');
    story.say('SQL: `quantity * cents * (100 - off) / 100`, the day by `AT TIME ZONE`.');
    const report = sql<{ id: string; total: bigint | null; day: string | null }>`
      SELECT id, quantity * unit_cents * (100 - percent_off) / 100 AS total,
        to_char(placed_at AT TIME ZONE ${ZONE}, 'YYYY-MM-DD') AS day FROM orders ORDER BY id`;
    const byReport = (await report.execute(db)).rows;
    const inSql = await db
      .selectFrom('orders')
      .select([Order.total.as('total'), Order.placedOn(ZONE).as('day')])
      .orderBy('id')
      .execute();
    const count = (differ: (row: OrderRow, n: number) => boolean) => rows.filter(differ).length;
    const unknown = (o: OrderRow) => o.quantity === null || o.percent_off === null;
    const otherCents = (o: OrderRow, n: number) => String(byReport[n]?.total) !== String(naive.total(o));
    const found = {
      nulls: count((o, n) => unknown(o) && otherCents(o, n)),
      cents: count((o, n) => !unknown(o) && otherCents(o, n)),
      days: count((o, n) => byReport[n]?.day !== naive.day(o)),
    };
    const hybrid = {
      nulls: count((o, n) => unknown(o) && Order.total.of(o) !== inSql[n]?.total),
      cents: count((o, n) => !unknown(o) && Order.total.of(o) !== inSql[n]?.total),
      days: count((o, n) => Order.placedOn(ZONE).of(o) !== inSql[n]?.day),
    };
    story.bars({
      title: `Of ${ROWS} orders, how many have another answer in SQL than in JavaScript`,
      picture: true,
      items: [
        { label: 'two lines: NULL', value: found.nulls, tone: 'bad' },
        { label: 'two lines: a cent', value: found.cents, tone: 'bad' },
        { label: `two lines: the day`, value: found.days, tone: 'bad' },
        { label: 'hybrid: total', value: hybrid.nulls + hybrid.cents, tone: 'good' },
        { label: 'hybrid: day', value: hybrid.days, tone: 'good' },
      ],
    });
    story.verdict(
      'Written twice, a total is two totals',
      `${found.nulls + found.cents} of ${ROWS} differ: ${found.nulls} by NULL, ${found.cents} by rounding`,
      found.nulls > 0 && found.cents > 0,
    );
    story.verdict('And a day two days', `${found.days} of ${ROWS} orders, in ${ZONE}`, found.days > 0);
    story.code('test/shop.ts', { from: 'const subtotal =', to: 'const total =' });
    const left = hybrid.nulls + hybrid.cents + hybrid.days;
    story.verdict(
      'Written once, in operators that both sides have, it is one',
      `${left} of ${ROWS} differ`,
      left === 0,
    );
  });

  await story.scene('A session sends what has changed', async () => {
    const cheap = (unit: Unit<Record<string, OrderRow>>) =>
      unit.find(Order, (orders) => orders.where(Order.total, '<', 5_000n).orderBy(Order.total).limit(200));
    story.say('200 cheap orders, found by the hybrid. All are looked at, every second gets another customer.');
    await using unit = new Session(db);
    const orders = await cheap(unit);
    const again = await cheap(unit);
    const twins = orders.filter((order, n) => order !== again[n]).length;
    for (const [n, order] of orders.entries()) order.customer = n % 2 === 0 ? 'Bob' : order.customer;
    const changed = unit.dirty().length;
    sent.length = 0;
    await unit.commit();
    story.verdict('A row that is found twice is one object', `${twins} of ${orders.length} are two`, twins === 0);
    story.verdict(
      'All that has changed goes in one UPDATE',
      `${changed} of ${orders.length} rows, ${sent.filter((text) => text.startsWith('UPDATE')).length} statement`,
      changed === orders.length / 2 && sent.filter((text) => text.startsWith('UPDATE')).length === 1,
    );
  });

  await story.scene('Two clerks, one order', async () => {
    story.say('Both read the order, both add ten cents, both save. The second to save has read the older version.');
    const clerks = async (Kind: typeof Session) => {
      await using one = new Kind(db);
      await using two = new Kind(db);
      const [mine, theirs] = [await one.get(Order, '0000'), await two.get(Order, '0000')];
      if (!mine || !theirs) throw new Error('the order is there');
      const before = mine.unit_cents;
      mine.unit_cents += 10n;
      theirs.unit_cents += 10n;
      await one.commit();
      const refused = await two.commit().then(
        () => 'nobody',
        (error: Error) => error.name,
      );
      await using look = new Session(db);
      return { added: ((await look.get(Order, '0000'))?.unit_cents ?? 0n) - before, refused };
    };
    const lost = await clerks(LastWriterWins);
    story.verdict(
      'A version that is counted and never compared loses a save',
      `${lost.added} cents of 20 arrived, refused: ${lost.refused}`,
      lost.added === 10n,
    );
    const kept = await clerks(Session);
    story.verdict(
      'With `AND t.version = v.version` in the UPDATE, he is told',
      `${kept.added} cents of 10, refused: ${kept.refused}`,
      kept.added === 10n && kept.refused === 'StaleError',
    );
  });

  await story.scene('The audit that missed a bulk update', async () => {
    story.say(
      'An audit listens to `beforeUpdate` and adds a line for each order. Five orders are changed one by one; then one ' +
        'statement marks all orders of a day as paid.',
    );
    let line = 0;
    using audit = events.on(Order, 'beforeUpdate', ({ session, entity, changes }) =>
      session.add(
        new Audit({ id: `${++line}`, order_id: entity.id, text: changes.map(({ column }) => column).join() }),
      ),
    );
    const bulk: number[] = [];
    using heard = events.on(Order, 'bulkUpdate', ({ rows }) => void bulk.push(rows));
    const work = async (paid: boolean) => {
      await using unit = new Session(db);
      for (const order of await unit.find(Order, (orders) => orders.orderBy('id').limit(5)))
        order.customer = `Eve ${paid}`;
      const rows = await unit.bulkUpdate(Order, { paid }, (eb) => eb(Order.placedOn(ZONE), '=', '2026-03-29'));
      await unit.commit();
      return rows;
    };
    const rows = await work(true);
    story.verdict(
      'Row events hear of rows that were read',
      `${line} audit lines for ${5 + rows} changes: ${rows} missed`,
      line === 5 && rows > 0,
    );
    story.verdict(
      'The bulk event says how many, and cannot say which',
      `${bulk[0]} rows in one event`,
      bulk[0] === rows,
    );
    audit[Symbol.dispose]();
    heard[Symbol.dispose]();
    await sql`CREATE TABLE trail (order_id text NOT NULL)`.execute(db);
    await sql`CREATE FUNCTION trail() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO trail VALUES (NEW.id); RETURN NEW; END $$`.execute(db);
    await sql`CREATE TRIGGER trail AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION trail()`.execute(db);
    const changed = 5 + (await work(false));
    const trail = await sql<{ n: bigint }>`SELECT count(*) AS n FROM trail`.execute(db);
    story.verdict(
      'An audit that must have every row is a trigger',
      `${trail.rows[0]?.n} lines for ${changed} changes`,
      Number(trail.rows[0]?.n) === changed,
    );
  });

  await story.scene('A mail for an order that never was', async () => {
    story.say(
      '20 orders come in. Every fourth is refused by the till after it was written: its transaction is rolled back.',
    );
    const mails = { inside: new Set<string>(), after: new Set<string>() };
    using _inside = events.on(Order, 'afterInsert', ({ entity }) => void mails.inside.add(entity.id));
    using _after = events.on(Order, 'afterCommit', ({ inserted }) => {
      for (const { id } of inserted) mails.after.add(id);
    });
    const ids = Array.from({ length: 20 }, (_, n) => `new ${n}`);
    for (const [n, id] of ids.entries()) {
      await using unit = new Session(db);
      unit.add(new Order({ id, unit_cents: 100n }));
      await unit.flush();
      if (n % 4 !== 3) await unit.commit();
    }
    const stored = await db.selectFrom('orders').select('id').where('id', 'like', 'new %').execute();
    const real = new Set(stored.map(({ id }) => id));
    const ghosts = [...mails.inside].filter((id) => !real.has(id)).length;
    story.verdict(
      'Sent by `afterInsert`, within the transaction, some are lies',
      `${mails.inside.size} mails for ${real.size} orders: ${ghosts} for nothing`,
      ghosts === ids.length / 4,
    );
    const wrong = [...mails.after.symmetricDifference(real)].length;
    story.verdict(
      'Sent by `afterCommit`, each is true',
      `${mails.after.size} mails for ${real.size} orders`,
      wrong === 0 && real.size === 15,
    );
    story.say(
      'A process that dies between COMMIT and the mail sends none: where each must go out, write it to an outbox.',
    );
  });
});
