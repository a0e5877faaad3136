import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  AttributeError,
  attach,
  delattr,
  getattr,
  guarded,
  InvalidArgumentError,
  isInstance,
  PermissionDeniedError,
  pyClass,
  range,
  setattr,
  ValidationError,
  vars,
} from '#lab';

describe('the Proxy in front', () => {
  test('dots, in and delete do what getattr, setattr and delattr do', () => {
    const Card = pyClass('Card', [], {
      balance: range(0, 100),
      note: 'none',
      __init__(balance: number) {
        this.balance = balance;
      },
      spend(amount: number) {
        this.balance -= amount;
        return this.balance;
      },
    });
    const card = new Card(10);
    expect([card.spend(3), card.balance, card.note]).toEqual([7, 7, 'none']);
    card.note = 'mine';
    expect([card.note, vars(card)]).toEqual(['mine', { note: 'mine' }]);
    expect(Reflect.deleteProperty(card, 'note')).toBe(true);
    expect(card.note).toBe('none');
    expect(getattr(Card, 'note')).toBe('none');
    expect([card instanceof Card, isInstance(card, Card), card.constructor === Card]).toEqual([true, true, true]);
  });

  test('a refused write is an error where it is written', () => {
    const card = new (pyClass('Card', [], { balance: range(0, 100) }))();
    card.balance = 10;
    expect(() => {
      card.balance = -1;
    }).toThrow(ValidationError);
    expect(() => Object.assign(card, { balance: -1 })).toThrow(ValidationError);
    expect(card.balance).toBe(10);
    Object.freeze(card);
    expect(Object.getPrototypeOf(card) === card.constructor.prototype).toBe(true);
    expect(() => setattr(card, 'note', 1)).toThrow(AttributeError);
  });

  test('a class field of a subclass passes the descriptor', () => {
    const Card = pyClass('Card', [], { balance: guarded({ write: () => false }, range(0, 100, { default: 10 })) });
    class Forged extends Card {
      override balance = 99;
    }
    expect(() => new Forged()).toThrow(PermissionDeniedError);
    const card = new Card();
    expect(() => Object.defineProperty(card, 'balance', { value: 99 })).toThrow(PermissionDeniedError);
    expect(() => Object.defineProperty(card, 'balance', { get: () => 99 })).toThrow(AttributeError);
    expect(card.balance).toBe(10);
  });

  test('private fields, accessors and super work in a subclass', () => {
    let guest = false;
    const Card = pyClass('Card', [], {
      balance: guarded({ read: () => !guest }, range(0, 100, { default: 10 })),
      spend(amount: number) {
        this.balance -= amount;
        return this.balance;
      },
    });
    class Gold extends Card {
      #pin = 4711;
      check(pin: number) {
        return pin === this.#pin;
      }
      get masked() {
        return `${this.balance}`.replace(/./g, '*');
      }
      spendTwice(amount: number) {
        super.spend(amount);
        return super.spend(amount);
      }
    }
    const gold = new Gold();
    expect([gold.check(4711), gold.check(1), gold.masked, gold.spendTwice(2), gold.balance]).toEqual([
      true,
      false,
      '**',
      6,
      6,
    ]);
    expect([gold instanceof Gold, gold instanceof Card, new Card() instanceof Gold]).toEqual([true, true, false]);
    guest = true;
    expect(() => gold.masked, 'an accessor may read what its reader may read').toThrow(PermissionDeniedError);
  });

  test('a hook that answers anything does not make a promise of the object', async () => {
    const Remote = pyClass('Remote', [], { __getattr__: (name: string) => () => `called ${name}` });
    const remote = new Remote();
    const awaited = (async () => remote)();
    let settled: unknown;
    void awaited.then((value) => {
      settled = value;
    });
    for (let turns = 0; turns < 20; turns++) await turn();
    expect(settled === remote, 'awaiting it gives the object itself').toBe(true);
    const [ping, then] = [getattr(remote, 'ping'), getattr(remote, 'then')];
    expect([ping instanceof Function, then instanceof Function], 'asked by name it answers').toEqual([true, true]);
    expect(JSON.stringify(remote)).toBe('{}');
  });

  test('in, keys and property descriptors agree with what is read', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100, { default: 10 }), note: 'none' });
    const card = new Card();
    setattr(card, 'colour', 'gold');
    expect(['balance', 'note', 'colour', 'toString', 'nobody'].map((name) => name in card)).toEqual([
      true,
      true,
      true,
      true,
      false,
    ]);
    expect([Object.keys(card), { ...card }, JSON.stringify(card)]).toEqual([
      ['colour'],
      { colour: 'gold' },
      '{"colour":"gold"}',
    ]);
    expect(Reflect.getOwnPropertyDescriptor(card, 'colour')?.value).toBe(getattr(card, 'colour'));
    delattr(card, 'colour');
    expect(['colour' in card, Object.keys(card)]).toEqual([false, []]);
    expect(Reflect.get(card, 'colour'), 'JavaScript reads what is missing as undefined').toBeUndefined();
  });

  test('an object that inherits from an instance writes to itself', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100) });
    const card = new Card();
    card.balance = 10;
    setattr(card, 'note', 'mine');
    const heir: { note?: string; balance?: number } = Object.create(card);
    heir.note = 'yours';
    expect([getattr(card, 'note'), heir.note, Object.keys(heir)]).toEqual(['mine', 'yours', ['note']]);
    expect(() => {
      heir.balance = 90;
    }).toThrow(AttributeError);
    expect(card.balance).toBe(10);
  });

  test('"__proto__" and "constructor" are attributes like any other', () => {
    const card = new (pyClass('Card', [], { balance: range(0, 100, { default: 10 }) }))();
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty']) {
      setattr(card, name, 'stored');
      expect(getattr(card, name)).toBe('stored');
      expect(Object.hasOwn(vars(card), name)).toBe(true);
    }
    expect(card.balance).toBe(10);
    expect(Object.getPrototypeOf({})).toBe(Object.prototype);
  });

  // ── objects of others ─────────────────────────────────────────────────────────────────────────────────────────────

  test('a Map, a Date and an object with private fields work behind descriptors', () => {
    class Vault {
      #pin = 4711;
      check(pin: number) {
        return pin === this.#pin;
      }
      get digits() {
        return `${this.#pin}`.length;
      }
    }
    const limit = () => ({ limit: range(0, 9, { default: 5 }) });
    const map = attach(new Map([['Ada', 1]]), limit());
    expect([map.get('Ada'), map.size, map.limit]).toEqual([1, 1, 5]);
    const date = attach(new Date(0), limit());
    expect([date.getTime(), date.limit]).toEqual([0, 5]);
    const vault = attach(new Vault(), limit());
    expect([vault.check(4711), vault.digits, vault.limit, vault instanceof Vault]).toEqual([true, 4, 5, true]);
    vault.limit = 7;
    expect(() => setattr(vault, 'limit', 10)).toThrow(ValidationError);
    expect([vault.limit, 'limit' in vault, 'nobody' in vault]).toEqual([7, true, false]);
  });

  test('what is fixed in an object stays what it is, behind descriptors too', () => {
    const open = () => 'opened';
    const vault = attach(Object.freeze({ open, pin: 4711 }), { limit: range(0, 9, { default: 5 }) });
    expect([vault.open === open, vault.pin, vault.limit]).toEqual([true, 4711, 5]);
    vault.limit = 7;
    expect(vault.limit).toBe(7);
    expect(() => setattr(vault, 'limit', 10)).toThrow(ValidationError);
    expect(() => Object.assign(vault, { pin: 1 })).toThrow(TypeError);
    expect(() => attach(Object.freeze({ limit: 1 }), { limit: range(0, 9) })).toThrow(InvalidArgumentError);
  });

  test('an object has one Proxy, and its methods do not give away what is behind', () => {
    const attributes = { limit: range(0, 9, { default: 5 }) };
    const raw = new Map<string, number>();
    const map = attach(raw, attributes);
    expect(attach(raw, attributes) === map, 'attached a second time').toBe(true);
    expect(new WeakMap([[map, 'seen']]).get(attach(raw, attributes))).toBe('seen');
    expect(map.set('Ada', 1) === map, 'a method that returns its object').toBe(true);
    const [once, twice] = [map.get, map.get];
    expect(once === twice, 'a method is the same each time').toBe(true);
    expect(() => attach(raw, { limit: range(0, 1) })).toThrow(InvalidArgumentError);
    expect(map.limit).toBe(5);
  });
});
