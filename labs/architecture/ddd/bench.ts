import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Command,
  type Decider,
  DeciderCommandHandler,
  type Event,
  getInMemoryEventStore,
} from '@event-driven-io/emmett';
import { tell } from '@shared/story';
import { contest, ratio, type Standing } from '@shared/testkit';
import { Address, customerId, Dish, Money, Order, type OrderSnapshot, orderId, Size, Spiciness } from './src/index.ts';
import * as script from './test/transaction-script.ts';

const home = new Address('Beijing', 'Chaoyang 1');
const fish = new Dish('fish with pickled cabbage', Size.Large, Spiciness.Medium);
const rice = new Dish('rice', Size.Small, Spiciness.None);
const guest = customerId();

// ── the same order as a decider: pure functions over plain data, and the same rules ──────────────────────────────────

type Line = { readonly dish: string; readonly price: number; readonly quantity: number };
type State = {
  readonly status: 'draft' | 'placed' | 'paid';
  readonly voucher: number;
  readonly lines: readonly Line[];
};
type Add = Command<'Add', Line>;
type Change = Command<'Change', { dish: string; quantity: number }>;
type Redeem = Command<'Redeem', { voucher: number }>;
type Place = Command<'Place', Record<string, never>>;
type Pay = Command<'Pay', Record<string, never>>;
type Deed = Add | Change | Redeem | Place | Pay;
type Fact =
  | Event<'Added', Line>
  | Event<'Changed', { dish: string; quantity: number }>
  | Event<'Redeemed', { voucher: number }>
  | Event<'Placed', { total: number }>
  | Event<'Paid', { total: number }>;

const must = (holds: boolean, rule: string) => {
  if (!holds) throw new Error(rule);
};
const servable = (quantity: number) => Number.isInteger(quantity) && quantity >= 1 && quantity <= 20;
const totalOf = ({ lines, voucher }: State) => {
  const subtotal = lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0);
  must(Number.isSafeInteger(subtotal), 'bounds');
  return subtotal - Math.min(subtotal, voucher);
};
const decider: Decider<State, Deed, Fact> = {
  initialState: () => ({ status: 'draft', voucher: 0, lines: [] }),
  decide: ({ type, data }, state) => {
    must(type === 'Pay' ? state.status === 'placed' : state.status === 'draft', 'order closed');
    const there = 'dish' in data ? state.lines.find(({ dish }) => dish === data.dish) : undefined;
    switch (type) {
      case 'Add':
        must(servable(data.quantity + (there?.quantity ?? 0)) && Number.isSafeInteger(data.price), 'bad line');
        must(there === undefined || there.price === data.price, 'two prices');
        return { type: 'Added', data };
      case 'Change':
        must(there !== undefined && servable(data.quantity), 'bad change');
        return { type: 'Changed', data };
      case 'Redeem':
        must(Number.isSafeInteger(data.voucher) && data.voucher >= 0, 'bad voucher');
        return { type: 'Redeemed', data };
      case 'Place':
        must(state.lines.length > 0, 'empty order');
        return { type: 'Placed', data: { total: totalOf(state) } };
      case 'Pay':
        return { type: 'Paid', data: { total: totalOf(state) } };
    }
  },
  evolve: (state, { type, data }) => {
    switch (type) {
      case 'Added': {
        const there = state.lines.some(({ dish }) => dish === data.dish);
        const more = (line: Line) =>
          line.dish === data.dish ? { ...line, quantity: line.quantity + data.quantity } : line;
        return { ...state, lines: there ? state.lines.map(more) : [...state.lines, data] };
      }
      case 'Changed':
        return { ...state, lines: state.lines.map((line) => (line.dish === data.dish ? { ...line, ...data } : line)) };
      case 'Redeemed':
        return { ...state, voucher: data.voucher };
      case 'Placed':
        return { ...state, status: 'placed' };
      case 'Paid':
        return { ...state, status: 'paid' };
    }
  },
};
const deeds: readonly Deed[] = [
  { type: 'Add', data: { dish: 'fish', price: 12_800, quantity: 1 } },
  { type: 'Add', data: { dish: 'rice', price: 300, quantity: 2 } },
  { type: 'Change', data: { dish: 'fish', quantity: 2 } },
  { type: 'Redeem', data: { voucher: 1_000 } },
  { type: 'Place', data: {} },
  { type: 'Pay', data: {} },
];

// ── six decisions, three ways ────────────────────────────────────────────────────────────────────────────────────────

const [dear, cheap, voucher] = [Money.of(12_800, 'CNY'), Money.of(300, 'CNY'), Money.of(1_000, 'CNY')];
const steps: readonly ((order: Order) => void)[] = [
  (order) => order.add(fish, dear, 1),
  (order) => order.add(rice, cheap, 2),
  (order) => order.changeQuantity(fish, 2),
  (order) => order.redeem(voucher),
  (order) => order.place(),
  (order) => order.pay(),
];
const id = orderId();
const byAggregate = () => {
  const order = Order.draft(guest, home, 'CNY', id);
  for (const step of steps) step(order);
  return order.total.minor;
};
const byDecider = () => {
  let state = decider.initialState();
  for (const deed of deeds) {
    const facts = decider.decide(deed, state);
    for (const fact of Array.isArray(facts) ? facts : [facts]) state = decider.evolve(state, fact);
  }
  return totalOf(state);
};
const byScript = () => {
  const row = script.newOrder('CNY');
  script.addDish(row, 'fish', 128, 'CNY', 1);
  script.addDish(row, 'rice', 3, 'CNY', 2);
  script.changeQuantity(row, 'fish', 2);
  script.redeem(row, 10);
  script.place(row);
  script.pay(row);
  return row.total * 100;
};

const batch = 200;
const batched = (order: () => number) => async () => {
  for (let i = 0; i < batch; i++) if (order() !== 25_200) throw new Error('they disagree on the bill');
};
const sourceOf = async (files: readonly string[]) =>
  (await Promise.all(files.map((file) => readFile(join(import.meta.dirname, file), 'utf8')))).join('\n');
const linesOf = (text = '') =>
  text.split('\n').filter((line) => /\S/.test(line) && !/^\s*(\/\/|\/?\*)/.test(line)).length;

const thousands = (perSecond: number) => Math.round(perSecond / 1000).toLocaleString('en');
const rows = (standings: readonly Standing[], decisions: number) =>
  standings.map((each) => [
    each.name,
    thousands(each.perSecond * decisions),
    each.spread.map((edge) => thousands(edge * decisions)).join(' to '),
    standings[0] ? `${ratio(each, standings[0]).toFixed(2)} ×` : '',
  ]);
const columns = ['', ...['k a second', 'spread', 'ratio'].map((label) => ({ label, align: 'right' as const }))];

await tell({ title: 'The aggregate against the decider and the script', dir: import.meta.dirname }, async (story) => {
  await story.scene('Six decisions in memory', async () => {
    const standings = await contest(
      { aggregate: batched(byAggregate), 'emmett decider': batched(byDecider), script: batched(byScript) },
      { rounds: 7, turnMs: 300 },
    );
    story.table({ caption: 'Decisions', columns, rows: rows(standings, batch * deeds.length) });
    const [aggregate] = standings;
    const perDecision = 1e6 / ((aggregate?.perSecond ?? 0) * batch * deeds.length);
    story.verdict(
      'Values and guards cost something, and little beside any query',
      `${perDecision.toFixed(2)} µs a decision`,
      perDecision < 100,
    );
  });

  await story.scene('Load, decide, save, in a store in memory', async () => {
    const snapshots = new Map<string, OrderSnapshot>();
    const handle = DeciderCommandHandler(decider);
    const standings = await contest(
      {
        'aggregate, snapshots': async () => {
          const order = Order.draft(guest, home, 'CNY');
          snapshots.set(order.id, order.snapshot());
          for (const step of steps) {
            const loaded = Order.restore(snapshots.get(order.id) ?? order.snapshot());
            step(loaded);
            const saved = loaded.snapshot();
            loaded.committed(loaded.events);
            snapshots.set(order.id, saved);
          }
          snapshots.delete(order.id);
        },
        'emmett, events': async () => {
          const [store, stream] = [getInMemoryEventStore(), orderId()];
          for (const deed of deeds) await handle(store, stream, deed);
        },
      },
      { rounds: 7, turnMs: 300 },
    );
    story.table({ caption: 'Commands', columns, rows: rows(standings, deeds.length) });
    story.say('Another bargain, not another speed: events keep the history, and are folded again at each load.');
  });

  await story.scene('What is there to read', async () => {
    const [own, model, plain] = await Promise.all(
      [
        ['bench.ts'],
        ['src/domain/order.ts', 'src/domain/money.ts', 'src/domain/aggregate.ts'],
        ['test/transaction-script.ts'],
      ].map(sourceOf),
    );
    const decided = own?.slice(own.indexOf('type Line ='), own.indexOf('const deeds')) ?? '';
    story.table({
      caption: 'Lines of code, without comments and blank lines',
      columns: ['', { label: 'lines', align: 'right' }],
      rows: [
        ['aggregate: order, money, root', linesOf(model)],
        ['decider, amounts as bare numbers', linesOf(decided)],
        ['script', linesOf(plain)],
      ],
    });
  });
});
