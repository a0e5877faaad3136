import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import fc from 'fast-check';
import { parseSync, Visitor } from 'oxc-parser';
import { Pool } from 'pg';
import { PostgresOrders as EventsFirst } from './pitfalls/events-before-save.ts';
import { PostgresOrders as LastOneWins } from './pitfalls/no-version.ts';
import {
  Address,
  ConcurrencyError,
  Customer,
  customerId,
  Dish,
  type DomainEvent,
  kitchenTicket,
  Money,
  migrate,
  Order,
  OrderService,
  OutboxRelay,
  PostgresCustomers,
  PostgresOrders,
  PrintedMenu,
  paymentPolicy,
  Size,
  Spiciness,
} from './src/index.ts';
import { auditTransactions, watchTransactions } from './test/audit.ts';
import { broken, commands, model, run, type Subject, transactionScript } from './test/commands.ts';
import { outwardImports } from './test/layers.ts';

const dir = import.meta.dirname;
const fishName = 'fish with pickled cabbage';
const fish = new Dish(fishName, Size.Large, Spiciness.Medium);
const home = new Address('Beijing', 'Chaoyang 1');
const menu = new PrintedMenu('CNY', { [fishName]: { small: '58.00', large: '128.00' }, rice: { small: '3.00' } });
const book = { [fishName]: { fish: 1_500, 'pickled cabbage': 500 } };

/** Where a file writes each rule down: the conditions of `if (…) throw …`, by what is thrown. */
async function rulesOf(files: readonly string[]): Promise<Map<string, string[]>> {
  const rules = new Map<string, string[]>();
  for (const file of files) {
    const text = await readFile(join(dir, file), 'utf8');
    new Visitor({
      IfStatement: ({ test, consequent }) => {
        const then = consequent.type === 'BlockStatement' ? consequent.body[0] : consequent;
        if (then?.type !== 'ThrowStatement') return;
        const [, error, message] =
          /^new (\w+)\('?([\w ]*)/.exec(text.slice(then.argument.start, then.argument.end)) ?? [];
        const rule = names[`${error} ${message}`] ?? names[`${error}`];
        if (rule) rules.set(rule, [...(rules.get(rule) ?? []), text.slice(test.start, test.end)]);
      },
    }).visit(parseSync(file, text).program);
  }
  return rules;
}
/** The same rule by its name in either version. */
const names: Readonly<Record<string, string>> = {
  'Error order closed': 'the state allows it',
  OrderStateError: 'the state allows it',
  'Error no such line': 'the line exists',
  UnknownLineError: 'the line exists',
  'Error bad quantity': 'the quantity can be served',
  'InvalidValueError Quantity': 'the quantity can be served',
  'Error wrong currency': 'one currency',
  CurrencyMismatchError: 'one currency',
};

const options = {
  title: 'Domain-driven design 领域驱动设计',
  subtitle: 'The restaurant: one order, a row that everybody edits or an aggregate that guards itself',
  dir,
};

await tell(options, async (story) => {
  const started = startPostgres();
  started.catch(() => {});
  const sequences = fc.sample(commands, { seed: story.seed, numRuns: 3_000 });
  const count = (subject: () => Subject, isRefusal?: (error: unknown) => boolean) => {
    const runs = sequences.map((sequence) => run(subject(), sequence, isRefusal));
    const by = new Map(broken.map((kind) => [kind, runs.filter((each) => each.broken.has(kind)).length]));
    return { by, any: runs.filter((each) => each.broken.size > 0).length };
  };

  await story.scene('A row that everybody edits', async () => {
    story.say(
      'The order as a transaction script: a row with public columns, seven functions, and each checks what it thinks of. ' +
        'Nobody stands at the door: the app, the nightly import and the back office all call them, in any order.',
    );
    story.code('test/transaction-script.ts', { from: 'export function changeQuantity', to: '}' });
    const script = count(transactionScript, () => true);
    story.table({
      caption: `What came of ${sequences.length} random call sequences`,
      columns: ['the order is left with', { label: 'sequences', align: 'right' }],
      rows: [...script.by].filter(([, times]) => times > 0),
    });
    story.verdict(
      'The script reaches orders that no guest could have ordered',
      `${script.any} of ${sequences.length} sequences`,
      script.any > 0,
    );
  });

  await story.scene('An aggregate that guards itself', async () => {
    story.say('The same calls to `Order`: words that exist (`Size.Large`, `Money`), and one door to its lines.');
    story.code('src/domain/order.ts', { from: '  changeQuantity(dish', to: '  }' });
    const [careless, guarded] = [count(transactionScript, () => true), count(model)];
    story.bars({
      title: `Invalid orders after ${sequences.length} random call sequences`,
      picture: true,
      items: [
        ...[...careless.by]
          .filter(([, times]) => times > 0)
          .map(([kind, value]) => ({ label: `script: ${kind}`, value, tone: 'bad' as const })),
        { label: 'aggregate: any of these', value: guarded.any, tone: 'good' },
      ],
    });
    story.verdict('No sequence breaks an invariant', `${guarded.any} of ${sequences.length}`, guarded.any === 0);
    const [script, domain] = [
      await rulesOf(['test/transaction-script.ts']),
      await rulesOf(['src/domain/order.ts', 'src/domain/money.ts']),
    ];
    const cell = (conditions: readonly string[] = []) => `${conditions.length} (${new Set(conditions).size} different)`;
    story.table({
      caption: 'Places where a rule is written down, and in how many different ways',
      columns: ['rule', { label: 'script', align: 'right' }, { label: 'model', align: 'right' }],
      rows: [...script].map(([rule, conditions]) => [rule, cell(conditions), cell(domain.get(rule))]),
    });
    const total = (rules: Map<string, string[]>) => [...script.keys()].flatMap((rule) => rules.get(rule) ?? []).length;
    story.verdict(
      'The script writes the same rules down again in each use case, the model once for all of them',
      `${total(script)} places against ${total(domain)}`,
      total(script) > total(domain),
    );
  });

  await story.scene('Three friends and one bill', async () => {
    story.say('A bill is split among friends, each share rounded for itself; and the same by `Money.allocate`.');
    const bills = Array.from({ length: 10_000 }, () => ({
      minor: 1 + Math.floor(story.random() * 100_000),
      friends: Array.from({ length: 2 + Math.floor(story.random() * 6) }, () => 1),
    }));
    const float = bills.filter(({ minor, friends }) => {
      const share = Math.round((minor / friends.length / 100) * 100);
      return share * friends.length !== minor;
    }).length;
    const exact = bills.filter(({ minor, friends }) => {
      const shares = Money.of(minor, 'CNY').allocate(friends);
      return shares.reduce((sum, share) => sum + share.minor, 0) !== minor;
    }).length;
    story.verdict('Rounding each share loses or invents fen', `${float} of ${bills.length} bills`, float > 0);
    story.verdict('An allocation sums to the whole', `${exact} of ${bills.length} bills are off`, exact === 0);
  });

  const pg = await story.use(started);
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url }), (it) => it.end());
  await migrate(pool);
  await auditTransactions(pool);
  const orders = new PostgresOrders(pool);
  const customers = new PostgresCustomers(pool);
  const draft = () => {
    const order = Order.draft(customerId(), home, 'CNY');
    order.add(fish, Money.parse('128.00', 'CNY'), 1);
    return order;
  };

  await story.scene('From the waiter to the kitchen, one aggregate at a time', async () => {
    const { files, violations } = await outwardImports(join(dir, 'src/index.ts'));
    story.verdict(
      'The domain imports nothing outward, so it needs no database to be tested',
      `${files} files read, ${violations.length} imports point outward`,
      violations.length === 0 && files > 10,
    );
    const service = new OrderService({ orders, customers, menu });
    const guest = Customer.register(Money.parse('300.00', 'CNY'));
    await customers.save(guest);
    const watched = await watchTransactions(pool);
    const item = { name: fishName, size: 'large', spiciness: 'medium', quantity: 1 };
    const id = await service.createOrder({
      customerId: guest.id,
      city: 'Beijing',
      street: 'Chaoyang 1',
      items: [item],
    });
    const tickets: string[] = [];
    const kitchen = async (event: DomainEvent) => {
      const ticket = kitchenTicket(event, book);
      for (const { ingredients, chillies } of ticket?.pans ?? []) {
        tickets.push(
          `${Object.entries(ingredients)
            .map(([what, grams]) => `${grams} g ${what}`)
            .join(', ')}, ${chillies} chillies`,
        );
      }
    };
    await new OutboxRelay(pool, [paymentPolicy({ orders, customers }), kitchen]).drain();
    const transactions = await watched();
    story.table({
      caption: "What each transaction wrote, by the database's own triggers",
      columns: ['transaction', 'tables', { label: 'aggregates', align: 'right' }],
      rows: transactions.map(({ tables, ids }, index) => [index + 1, tables.join(', '), ids.length]),
    });
    story.verdict(
      'Paying takes two aggregates, and no transaction touched more than one',
      `${transactions.length} transactions, at most ${Math.max(...transactions.map(({ ids }) => ids.length))} aggregate each`,
      transactions.length === 3 && transactions.every(({ ids }) => ids.length === 1),
    );
    const { status } = await orders.get(id);
    story.verdict(
      '"A large fish with pickled cabbage, medium hot" means one thing to everybody',
      `the order is ${status}; the kitchen reads ${tickets[0]}`,
      status === 'paid' && tickets.length === 1,
    );
  });

  await story.scene('Two waiters, one order, and a kitchen that hears too early', async () => {
    story.say('Both load the order. One adds a portion, the other moves it to another address, and both save.');
    story.code('src/infrastructure/postgres-orders.ts', { from: '`UPDATE orders SET', to: 'WHERE id = $1' });
    const twice = async (repository: PostgresOrders) => {
      let lost = 0;
      for (let round = 0; round < 20; round++) {
        const order = draft();
        await orders.save(order);
        const [one, other] = [await repository.get(order.id), await repository.get(order.id)];
        one.changeQuantity(fish, 2);
        other.deliverTo(new Address('Shanghai', 'Bund 9'));
        await repository.save(one);
        await repository.save(other).catch(async (error: unknown) => {
          if (!(error instanceof ConcurrencyError)) throw error;
          const again = await repository.get(order.id);
          again.deliverTo(new Address('Shanghai', 'Bund 9'));
          await repository.save(again);
        });
        if ((await orders.get(order.id)).lines[0]?.quantity !== 2) lost++;
      }
      return lost;
    };
    const [careless, careful] = [await twice(new LastOneWins(pool)), await twice(orders)];
    story.verdict(
      'Without the version in the UPDATE, the second overwrites the first',
      `${careless} of 20 portions lost`,
      careless > 0,
    );
    story.verdict('With it he is refused, loads again, and both changes stand', `${careful} of 20 lost`, careful === 0);
    const phantoms = async (repository: PostgresOrders) => {
      let heard = 0;
      for (let round = 0; round < 20; round++) {
        const order = draft();
        await orders.save(order);
        const [stale, other] = [await orders.get(order.id), await orders.get(order.id)];
        other.remove(fish);
        await orders.save(other);
        stale.place();
        await repository.save(stale).catch(() => {});
        const sql = 'SELECT 1 FROM outbox WHERE aggregate_id = $1';
        if ((await pool.query(sql, [order.id])).rowCount && (await orders.get(order.id)).status === 'draft') heard++;
      }
      return heard;
    };
    const [before, after] = [await phantoms(new EventsFirst(pool)), await phantoms(orders)];
    story.verdict('Events sent before the save tell of orders that were never placed', `${before} of 20`, before > 0);
    story.verdict('An outbox in the same transaction tells of none', `${after} of 20`, after === 0);
  });

  await story.scene('When not to: the list of suppliers', async () => {
    story.say('Name and telephone number, edited by the boss. No state, no sum, no rule that spans two fields.');
    await pool.query(
      "CREATE TABLE suppliers (name text PRIMARY KEY CHECK (name <> ''), phone text NOT NULL CHECK (phone <> ''))",
    );
    const set = 'INSERT INTO suppliers VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET phone = excluded.phone';
    let refused = 0;
    for (let edit = 0; edit < 300; edit++) {
      const phone = story.random() < 0.1 ? '' : String(Math.floor(story.random() * 1e9));
      await pool.query(set, [`supplier ${edit % 20}`, phone]).catch(() => refused++);
    }
    const bad = (await pool.query("SELECT 1 FROM suppliers WHERE name = '' OR phone = ''")).rowCount;
    const files = (await readdir(join(dir, 'src'), { recursive: true })).filter((file) => file.endsWith('.ts'));
    const texts = await Promise.all(files.map((file) => readFile(join(dir, 'src', file), 'utf8')));
    const lines = texts
      .join('\n')
      .split('\n')
      .filter((line) => line.trim() !== '').length;
    story.verdict(
      'Two SQL statements keep every rule that there is; the model of the orders has its price',
      `${bad} bad rows after 300 edits, ${refused} refused by the table; src/ is ${lines} lines in ${files.length} files`,
      bad === 0 && refused > 0,
    );
    story.say('Rules that depend on state and on each other pay for a model. A form over a table does not.');
  });
});
