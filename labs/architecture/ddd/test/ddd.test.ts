import { History } from '@shared/testkit';
import fc from 'fast-check';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  Address,
  CurrencyMismatchError,
  Customer,
  checkout,
  customerId,
  Dish,
  InvalidValueError,
  kitchenTicket,
  Money,
  Order,
  OrderStateError,
  orderId,
  PaymentError,
  PrintedMenu,
  Size,
  Spiciness,
  UnknownDishError,
  UnknownLineError,
} from '#lab';
import { commands, model, run } from './commands.ts';

const seed = Number(process.env['LAB_SEED'] ?? 20_261);
const yuan = (text: string) => Money.parse(text, 'CNY');
const home = new Address('Beijing', 'Chaoyang 1');
const fish = new Dish('fish with pickled cabbage', Size.Large, Spiciness.Medium);
const rice = new Dish('rice', Size.Small, Spiciness.None);
const draft = () => Order.draft(customerId(), home, 'CNY');
const withFish = () => {
  const order = draft();
  order.add(fish, yuan('128.00'), 2);
  return order;
};
const amounts = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const weights = fc
  .array(fc.integer({ min: 0, max: 1_000_000 }), { minLength: 1, maxLength: 12 })
  .filter((each) => each.some((weight) => weight > 0));

describe('values', () => {
  test('an amount that no currency has cannot be made', () => {
    for (const minor of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      expect(() => Money.of(minor, 'CNY'), String(minor)).toThrow(InvalidValueError);
    }
    for (const currency of ['', 'XXX', 'cny', 'toString']) {
      expect(() => Money.of(1, currency), currency).toThrow(InvalidValueError);
    }
    for (const text of ['', '-1', '1e3', '1.', '.5', '1.005', ' 1', '1,50']) {
      expect(() => yuan(text), JSON.stringify(text)).toThrow(InvalidValueError);
    }
    expect(() => Money.of(1, 'CNY').subtract(Money.of(2, 'CNY')), 'a debt is no amount').toThrow(InvalidValueError);
    for (const count of [0.5, -1, Number.NaN]) {
      expect(() => Money.of(200, 'CNY').times(count), `× ${count}`).toThrow(InvalidValueError);
      expect(() => Money.of(0, 'CNY').times(count), `nothing × ${count}`).toThrow(InvalidValueError);
    }
    expect(() => Money.of(2 ** 53 - 1, 'CNY').add(Money.of(1, 'CNY')), 'beyond all bounds').toThrow(InvalidValueError);
    expect(() => Money.of(1e17, 'CNY'), 'what was wrong with it').toThrow('from 0 to 2⁵³ − 1');
  });

  test('an amount reads as it is printed', () => {
    const known = fc.constantFrom('CNY', 'JPY', 'KWD');
    fc.assert(
      fc.property(amounts, known, (minor, currency) => {
        const [printed = '', code] = String(Money.of(minor, currency)).split(' ');
        expect([Money.parse(printed, currency).minor, code]).toEqual([minor, currency]);
      }),
      { seed },
    );
    expect(String(yuan('0.5'))).toBe('0.50 CNY');
    expect(String(Money.of(128, 'JPY'))).toBe('128 JPY');
  });

  test('sums of money are exact', () => {
    expect(yuan('0.10').add(yuan('0.20')).equals(yuan('0.30')), '0.10 + 0.20').toBe(true);
    const cents = Array.from({ length: 1_000 }, () => yuan('0.01'));
    expect(String(cents.reduce((sum, cent) => sum.add(cent)))).toBe('10.00 CNY');
    expect(String(yuan('1.15').times(3)), '1.15 × 3').toBe('3.45 CNY');
    expect(String(yuan('0.30').subtract(yuan('0.10'))), '0.30 − 0.10').toBe('0.20 CNY');
  });

  test('each currency has digits of its own, and currencies do not mix', () => {
    const parsed = ['CNY', 'EUR', 'USD', 'JPY', 'KWD'].map((currency) => Money.parse('7', currency).minor);
    expect(parsed).toEqual([700, 700, 700, 7, 7_000]);
    expect(() => Money.parse('12.50', 'GBP'), 'it is not the digits that are wrong').toThrow('Currency "GBP"');
    const [one, other] = [Money.of(100, 'CNY'), Money.of(100, 'EUR')];
    expect(() => one.add(other)).toThrow(CurrencyMismatchError);
    expect(() => one.subtract(other)).toThrow(CurrencyMismatchError);
    expect(() => one.isAtLeast(other)).toThrow(CurrencyMismatchError);
    expect(() => one.min(other)).toThrow(CurrencyMismatchError);
    expect(one.equals(other)).toBe(false);
  });

  test('an allocation sums to the whole', () => {
    fc.assert(
      fc.property(amounts, weights, (minor, each) => {
        const shares = Money.of(minor, 'CNY').allocate(each);
        const sum = shares.reduce((total, share) => total + BigInt(share.minor), 0n);
        expect([shares.length, sum]).toEqual([each.length, BigInt(minor)]);
      }),
      { seed },
    );
  });

  test('a share is within a minor unit of the exact one, and what is left goes to the largest fraction lost', () => {
    fc.assert(
      fc.property(amounts, weights, (minor, each) => {
        const whole = each.reduce((sum, weight) => sum + BigInt(weight), 0n);
        for (const [index, share] of Money.of(minor, 'CNY').allocate(each).entries()) {
          const exact = BigInt(minor) * BigInt(each[index] ?? 0);
          const off = BigInt(share.minor) * whole - exact;
          expect(off > -whole && off < whole, `share ${index} of ${minor} by ${each}: ${share.minor}`).toBe(true);
        }
      }),
      { seed },
    );
    const split = (minor: number, ...by: number[]) =>
      Money.of(minor, 'CNY')
        .allocate(by)
        .map((share) => share.minor);
    expect(split(100, 1, 1, 1)).toEqual([34, 33, 33]);
    expect(split(1003, 49, 51), 'exactly 491.47 and 511.53').toEqual([491, 512]);
    expect(split(10, 5, 2), 'exactly 7.14 and 2.86').toEqual([7, 3]);
    expect(split(5, 0, 1, 0), 'nothing to those who weigh nothing').toEqual([0, 5, 0]);
    const lacking: number[] = [1, 1];
    delete lacking[0];
    for (const bad of [[], [0, 0], [-1, 2], [0.5, 0.5], [Number.NaN], lacking]) {
      expect(() => split(100, ...bad), `[${bad}]`).toThrow(InvalidValueError);
    }
  });

  test('values are equal by value and cannot be changed', () => {
    expect(Money.of(5, 'CNY').equals(Money.of(5, 'CNY'))).toBe(true);
    expect(home.equals(new Address('Beijing', 'Chaoyang 1'))).toBe(true);
    expect(home.equals(new Address('Beijing', 'Chaoyang 2'))).toBe(false);
    expect(fish.equals(new Dish(fish.name, Size.of('large'), Spiciness.of('medium')))).toBe(true);
    expect(fish.equals(new Dish(fish.name, Size.Large, Spiciness.Hot))).toBe(false);
    for (const value of [Money.of(5, 'CNY'), home, fish, Size.Large, Spiciness.Hot]) {
      expect(Object.isFrozen(value), `${value.constructor.name} is frozen`).toBe(true);
    }
  });

  test('a size, a spiciness, a dish, an address, an id or a currency that does not exist cannot be made', () => {
    expect(() => Size.of('gigantic')).toThrow(InvalidValueError);
    expect(() => Size.of('Large')).toThrow('one of small, medium, large');
    expect(() => Spiciness.of('')).toThrow(InvalidValueError);
    expect(() => new Dish(' ', Size.Small, Spiciness.None)).toThrow(InvalidValueError);
    expect(() => new Dish('x'.repeat(81), Size.Small, Spiciness.None)).toThrow(InvalidValueError);
    expect(() => new Address('Beijing', '')).toThrow(InvalidValueError);
    for (const unwritable of ['a\0b', 'a\ud800b']) {
      expect(() => new Address('Beijing', unwritable), JSON.stringify(unwritable)).toThrow(InvalidValueError);
      expect(() => new Dish(unwritable, Size.Small, Spiciness.None)).toThrow(InvalidValueError);
    }
    expect(new Address('北京', '朝阳 🐟').city).toBe('北京');
    expect(() => orderId('7')).toThrow(InvalidValueError);
    expect(() => customerId("' OR 1=1")).toThrow(InvalidValueError);
    expect(() => Order.draft(customerId(), home, 'gold')).toThrow(InvalidValueError);
  });

  test('a text that is far too long is refused before it is composed', () => {
    const longest = '\u1f82'.repeat(80);
    expect(new Dish(longest.normalize('NFD'), Size.Small, Spiciness.None).name).toBe(longest);
    // Marks in the wrong order, for the one who sorts them: the work grows with the square of their number.
    const marks = `e${'\u0301\u0327'.repeat(2_000)}`;
    const composed = vi.spyOn(String.prototype, 'normalize');
    onTestFinished(() => composed.mockRestore());
    expect(() => new Dish(marks, Size.Small, Spiciness.None)).toThrow(InvalidValueError);
    expect(() => new Address(marks, 'Chaoyang 1')).toThrow(InvalidValueError);
    expect(() => new Dish(marks.slice(0, 321), Size.Small, Spiciness.None), 'one mark too many').toThrow(
      InvalidValueError,
    );
    expect(composed.mock.calls.length, 'times that it was composed').toBe(0);
  });

  test('what stands at a limit is within it', () => {
    const [city, street, name] = ['京'.repeat(200), '路'.repeat(200), '鱼'.repeat(80)];
    expect(new Address(city, street)).toMatchObject({ city, street });
    expect(new Dish(name, Size.Small, Spiciness.None).name).toBe(name);
    expect(() => new Address(`${city}市`, street), 'a city of 201 characters').toThrow(InvalidValueError);
    expect(() => new Address(city, `${street}一`), 'a street of 201 characters').toThrow(InvalidValueError);
    for (const minor of [0, Number.MAX_SAFE_INTEGER]) expect(Money.of(minor, 'CNY').minor).toBe(minor);
    expect(String(yuan('1.28').times(0))).toBe('0.00 CNY');
    for (const quantity of [1, 20]) {
      const order = withFish();
      order.changeQuantity(fish, quantity);
      expect(order.lines.map((line) => line.quantity)).toEqual([quantity]);
    }
  });
});

describe('the order', () => {
  test('an order that moved is still the same order', () => {
    const order = withFish();
    const before = Order.restore(order.snapshot());
    order.deliverTo(new Address('Shanghai', 'Bund 9'));
    expect(order.equals(before), 'equal by identity').toBe(true);
    expect(order.equals(withFish()), 'the same content, another order').toBe(false);
  });

  test('equal dishes share one line', () => {
    const order = withFish();
    order.add(new Dish(fish.name, Size.Large, Spiciness.Medium), yuan('128.00'), 1);
    order.add(new Dish(fish.name, Size.Large, Spiciness.Hot), yuan('128.00'), 1);
    expect(order.lines.map(({ quantity }) => quantity)).toEqual([3, 1]);
    expect(() => order.add(fish, yuan('99.00'), 1), 'one dish, two prices').toThrow(InvalidValueError);
    expect(() => order.remove(rice)).toThrow(UnknownLineError);
    order.remove(fish);
    expect(String(order.total)).toBe('128.00 CNY');
  });

  test('a quantity that no guest can order is refused, whoever asks', () => {
    for (const quantity of [0, -1, 1.5, 21, Number.NaN]) {
      expect(() => draft().add(fish, yuan('1.00'), quantity), `add ${quantity}`).toThrow(InvalidValueError);
      expect(() => withFish().changeQuantity(fish, quantity), `change to ${quantity}`).toThrow(InvalidValueError);
    }
    expect(() => withFish().add(fish, yuan('128.00'), 19), '2 + 19').toThrow(InvalidValueError);
  });

  test('all amounts of an order are in its currency', () => {
    expect(() => draft().add(fish, Money.of(100, 'EUR'), 1)).toThrow(CurrencyMismatchError);
    expect(() => withFish().redeem(Money.of(100, 'EUR'))).toThrow(CurrencyMismatchError);
  });

  test('a voucher never takes off more than there is', () => {
    const order = withFish();
    order.add(rice, yuan('3.00'), 1);
    order.redeem(yuan('200.00'));
    expect(String(order.total)).toBe('59.00 CNY');
    order.remove(fish);
    expect([String(order.discount), String(order.total)], 'the fish is gone').toEqual(['3.00 CNY', '0.00 CNY']);
    order.add(fish, yuan('128.00'), 2);
    expect(String(order.total), 'the fish is back').toBe('59.00 CNY');
  });

  test('the net prices of the lines sum to the total', () => {
    const order = draft();
    for (const name of ['a', 'b', 'c']) order.add(new Dish(name, Size.Small, Spiciness.None), yuan('3.33'), 1);
    order.redeem(yuan('1.00'));
    expect(order.netPrices.map(String)).toEqual(['3.00 CNY', '3.00 CNY', '2.99 CNY']);
    order.redeem(yuan('100.00'));
    expect(order.netPrices.map(String)).toEqual(['0.00 CNY', '0.00 CNY', '0.00 CNY']);
    expect(draft().netPrices).toEqual([]);
  });

  test('an order without a dish is not placed', () => {
    const order = draft();
    expect(() => order.place()).toThrow(InvalidValueError);
    expect([order.status, order.events.length]).toEqual(['draft', 0]);
  });

  test('a placed order is not edited', () => {
    const order = withFish();
    order.place();
    const before = order.snapshot();
    const edits = {
      add: () => order.add(rice, yuan('3.00'), 1),
      changeQuantity: () => order.changeQuantity(fish, 1),
      remove: () => order.remove(fish),
      redeem: () => order.redeem(yuan('1.00')),
      place: () => order.place(),
    };
    for (const [name, edit] of Object.entries(edits)) expect(edit, name).toThrow(OrderStateError);
    expect(order.snapshot()).toEqual(before);
    order.deliverTo(new Address('Shanghai', 'Bund 9'));
    order.pay();
    expect(() => order.deliverTo(home), 'it is on its way').toThrow(OrderStateError);
  });

  test('an order is settled once, and only when it was placed', () => {
    expect(() => withFish().pay()).toThrow(OrderStateError);
    expect(() => withFish().decline()).toThrow(OrderStateError);
    for (const settle of ['pay', 'decline'] as const) {
      const order = withFish();
      order.place();
      order[settle]();
      expect(() => order.pay(), `${settle}, then pay`).toThrow(OrderStateError);
      expect(() => order.decline(), `${settle}, then decline`).toThrow(OrderStateError);
    }
  });

  test('what has happened is recorded as it was, oldest first', () => {
    const order = withFish();
    expect(order.events).toEqual([]);
    order.redeem(yuan('56.00'));
    order.place();
    order.pay();
    const total = { minor: 20_000, currency: 'CNY' };
    const portion = { name: fish.name, size: 'large', spiciness: 'medium', quantity: 2 };
    expect(order.events).toEqual([
      { type: 'order-placed', orderId: order.id, customerId: order.customerId, total },
      { type: 'order-paid', orderId: order.id, dishes: [portion] },
    ]);
    expect(() => Reflect.apply(Array.prototype.push, order.events, ['forged'])).toThrow(TypeError);
  });

  test('what a reader does to the lines changes no order', () => {
    const order = withFish();
    const [before, bill] = [order.snapshot(), String(order.total)];
    const { lines } = order;
    const attacks: Record<string, () => unknown> = {
      push: () => Reflect.apply(Array.prototype.push, lines, [{ dish: rice, unitPrice: yuan('0.00'), quantity: 99 }]),
      empty: () => Reflect.set(lines, 'length', 0),
      quantity: () => Reflect.set(lines[0] ?? {}, 'quantity', -7),
      price: () => Reflect.set(lines[0]?.unitPrice ?? {}, 'minor', 1),
    };
    const history = new History<string>();
    for (const [name, attack] of Object.entries(attacks)) {
      try {
        history.record(`${name}: ${attack() === false ? 'refused' : 'done'}`);
      } catch (error) {
        history.record(`${name}: ${error}`);
      }
      history.record(`  the order now says ${order.total}, ${order.lines.length} line(s)`);
    }
    expect(order.snapshot(), history.toString()).toEqual(before);
    expect(String(order.total), history.toString()).toBe(bill);
  });

  test('what has left an aggregate cannot be changed, and neither can its id', () => {
    const order = withFish();
    order.place();
    order.pay();
    const guest = Customer.register(yuan('300.00'));
    guest.charge(order.id, order.total);
    const told = structuredClone([order.events, guest.events]);
    const [before, known] = [order.snapshot(), [order.id, order.customerId, guest.id]];
    const deeply = (value: unknown, each: (part: object) => void) => {
      if (typeof value !== 'object' || value === null) return;
      for (const part of Object.values(value)) deeply(part, each);
      each(value);
    };
    for (const part of [order.events, guest.events])
      deeply(part, (each) => {
        for (const key of Object.keys(each)) Reflect.set(each, key, 'forged');
        Reflect.deleteProperty(each, 'total');
      });
    for (const aggregate of [order, guest])
      for (const key of ['id', 'customerId']) Reflect.set(aggregate, key, orderId());
    deeply(order.snapshot(), (each) => void Reflect.set(each, 'quantity', 99));
    expect([order.events, guest.events]).toEqual(told);
    expect([order.id, order.customerId, guest.id]).toEqual(known);
    expect(order.snapshot()).toEqual(before);
    expect(Object.keys(order), 'an id is still part of what is seen').toContain('id');
    order.committed(order.events);
    for (const { events } of [draft(), order, Customer.register(yuan('1.00'))])
      expect(() => Reflect.apply(Array.prototype.push, events, ['forged']), 'nothing to tell').toThrow(TypeError);
  });

  test('what only looks like a value gets into no order', () => {
    const order = withFish();
    const guest = Customer.register(yuan('300.00'));
    const before = order.snapshot();
    const money = { minor: 100, currency: 'CNY', times: () => yuan('1.00'), equals: () => true };
    const dish = { name: 'rice', size: Size.Small, spiciness: Spiciness.None, equals: () => false };
    const attacks: [string, () => unknown][] = [
      ['a price', () => Reflect.apply(order.add, order, [rice, money, 1])],
      ['a dish', () => Reflect.apply(order.add, order, [dish, yuan('1.00'), 1])],
      ['a size', () => Reflect.construct(Dish, ['rice', { name: 'small' }, Spiciness.None])],
      ['a spiciness', () => Reflect.construct(Dish, ['rice', Size.Small, Object.create(null)])],
      ['a name', () => Reflect.construct(Dish, [7, Size.Small, Spiciness.None])],
      ['an address', () => order.deliverTo({ city: '', street: '', equals: () => true })],
      ['a voucher', () => Reflect.apply(order.redeem, order, [money])],
      ['a charge', () => Reflect.apply(guest.charge, guest, [order.id, { minor: -100, currency: 'CNY' }])],
      ['a top-up', () => Reflect.apply(guest.topUp, guest, [money])],
    ];
    for (const [what, attack] of attacks) expect(attack, what).toThrow(InvalidValueError);
    expect(order.snapshot()).toEqual(before);
    expect([String(guest.balance), guest.events]).toEqual(['300.00 CNY', []]);
  });

  test('one name in two spellings is one dish', async () => {
    const [one, two] = ['cr\u00eape', 'cre\u0302pe'].map((name) => new Dish(name, Size.Small, Spiciness.None));
    const menu = new PrintedMenu('CNY', { 'cre\u0302pe': { small: '12.00' } });
    const order = draft();
    for (const dish of [one ?? fail(), two ?? fail()]) order.add(dish, await menu.priceOf(dish), 1);
    expect(order.lines.map(({ quantity }) => quantity)).toEqual([2]);
    order.place();
    order.pay();
    const [, paid = fail()] = order.events;
    const pan = { ingredients: { flour: 50 }, chillies: 0 };
    expect(kitchenTicket(paid, { 'cre\u0302pe': { flour: 100 } })?.pans, 'in the kitchen too').toEqual([pan, pan]);
  });

  test('an order is rebuilt from its snapshot, and one that breaks a rule is not', () => {
    const order = withFish();
    order.redeem(yuan('1.00'));
    order.place();
    expect(Order.restore(order.snapshot()).snapshot()).toEqual(order.snapshot());
    expect(Order.restore(order.snapshot()).events, 'what happened before is not news').toEqual([]);
    const [line] = order.snapshot().lines;
    const foreign = JSON.parse('"eaten"');
    const misread = JSON.parse('{}');
    const bad = {
      'quantity 0': { lines: [{ ...(line ?? fail()), quantity: 0 }] },
      'a voucher below zero': { voucher: -1 },
      'no lines, placed': { lines: [] },
      'an unknown status': { status: foreign },
      'one dish on two lines': { lines: [line ?? fail(), line ?? fail()] },
      'a sum beyond all bounds': { lines: [{ ...(line ?? fail()), unitPrice: Number.MAX_SAFE_INTEGER }] },
      'an unknown size': { lines: [{ ...(line ?? fail()), size: 'gigantic' }] },
      'no id': { id: misread.id },
      'no customer': { customerId: misread.customerId },
      'no version': { version: misread.version },
      'a version that is text': { version: JSON.parse('"1"') },
      'a version below zero': { version: -1 },
    };
    for (const [name, part] of Object.entries(bad)) {
      expect(() => Order.restore({ ...order.snapshot(), ...part }), name).toThrow(InvalidValueError);
    }
    const guest = { ...Customer.register(yuan('1.00')).snapshot(), id: misread.id };
    expect(() => Customer.restore(guest), 'a customer without an id').toThrow(InvalidValueError);
  });

  test('an order that the customer cannot pay is not placed', () => {
    const order = withFish();
    expect(() => checkout(order, Customer.register(yuan('255.99')))).toThrow(PaymentError);
    expect([order.status, order.events.length]).toEqual(['draft', 0]);
    expect(() => checkout(order, Customer.register(Money.of(99_999, 'EUR')))).toThrow(CurrencyMismatchError);
    const customer = Customer.register(yuan('256.00'));
    checkout(order, customer);
    expect([order.status, String(customer.balance)], 'the money is taken later').toEqual(['placed', '256.00 CNY']);
  });

  test('no sequence of commands breaks an invariant', () => {
    fc.assert(
      fc.property(commands, (sequence) => {
        const { broken, log } = run(model(), sequence);
        expect([...broken], log.join('\n')).toEqual([]);
      }),
      { seed, numRuns: 500 },
    );
  });
});

describe('the neighbours', () => {
  test('a customer is charged what he has, and refused otherwise', () => {
    const customer = Customer.register(yuan('10.00'));
    const [first, second] = [orderId(), orderId()];
    customer.charge(first, yuan('7.00'));
    customer.charge(second, yuan('7.00'));
    expect(String(customer.balance)).toBe('3.00 CNY');
    const event = { orderId: first, customerId: customer.id };
    expect(customer.events).toEqual([
      { type: 'customer-charged', ...event },
      { type: 'charge-refused', ...event, orderId: second },
    ]);
    customer.topUp(yuan('4.00'));
    expect(customer.canPay(yuan('7.00'))).toBe(true);
    expect(() => customer.topUp(yuan('0.00'))).toThrow(InvalidValueError);
  });

  test('a dish that is not on the menu has no price', async () => {
    const menu = new PrintedMenu('CNY', { [fish.name]: { large: '128.00' } });
    const order = draft();
    order.add(fish, await menu.priceOf(fish), 1);
    expect(String(order.total)).toBe('128.00 CNY');
    await expect(menu.priceOf(rice)).rejects.toBeInstanceOf(UnknownDishError);
    await expect(menu.priceOf(new Dish(fish.name, Size.Small, Spiciness.Hot))).rejects.toThrow('small fish');
    expect(() => new PrintedMenu('CNY', { rice: { small: '-1' } })).toThrow(InvalidValueError);
  });

  test('the kitchen gets grams and chillies, and nothing else', () => {
    const book = { [fish.name]: { fish: 1_500, 'pickled cabbage': 500 } };
    const order = withFish();
    order.place();
    order.pay();
    const pan = { ingredients: { fish: 1_500, 'pickled cabbage': 500 }, chillies: 8 };
    const tickets = order.events.map((event) => kitchenTicket(event, book));
    expect(tickets, '"placed" is no news to the kitchen').toEqual([undefined, { orderId: order.id, pans: [pan, pan] }]);
    const portion = { name: fish.name, size: 'large', spiciness: 'medium', quantity: 2 };
    const pinch = kitchenTicket(
      { type: 'order-paid', orderId: order.id, dishes: [{ ...portion, size: 'medium', quantity: 1 }] },
      { [fish.name]: { salt: 3 } },
    );
    expect(pinch?.pans[0]?.ingredients, 'as scales show it').toEqual({ salt: 2.4 });
    const all = ['small', 'medium', 'large'].flatMap((size) =>
      ['none', 'mild', 'medium', 'hot'].map((spiciness) => ({ ...portion, size, spiciness, quantity: 1 })),
    );
    const tray = kitchenTicket(
      { type: 'order-paid', orderId: order.id, dishes: all },
      { [fish.name]: { fish: 1_000 } },
    );
    expect(tray?.pans, 'each size as hot as each').toEqual(
      [500, 800, 1_000].flatMap((grams) =>
        [0, 3, 8, 20].map((heat) => ({ ingredients: { fish: grams }, chillies: heat })),
      ),
    );
    const drifted = { ...portion, size: 'gigantic' };
    // Every object has these, and the book has no such dish.
    const strange = ['toString', 'constructor', '__proto__'];
    const unknown = [
      drifted,
      { ...portion, spiciness: 'volcanic' },
      ...strange.flatMap((word) => [
        { ...portion, name: word },
        { ...portion, size: word },
      ]),
    ];
    for (const dish of unknown) {
      const paid = { type: 'order-paid', orderId: order.id, dishes: [dish] } as const;
      expect(() => kitchenTicket(paid, book), `${dish.size} ${dish.name}, ${dish.spiciness}`).toThrow('no recipe');
    }
  });
});

function fail(): never {
  throw new Error('the snapshot has no line');
}
