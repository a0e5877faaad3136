// One stream of random commands for both ways of writing the feature, and one judge who knows neither.
import fc from 'fast-check';
import { Address, customerId, Dish, DomainError, Money, Order, Size, Spiciness } from '#lab';
import * as script from './transaction-script.ts';

export type Command = {
  readonly kind: 'add' | 'change' | 'remove' | 'redeem' | 'place' | 'pay' | 'decline';
  readonly dish: number;
  readonly quantity: number;
  readonly voucher: number;
  readonly currency: string;
};

/** Calls as they come when nobody stands at the door: mostly sensible, sometimes not. */
export const commands: fc.Arbitrary<Command[]> = fc.array(
  fc.record({
    kind: fc.constantFrom<Command['kind'][]>(
      ...(['add', 'add', 'add', 'change', 'change', 'remove', 'redeem', 'redeem', 'place', 'pay', 'decline'] as const),
    ),
    dish: fc.nat(3),
    quantity: fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: 1, max: 9 }) },
      fc.constantFrom(0, -2, 1.5, 21, Number.NaN),
    ),
    voucher: fc.integer({ min: 0, max: 20_000 }),
    currency: fc.oneof({ weight: 9, arbitrary: fc.constant('CNY') }, fc.constant('EUR')),
  }),
  { maxLength: 25 },
);

/** An order as the judge sees it; amounts in minor units. */
export type View = {
  readonly status: string;
  readonly voucher: number;
  readonly total: number;
  readonly lines: readonly { readonly dish: string; readonly price: number; readonly quantity: number }[];
};

export interface Subject {
  /** Throws when it refuses; a refusal changes nothing. */
  apply(command: Command): void;
  readonly view: View;
}

/** In minor units of CNY. */
const prices = [12_810, 1_990, 330, 8_805] as const;

export function model(): Subject {
  const order = Order.draft(customerId(), new Address('Beijing', 'Chaoyang 1'), 'CNY');
  const apply = ({ kind, dish: index, quantity, voucher, currency }: Command) => {
    const dish = new Dish(`dish ${index}`, Size.Large, Spiciness.Medium);
    if (kind === 'add') order.add(dish, Money.of(prices[index] ?? 0, currency), quantity);
    if (kind === 'change') order.changeQuantity(dish, quantity);
    if (kind === 'remove') order.remove(dish);
    if (kind === 'redeem') order.redeem(Money.of(voucher, currency));
    if (kind === 'place') order.place();
    if (kind === 'pay') order.pay();
    if (kind === 'decline') order.decline();
  };
  return {
    apply,
    get view() {
      const lines = order.lines.map((line) => ({
        dish: line.dish.name,
        price: line.unitPrice.minor,
        quantity: line.quantity,
      }));
      return { status: order.status, voucher: order.discount.minor, total: order.total.minor, lines };
    },
  };
}

export function transactionScript(): Subject {
  const row = script.newOrder('CNY');
  const apply = ({ kind, dish: index, quantity, voucher, currency }: Command) => {
    const dish = `dish ${index}`;
    if (kind === 'add') script.addDish(row, dish, (prices[index] ?? 0) / 100, currency, quantity);
    if (kind === 'change') script.changeQuantity(row, dish, quantity);
    if (kind === 'remove') script.removeDish(row, dish);
    if (kind === 'redeem') script.redeem(row, voucher / 100);
    if (kind === 'place') script.place(row);
    if (kind === 'pay') script.pay(row);
    if (kind === 'decline') script.decline(row);
  };
  return {
    apply,
    get view() {
      const lines = row.lines.map(({ dish, price, quantity }) => ({ dish, price: Math.round(price * 100), quantity }));
      return { status: row.status, voucher: Math.round(row.voucher * 100), total: row.total * 100, lines };
    },
  };
}

export const broken = [
  'a total below zero',
  'a fraction of a cent',
  'edited after it was placed',
  'a quantity that is none',
  'one dish on two lines',
  'placed without a dish',
  'back from a final state',
] as const;
export type Broken = (typeof broken)[number];

const final = (status: string) => status === 'paid' || status === 'declined';
/** Floats are forgiven what rounding to a millionth of a cent forgives. */
const whole = (amount: number) => Math.abs(amount - Math.round(amount)) < 1e-6;

/** What is wrong with the step from `before` to `after`. */
export function judge(before: View, after: View): Broken[] {
  const { lines, total, status } = after;
  const found = new Set<Broken>();
  if (total < -1e-6) found.add('a total below zero');
  if (Number.isFinite(total) && !whole(total)) found.add('a fraction of a cent');
  const edited = JSON.stringify([before.lines, before.voucher]) !== JSON.stringify([lines, after.voucher]);
  if (before.status !== 'draft' && edited) found.add('edited after it was placed');
  if (lines.some(({ quantity }) => !Number.isInteger(quantity) || quantity < 1 || quantity > 20)) {
    found.add('a quantity that is none');
  }
  if (new Set(lines.map(({ dish }) => dish)).size < lines.length) found.add('one dish on two lines');
  if (status !== 'draft' && status !== 'declined' && lines.length === 0) found.add('placed without a dish');
  if (final(before.status) && status !== before.status) found.add('back from a final state');
  return [...found];
}

export type Run = { readonly broken: ReadonlySet<Broken>; readonly log: readonly string[] };

/** Applies all commands; a refusal is an answer, an invalid state is not. */
export function run(
  subject: Subject,
  sequence: readonly Command[],
  isRefusal: (error: unknown) => boolean = (error) => error instanceof DomainError,
): Run {
  const found = new Set<Broken>();
  const log: string[] = [];
  for (const command of sequence) {
    const before = subject.view;
    let answer = 'done';
    try {
      subject.apply(command);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      answer = `refused: ${error instanceof Error ? error.message : error}`;
    }
    const wrong = judge(before, subject.view);
    for (const each of wrong) found.add(each);
    const { status, total } = subject.view;
    log.push(
      `${command.kind} dish ${command.dish} × ${command.quantity}, voucher ${command.voucher}: ${answer}; ${status}, total ${total}${wrong.length ? `  ← ${wrong}` : ''}`,
    );
  }
  return { broken: found, log };
}
