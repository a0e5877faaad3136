import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test, vi } from 'vitest';
import {
  AttributeError,
  type AuditEntry,
  attach,
  audited,
  ClassDefinitionError,
  DescriptorNameError,
  delattr,
  descriptor,
  explain,
  getattr,
  guarded,
  hasattr,
  InvalidArgumentError,
  isInstance,
  lazy,
  mro,
  NotPyObjectError,
  oneOf,
  PermissionDeniedError,
  property,
  pyClass,
  range,
  readOnly,
  setattr,
  typed,
  ValidationError,
  vars,
} from '#lab';

const isText = (value: unknown): value is string => typeof value === 'string';

describe('managed attributes', () => {
  test('each instance has a value of its own', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100) });
    const [mine, yours] = [new Card(), new Card()];
    mine.balance = 10;
    yours.balance = 20;
    expect([mine.balance, yours.balance]).toEqual([10, 20]);
    expect(vars(mine), 'and it is not in the dictionary, where anybody could write it').toEqual({});
  });

  test('an attribute holds exactly what its rule allows', () => {
    const Card = pyClass('Card', [], { holder: typed(isText), limit: range(1, 9), kind: oneOf('debit', 'credit') });
    const allowed: [string, unknown[], unknown[]][] = [
      ['holder', ['Ada', ''], [1, null, undefined]],
      ['limit', [1, 9, 4.5], [0.999, 9.001, Number.NaN, '5', null, 5n]],
      ['kind', ['debit', 'credit'], ['gold', undefined, 'DEBIT']],
    ];
    for (const [name, good, bad] of allowed) {
      const card = new Card();
      for (const value of good) {
        setattr(card, name, value);
        expect(getattr(card, name)).toBe(value);
      }
      for (const value of bad) {
        expect(() => setattr(card, name, value), `${name} = ${String(value)}`).toThrow(ValidationError);
      }
    }
    expect(() => setattr(new Card(), 'holder', Object.create(null))).toThrow(/it got \[object Object\]/);
    expect(() => setattr(new Card(), 'limit', 5n), 'nothing is told of as what is allowed').toThrow(/it got 5n\.$/);
    const Page = pyClass('Page', [], { size: oneOf('10', '20'), id: oneOf(1n, null) });
    expect(() => setattr(new Page(), 'size', 10)).toThrow(/"10", "20"; it got 10\.$/);
    expect(() => setattr(new Page(), 'id', 1)).toThrow(/1n, null; it got 1\.$/);
    setattr(new (pyClass('Fixed', [], { limit: range(5, 5) }))(), 'limit', 5);
    expect(() => range(9, 1)).toThrow(InvalidArgumentError);
    expect(() => range(Number.NaN, 1)).toThrow(InvalidArgumentError);
    expect(() => oneOf()).toThrow(InvalidArgumentError);
  });

  test('a refused value leaves the one that was there', () => {
    const Card = pyClass('Card', [], { balance: range(0, 100) });
    const card = new Card();
    card.balance = 10;
    expect(() => {
      card.balance = 1_000;
    }).toThrow(/^Card\.balance must be a number from 0 to 100; it got 1000\.$/);
    expect(card.balance).toBe(10);
  });

  test('before the first write there is the default, or an AttributeError', () => {
    const Card = pyClass('Card', [], { holder: typed(isText), limit: range(1, 9, { default: 5 }) });
    const card = new Card();
    expect(card.limit).toBe(5);
    expect(() => card.holder).toThrow(AttributeError);
    expect(hasattr(card, 'holder')).toBe(false);
    card.limit = 7;
    delattr(card, 'limit');
    expect(card.limit).toBe(5);
    expect(() => delattr(card, 'limit')).toThrow(AttributeError);
    expect(() => range(1, 9, { default: 10 })).toThrow(ValidationError);
  });

  test('one descriptor is one attribute', () => {
    const money = range(0, 100);
    expect(() => pyClass('Card', [], { balance: money, limit: money })).toThrow(DescriptorNameError);
    const Guest = pyClass('Guest', [], { name: 'Ann', age: range(0, 150), balance: money });
    expect(() => setattr(new Guest(), 'age', 200), 'whatever the class calls "name"').toThrow(/^Guest\.age must be/);
    pyClass('Card', [], { balance: money });
    expect(() => setattr(new Guest(), 'balance', 200), 'in two classes it is of neither').toThrow(/^balance must be/);
  });

  test('without a setter a property is read-only', () => {
    let balance = 7;
    const Card = pyClass('Card', [], {
      balance: property(() => balance),
      both: property(
        () => balance,
        (_, value: number) => {
          balance = value;
        },
        () => {
          balance = 0;
        },
      ),
    });
    const card = new Card();
    vars(card)['balance'] = 'not asked';
    expect(card.balance).toBe(7);
    expect(() => setattr(card, 'balance', 9)).toThrow(AttributeError);
    expect(() => delattr(card, 'balance')).toThrow(AttributeError);
    card.both = 9;
    expect(balance).toBe(9);
    delattr(card, 'both');
    expect(balance).toBe(0);
  });

  test('an accessor in a class body is a property', () => {
    const Card = pyClass('Card', [], {
      cents: range(0, 10_000, { default: 700 }),
      get euros(): number {
        return this.cents / 100;
      },
      set euros(value: number) {
        this.cents = value * 100;
      },
      get digits(): number {
        return 16;
      },
    });
    const card = new Card();
    expect([card.euros, card.digits]).toEqual([7, 16]);
    card.euros = 9;
    expect(card.cents).toBe(900);
    expect(() => setattr(card, 'euros', 1_000)).toThrow(ValidationError);
    expect(() => setattr(card, 'digits', 4)).toThrow(AttributeError);
  });

  test('read-only is written once', () => {
    const Card = pyClass('Card', [], { iban: readOnly(typed(isText)) });
    const card = new Card();
    expect(() => setattr(card, 'iban', 1)).toThrow(ValidationError);
    card.iban = 'DE1';
    expect(() => setattr(card, 'iban', 'DE2')).toThrow(AttributeError);
    expect(() => delattr(card, 'iban')).toThrow(AttributeError);
    expect(card.iban).toBe('DE1');
    const other = new Card();
    other.iban = 'DE3';
    expect(other.iban).toBe('DE3');
  });

  // ── lazy ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a lazy attribute is computed once for each instance, whatever the value', () => {
    for (const value of [7, 0, '', false, null, undefined]) {
      const compute = vi.fn(() => value);
      const Card = pyClass('Card', [], { score: lazy(compute) });
      const cards = [new Card(), new Card()];
      for (let reads = 0; reads < 3; reads++) expect(cards.map((card) => card.score)).toEqual([value, value]);
      expect(compute.mock.calls, `computed as ${String(value)}`).toEqual(cards.map((card) => [card]));
    }
  });

  test('a lazy attribute can be overwritten, and after a deletion it is computed again', () => {
    const compute = vi.fn(() => 7);
    const card = new (pyClass('Card', [], { score: lazy(compute) }))();
    card.score = 9;
    expect([card.score, compute.mock.calls.length]).toEqual([9, 0]);
    delattr(card, 'score');
    expect([card.score, compute.mock.calls.length]).toEqual([7, 1]);
    delattr(card, 'score');
    expect([card.score, compute.mock.calls.length]).toEqual([7, 2]);
  });

  test('a failed computation is not kept, and readers of a pending one share it', async () => {
    const outcomes = [() => Promise.reject(new Error('down')), () => Promise.resolve(7)];
    const compute = vi.fn(() => outcomes.shift()?.() ?? expect.fail('computed once too often'));
    const card = new (pyClass('Card', [], { score: lazy(compute) }))();
    const first = [card.score, card.score];
    expect(compute.mock.calls.length).toBe(1);
    for (const each of first) await expect(each).rejects.toThrow('down');
    expect(await card.score).toBe(7);
    expect(await card.score).toBe(7);
    expect(compute.mock.calls.length).toBe(2);
    let tries = 0;
    const flaky = new (pyClass('Card', [], {
      score: lazy(() => {
        if (++tries === 1) throw new Error('down');
        return tries;
      }),
    }))();
    expect(() => flaky.score).toThrow('down');
    expect(flaky.score).toBe(2);
    // As in Jest, whose tests have a Promise of their own: that of `node:fs` is another.
    const foreign = vi.fn(runInNewContext(`() => Promise.reject('down')`) as () => Promise<number>);
    const far = new (pyClass('Card', [], { score: lazy(foreign) }))();
    for (let read = 0; read < 2; read++) await expect(far.score, 'a Promise of another realm').rejects.toBe('down');
    expect(foreign.mock.calls.length).toBe(2);
  });

  test('a lazy attribute without a name says so', () => {
    const Card = pyClass('Card', [], {});
    const score = lazy(() => 7);
    setattr(Card, 'score', score);
    expect(() => getattr(new Card(), 'score')).toThrow(DescriptorNameError);
    score.setName?.(Card, 'score');
    expect(getattr(new Card(), 'score')).toBe(7);
  });

  // ── guarded and audited ───────────────────────────────────────────────────────────────────────────────────────────

  test('who may not read, write or delete does not', () => {
    let may = { read: false, write: false };
    const Card = pyClass('Card', [], {
      balance: guarded({ read: () => may.read, write: () => may.write }, range(0, 100, { default: 10 })),
    });
    const card = new Card();
    expect(() => card.balance).toThrow(PermissionDeniedError);
    expect(() => setattr(card, 'balance', 50)).toThrow(PermissionDeniedError);
    expect(() => delattr(card, 'balance')).toThrow(PermissionDeniedError);
    may = { read: true, write: false };
    expect(card.balance).toBe(10);
    expect(() => setattr(card, 'balance', 50)).toThrow(PermissionDeniedError);
    may = { read: true, write: true };
    expect(() => setattr(card, 'balance', 500), 'the inner rule holds as well').toThrow(ValidationError);
    card.balance = 50;
    expect(card.balance).toBe(50);
  });

  test('only true is a yes', () => {
    const answers: unknown[] = [Promise.resolve(false), 1, 'no', {}, undefined, null];
    for (const answer of answers) {
      const policy = { read: (): boolean => JSON.parse('null') ?? answer };
      const card = new (pyClass('Card', [], { balance: guarded(policy, range(0, 100, { default: 10 })) }))();
      expect(() => card.balance, `the policy answers ${String(answer)}`).toThrow(PermissionDeniedError);
    }
    const open = new (pyClass('Card', [], {
      balance: guarded({ read: () => true }, range(0, 100, { default: 10 })),
    }))();
    expect(open.balance).toBe(10);
  });

  test('a refusal is not answered by the hook, and is not a missing attribute', () => {
    const Card = pyClass('Card', [], {
      balance: guarded({ read: () => false }),
      __getattr__: () => 'anything',
    });
    const card = new Card();
    expect(() => card.balance).toThrow(PermissionDeniedError);
    expect(() => hasattr(card, 'balance')).toThrow(PermissionDeniedError);
    expect(() => getattr(card, 'balance', 0)).toThrow(PermissionDeniedError);
  });

  test('an audit tells of every attempt, the refused ones too', () => {
    const log: AuditEntry[] = [];
    let read = true;
    const sink = (entry: AuditEntry) => void log.push(entry);
    const Card = pyClass('Card', [], {
      balance: audited(sink, guarded({ read: () => read }, range(0, 100))),
    });
    const card = new Card();
    card.balance = 10;
    expect(card.balance).toBe(10);
    expect(() => setattr(card, 'balance', 1_000)).toThrow(ValidationError);
    read = false;
    expect(() => card.balance).toThrow(PermissionDeniedError);
    delattr(card, 'balance');
    expect(log.map(({ action, attribute, ok }) => `${action} ${attribute} ${ok}`)).toEqual([
      'write Card.balance true',
      'read Card.balance true',
      'write Card.balance false',
      'read Card.balance false',
      'delete Card.balance true',
    ]);
    expect(log.every(({ object }) => object === card)).toBe(true);
    expect(JSON.stringify(log), 'a log holds no balances').not.toContain('1000');
  });

  test('a lazy attribute behind a guard is still computed once', () => {
    const compute = vi.fn(() => 7);
    const Card = pyClass('Card', [], { score: guarded({ read: () => true }, lazy(compute)) });
    const card = new Card();
    expect([card.score, card.score, compute.mock.calls.length]).toEqual([7, 7, 1]);
    expect(() => setattr(card, 'score', 9)).toThrow(AttributeError);
  });

  test('a value dies with its instance', async () => {
    setFlagsFromString('--expose-gc');
    const collect: () => void = runInNewContext('gc');
    const Card = pyClass('Card', [], { owner: typed((value): value is object => typeof value === 'object') });
    const issue = () => {
      const card = new Card();
      card.owner = { holds: card };
      return new WeakRef(card.owner);
    };
    const owners = Array.from({ length: 20 }, issue);
    expect(owners[0]?.deref()).toBeDefined();
    // A reference that was looked at holds until the next turn.
    for (let turn = 0; turn < 10 && owners.some((owner) => owner.deref()); turn++) {
      await new Promise(setImmediate);
      collect();
    }
    expect(owners.filter((owner) => owner.deref()).length, 'values of 20 dropped cards that are still there').toBe(0);
  });
});

describe('the Proxy in front', () => {
  test('a class and its instances answer `in`, `delete` and `instanceof` as any object does', () => {
    const Base = pyClass('Base', [], { rate: 1 });
    const Sub = pyClass('Sub', [Base], { kind: 'sub' });
    expect(['rate' in Sub, 'kind' in Sub, 'kind' in Base, 'nothing' in Sub]).toEqual([true, true, false, false]);
    expect([isInstance(new Sub(), Base), isInstance(new Base(), Sub)]).toEqual([true, false]);
    expect([isInstance({}, Base), isInstance(null, Base), isInstance(7, Base)]).toEqual([false, false, false]);
    const Meta = pyClass('Meta', [], {});
    const Made = pyClass('Made', [], {}, { metaclass: Meta });
    class Heir extends Made {}
    for (const type of [Made, Heir]) expect(isInstance(type, Meta), 'a class, of its metaclass').toBe(true);
    expect([Made instanceof Meta, isInstance(Made, Made), isInstance(Base, Meta)]).toEqual([true, false, false]);
    expect([isInstance(new Made(), Meta), isInstance(Object, Meta)]).toEqual([false, false]);
    expect([Reflect.deleteProperty(Sub, 'kind'), Reflect.deleteProperty(Sub, 'nothing')]).toEqual([true, true]);
    expect(['kind' in Sub, 'kind' in new Sub()]).toEqual([false, false]);
    expect([Reflect.set(Base, 'late', 3), getattr(Sub, 'late')]).toEqual([true, 3]);
    class Gold extends Base {}
    expect([Reflect.set(Gold, 'rate', 9), getattr(Base, 'rate')], 'a static of its own').toEqual([true, 1]);
    expect(Reflect.getOwnPropertyDescriptor(Base.prototype, 'constructor')).toMatchObject({
      value: Base,
      writable: true,
      configurable: true,
      enumerable: false,
    });
  });

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
    const Timed = pyClass('Timed', [pyClass('Dated', [], { issued: 2026 })], {});
    const Bare = pyClass('Bare', [], { __init__() {} });
    // For the compiler too: what has no `__init__`, such as a mixin, leaves the arguments to the next base.
    const timed = new (pyClass('TimedCard', [Timed, Card], {}))(10);
    expect([timed.balance, timed.issued]).toEqual([10, 2026]);
    expect(hasattr(new (pyClass('BareCard', [Bare, Card], {}))(), 'balance'), 'the first decides').toBe(false);
    const Survey = pyClass('Survey', [], { 1: range(1, 5) });
    const answers = new Survey();
    expect(() => setattr(answers, 1, 99), 'a number is the name that it is behind a dot').toThrow(ValidationError);
    setattr(answers, 1, 5);
    expect([answers[1], getattr(answers, 1), explain(answers, 1)[0]?.wins, vars(answers)]).toEqual([5, 5, true, {}]);
    delattr(answers, 1);
    expect(hasattr(answers, 1)).toBe(false);
    setattr(Survey, 2, 'late');
    expect([answers, Survey].map((each) => Reflect.get(each, 2))).toEqual(['late', 'late']);
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
    const desk = attach({ balance: 1 }, { balance: range(0, 100, { default: 10 }) });
    expect(() => Object.defineProperty(desk, 'balance', { value: 99 }), 'nor past an attached one').toThrow(
      InvalidArgumentError,
    );
    expect(desk.balance).toBe(10);
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
    guest = false;
    expect(() => setattr(gold, 'masked', '*'), 'it has no setter').toThrow(/^Gold.masked is read-only/);
    const doubling = {
      get balance() {
        return Number(Reflect.get(Card.prototype, 'balance', this)) * 2;
      },
      set balance(value: number) {
        // As `super.balance = value` does.
        if (!Reflect.set(Card.prototype, 'balance', value, this)) throw new TypeError('super has no setter');
      },
    };
    class Double extends Card {}
    Object.defineProperties(Double.prototype, Object.getOwnPropertyDescriptors(doubling));
    const double = new Double();
    double.balance = 3;
    expect(double.balance, 'an accessor writes with super, too').toBe(6);
    expect(() => setattr(double, 'balance', 1_000)).toThrow(ValidationError);
  });

  test('a method of a base is called on whom it is told, by way of the prototype too', () => {
    const Card = pyClass('Card', [], {
      note: 'none',
      __init__(note: string) {
        this.note = note;
      },
      who(): unknown {
        return this;
      },
    });
    const Gold = pyClass('Gold', [Card], {
      __init__(note: string) {
        Reflect.apply(Reflect.get(Card.prototype, '__init__'), this, [`${note}, gold`]);
      },
    });
    const [gold, plain] = [new Gold('Ada'), new Card('Bob')];
    expect([gold.note, plain.note, getattr(Card, 'note')]).toEqual(['Ada, gold', 'Bob', 'none']);
    expect(Card.prototype.who.call(gold) === gold, 'not the prototype').toBe(true);
    class Loud extends Card {}
    expect(Loud.prototype.who.call(plain) === plain, 'inherited by a JavaScript subclass').toBe(true);
  });

  test('an accessor that an instance has itself runs on the instance', () => {
    const card = new (pyClass('Card', [], { balance: range(0, 100, { default: 10 }) }))();
    Object.defineProperty(card, 'twice', {
      get(this: typeof card) {
        return this.balance * 2;
      },
      set(this: typeof card, twice: number) {
        this.balance = twice / 2;
      },
    });
    expect(getattr(card, 'twice')).toBe(20);
    Object.assign(card, { twice: 40 });
    expect([card.balance, getattr(card, 'twice')]).toEqual([20, 40]);
    expect(() => setattr(card, 'twice', 400)).toThrow(ValidationError);
    Object.defineProperties(card, { id: { value: 7 }, half: { get: () => 5 } });
    for (const name of ['id', 'half']) {
      expect(() => setattr(card, name, 8), 'nobody has frozen the card').toThrow(/read-only/);
      expect(() => delattr(card, name)).toThrow(/fixed/);
      expect(() => Reflect.deleteProperty(card, name)).toThrow(/fixed/);
    }
  });

  test('instanceof is not misled by what stands in front: an heir, a Proxy, a Proxy around the class', () => {
    const [Fees, Rates] = [pyClass('Fees', [], { fee: 1 }), pyClass('Rates', [], { rate: 2 })];
    const Card = pyClass('Card', [Fees, Rates], { limit: range(0, 9, { default: 5 }) });
    class Gold extends Card {}
    const gold = new Gold();
    const fronts = [gold, new Proxy(gold, {}), Object.create(gold), attach(gold, {}), Gold.prototype];
    for (const [index, front] of fronts.entries()) {
      const seen = [Fees, Rates, Card, Gold].map((type) => front instanceof type);
      expect(seen, `front ${index}`).toEqual([true, true, true, front !== Gold.prototype]);
    }
    for (const other of [{}, null, undefined, 7, Card, () => 1, new Fees()]) expect(other instanceof Card).toBe(false);
    const Outer = new Proxy(Card, {});
    class Late extends Outer {}
    for (const Type of [Outer, Late]) {
      const card = new Type();
      expect([card.limit, card.rate, card instanceof Type, card instanceof Card]).toEqual([5, 2, true, true]);
    }
    expect([gold instanceof Outer, new Fees() instanceof Outer]).toEqual([true, false]);
    class Silver extends Card {}
    const around = new Proxy(Silver, {});
    expect([mro(around)[0] === Silver, new around() instanceof Silver, isInstance(new around(), Silver)]).toEqual([
      ...[true, true, true],
    ]);
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
    expect(Reflect.get(remote, 'ping'), 'and so it does behind a dot').toBeInstanceOf(Function);
    expect(JSON.stringify(remote)).toBe('{}');
    const Meta = pyClass('Meta', [], { __getattr__: () => 'anything' });
    const Odd = pyClass('Odd', [], {}, { metaclass: Meta });
    const names = ['then', Symbol.iterator, 'greeting'];
    expect(
      names.map((name) => Reflect.get(Odd, name)),
      'nor of a class',
    ).toEqual([undefined, undefined, 'anything']);
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

  test('an object can be frozen, whatever its descriptors keep in its dictionary', async () => {
    const stop = Promise.withResolvers<string>();
    const Card = pyClass('Card', [], {
      limit: range(0, 10),
      score: guarded(
        {},
        lazy(() => 7),
      ),
      late: lazy(() => stop.promise),
    });
    const card = new Card();
    expect(card.score).toBe(7);
    const waiting = card.late;
    Object.freeze(card);
    expect([card.score, Object.isFrozen(card)]).toEqual([7, true]);
    // A failure that can't be forgotten any more: it's told to those who wait, and to nobody else.
    stop.reject(new Error('closed'));
    await expect(waiting).rejects.toThrow('closed');
    await turn();
  });

  test('a computation that a frozen object keeps no longer may fail, and only its reader is told', async () => {
    const stop = Promise.withResolvers<string>();
    const Card = pyClass('Card', [], { late: lazy(() => stop.promise) });
    const [frozen, forgot] = [Object.freeze(new Card()), new Card()];
    const waiting = [frozen.late, forgot.late];
    delattr(forgot, 'late');
    Object.freeze(forgot);
    const uncaught = vi.fn();
    process.on('unhandledRejection', uncaught);
    stop.reject(new Error('closed'));
    for (const each of waiting) await expect(each).rejects.toThrow('closed');
    await turn();
    process.off('unhandledRejection', uncaught);
    expect(uncaught.mock.calls).toEqual([]);
  });

  test('a sealed object takes new values for what it has, and refuses the rest before anything changes', () => {
    const [Card, Noted] = [pyClass('Card', [], { limit: range(0, 10) }), pyClass('Noted', [], { note: 1 })];
    const card = new Card();
    setattr(card, 'note', 'mine');
    vars(card)['limit'] = 'below the descriptor';
    card.limit = 5;
    Object.assign(Object.preventExtensions(card), { limit: 4 });
    expect(() => Reflect.deleteProperty(card, 'limit'), 'it would be there still').toThrow(AttributeError);
    card.limit = 5;
    const closed = Object.preventExtensions(Object.assign(new Noted(), { note: 2 }));
    expect([Reflect.deleteProperty(closed, 'note'), closed.note], 'closed, not sealed').toEqual([true, 1]);
    Object.seal(card);
    setattr(card, 'note', 'yours');
    expect(vars(card)['note']).toBe('yours');
    expect(() => setattr(card, 'colour', 'gold')).toThrow(AttributeError);
    for (const name of ['note', 'limit']) expect(() => Reflect.deleteProperty(card, name)).toThrow(AttributeError);
    expect([getattr(card, 'note'), card.limit]).toEqual(['yours', 5]);
    Object.freeze(card);
    expect(() => setattr(card, 'note', 'theirs')).toThrow(AttributeError);
    expect(() => Reflect.set(Noted.prototype, 'note', 'theirs', card), 'nor by super').toThrow(AttributeError);
    const Base = pyClass('Base', [], { rate: 1 });
    class Gold extends Base {}
    setattr(Gold, 'fee', 2);
    for (const [type, name] of [[Base, 'rate'] as const, [Gold, 'fee'] as const]) {
      Object.preventExtensions(type);
      setattr(type, name, 3);
      expect(() => setattr(type, 'late', 9)).toThrow(AttributeError);
      Object.freeze(type);
      const before = getattr(type, name);
      const changes = [() => setattr(type, name, 9), () => setattr(type, 'late', 9), () => delattr(type, name)];
      for (const change of changes) expect(change, `a frozen class: ${type.name}`).toThrow(AttributeError);
      expect([getattr(new type(), name), hasattr(type, 'late')]).toEqual([before, false]);
    }
    expect(() => Object.assign(Base, { rate: 9 })).toThrow(AttributeError);
    const desk = attach(Object.seal({ limit: 1 }), { limit: range(0, 10) });
    desk.limit = 5;
    expect(Reflect.deleteProperty(desk, 'limit')).toBe(false);
    expect(desk.limit).toBe(5);
    const full = attach(Object.preventExtensions({ limit: 1 }), { limit: range(0, 10) });
    full.limit = 5;
    expect(Reflect.deleteProperty(full, 'limit')).toBe(false);
    expect(full.limit).toBe(5);
  });

  test('with super a subclass reads what its bases have now, the second one too', () => {
    const [Fees, Rates] = [pyClass('Fees', [], { fee: 1 }), pyClass('Rates', [], { rate: 2 })];
    const Card = pyClass('Card', [Fees, Rates], {});
    class Gold extends Card {
      ask(name: 'fee' | 'rate' | 'late' | 'toString'): unknown {
        return super[name as 'fee'];
      }
    }
    const gold = new Gold();
    // For the compiler too: an empty body adds nothing to what the bases say.
    expect(gold.fee + gold.rate).toBe(3);
    expect([gold.ask('fee'), gold.ask('rate'), gold.ask('late')]).toEqual([1, 2, undefined]);
    class Silver extends pyClass('Discount', [Fees], {}) {
      late(): unknown {
        return super['late' as 'fee'];
      }
    }
    setattr(Fees, 'late', 3);
    expect([gold.ask('late'), new Silver().late()]).toEqual([3, 3]);
    setattr(
      Card,
      'fee',
      property(() => 4),
    );
    setattr(Card, 'toString', 5);
    expect([gold.ask('fee'), gold.ask('toString')]).toEqual([4, 5]);
    for (const name of ['fee', 'toString']) delattr(Card, name);
    expect([gold.ask('fee'), gold.ask('toString') === Object.prototype.toString]).toEqual([1, true]);
    setattr(Fees, 'fee', descriptor({ get: (_o, owner) => owner }));
    expect(gold.ask('fee'), 'the owner is the class of the instance').toBe(Gold);
    setattr(Fees, 'fee', descriptor({ delete: () => {} }));
    expect(() => Reflect.set(Card.prototype, 'fee', 1, gold), 'it has no set').toThrow(AttributeError);
  });

  test('a JavaScript subclass is known before its first instance, and by its prototype as it is now', () => {
    const Card = pyClass('Card', [], { rate: 1 });
    class Gold extends Card {
      get fee(): number {
        return 2;
      }
    }
    expect([mro(Gold), getattr(Gold, 'rate')]).toEqual([[Gold, Card], 1]);
    const [once, twice] = [getattr(Gold, 'fee'), getattr(Gold, 'fee')];
    expect(once === twice, 'an accessor is one property').toBe(true);
    const gold = new Gold();
    expect(gold.fee).toBe(2);
    Object.defineProperty(Gold.prototype, 'fee', { get: () => 3, configurable: true });
    Object.assign(Gold.prototype, { greet: () => 'hello' });
    expect([gold.fee, getattr(gold, 'greet')]).toEqual([3, expect.any(Function)]);
    Object.assign(Gold.prototype, { greet: 'a word' });
    expect(getattr(gold, 'greet')).toBe('a word');
    // And what is assigned to the class is on the prototype; a descriptor, which no prototype could ask, answers too.
    setattr(Gold, 'rate', 4);
    setattr(Gold, 'fee', descriptor({ get: () => 5 }));
    class Platinum extends Gold {
      get doubled(): number {
        return 2 * super.fee;
      }
    }
    expect(Reflect.getOwnPropertyDescriptor(Gold.prototype, 'rate')).toMatchObject({ value: 4, enumerable: false });
    expect([gold.rate, gold.fee, new Platinum().doubled]).toEqual([4, 5, 10]);
    for (const name of ['rate', 'fee', 'greet']) delattr(Gold, name);
    expect([gold.rate, 'fee' in gold, 'greet' in gold, gold.constructor === Gold]).toEqual([1, false, false, true]);
    expect(() => mro(class {})).toThrow(NotPyObjectError);
    expect(() => Reflect.construct(Card, [], class {})).toThrow(ClassDefinitionError);
  });

  test('a JavaScript subclass is of the metaclass too: its dots ask the same descriptors, for itself', () => {
    const label = descriptor<string>({ get: (of) => (of === undefined ? 'none' : `label of ${nameOf(of)}`) });
    const nameOf = (of: object) => ('name' in of ? String(of.name) : '?');
    const Meta = pyClass('Meta', [], { limit: range(0, 10), label, kind: 'class' });
    const Card = pyClass('Card', [], { owner: descriptor({ get: (_o, owner) => owner }) }, { metaclass: Meta });
    class Gold extends Card {}
    Object.assign(Card, { limit: 5 });
    Object.assign(new Proxy(Card, {}), { colour: 'gold' });
    expect(getattr(new Card(), 'colour'), 'a Proxy around a class writes to the class').toBe('gold');
    expect(() => Reflect.get(Gold, 'limit'), 'that is the limit of Card').toThrow(AttributeError);
    expect(() => Object.assign(Gold, { limit: 11 })).toThrow(ValidationError);
    Object.assign(Gold, { limit: 7, note: 'a static of its own' });
    for (const [type, limit] of [[Card, 5] as const, [Gold, 7] as const]) {
      expect(['limit', 'label', 'owner', 'kind'].map((name) => Reflect.get(type, name))).toEqual([
        ...[limit, `label of ${type.name}`, type, 'class'],
      ]);
      for (const name of ['limit', 'label', 'owner', 'kind']) {
        expect([Reflect.get(type, name), name in type], name).toEqual([getattr(type, name), true]);
      }
    }
    expect([Object.keys(Gold), 'note' in Card, 'nobody' in Gold]).toEqual([['note'], false, false]);
  });

  test('what cannot be fixed is refused before it is written', () => {
    const card = new (pyClass('Card', [], { limit: range(0, 10, { default: 1 }) }))();
    const fix = () => Object.defineProperty(card, 'limit', { value: 5, configurable: false });
    expect(fix).toThrow(AttributeError);
    expect(card.limit).toBe(1);
    expect([Reflect.defineProperty(card, 'limit', { value: 5 }), card.limit]).toEqual([true, 5]);
    vars(card)['limit'] = 'below the descriptor';
    expect(() => Object.defineProperty(card, 'limit', { get: () => 6 })).toThrow(AttributeError);
    Object.seal(card);
    expect(() => Reflect.defineProperty(card, 'limit', { value: 6 }), 'sealed').toThrow(AttributeError);
    expect(card.limit).toBe(5);
  });

  test('an object that inherits from an instance writes to itself, and a Proxy around it does not', () => {
    type Noted = { note?: string; balance?: number };
    const attributes = { balance: range(0, 100) };
    const Card = pyClass('Card', [], attributes);
    const card = new Card();
    for (const each of [card, attach({}, attributes)]) {
      const own: Noted = each;
      const outer: Noted = new Proxy(own, {});
      Object.assign(outer, { balance: 10, note: 'mine' });
      const heir: Noted = Object.create(own);
      heir.note = 'yours';
      expect([own.note, heir.note, Object.keys(heir)]).toEqual(['mine', 'yours', ['note']]);
      expect(() => {
        heir.balance = 90;
      }).toThrow(AttributeError);
      expect([own.balance, heir.balance, outer.balance]).toEqual([10, 10, 10]);
    }
    expect(Reflect.set(card, 'balance', 90, 7), 'a number has no attributes').toBe(false);
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

  test('the engine can dispose of an instance, of a subclass, and of an object behind descriptors', async () => {
    const gone: unknown[] = [];
    const Card = pyClass('Card', [], {
      [Symbol.dispose]() {
        gone.push(this);
      },
      async [Symbol.asyncDispose]() {
        gone.push(this);
      },
    });
    class Gold extends Card {}
    class Desk {
      #drawer = 'locked';
      [Symbol.dispose]() {
        gone.push(this.#drawer);
      }
    }
    // The engine's own: what is compiled for the suite makes an ordinary call of `using`.
    const [stack, later] = [new DisposableStack(), new AsyncDisposableStack()];
    const cards = [stack.use(new Card()), stack.use(new Gold()), later.use(new Gold())];
    stack.use(attach(new Desk(), { limit: range(0, 9) }));
    stack.use(attach({}, { [Symbol.dispose]: () => void gone.push('attached') }));
    // What is fixed in an instance has to be given as it is.
    stack.use(Object.defineProperty(new Card(), Symbol.dispose, { value: () => void gone.push('fixed') }));
    stack.dispose();
    await later.disposeAsync();
    const named = gone.map((each) => (typeof each === 'string' ? each : cards.findIndex((card) => card === each)));
    expect(named).toEqual(['fixed', 'attached', 'locked', 1, 0, 2]);
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

  test('what an object has itself is asked, assigned and deleted by name, behind descriptors too', () => {
    class Desk {
      #drawer = 'locked';
      note?: string = 'none';
      get drawer() {
        return this.#drawer;
      }
      set drawer(state: string) {
        this.#drawer = state;
      }
    }
    const desk = attach(new Desk(), { limit: range(0, 9, { default: 5 }), score: lazy(() => 7), kind: 'desk' });
    const has = (name: string) => hasattr(desk, name);
    expect(['note', 'drawer', 'limit', 'score', 'kind', 'toString', 'nobody'].map(has)).toEqual([
      ...[true, true, true, true, true, true, false],
    ]);
    expect([getattr(desk, 'note'), getattr(desk, 'drawer')]).toEqual(['none', 'locked']);
    for (const [name, value] of Object.entries({ note: 'mine', drawer: 'open', late: 1, limit: 7, kind: 'shelf' })) {
      setattr(desk, name, value);
      expect([Reflect.get(desk, name), getattr(desk, name)], name).toEqual([value, value]);
    }
    expect(Object.keys(desk), 'they are its own').toEqual(['note', 'late']);
    const placeOf = (name: string) => explain(desk, name).find((step) => step.wins)?.place;
    expect(['note', 'drawer', 'limit'].map(placeOf)).toEqual(['own dictionary', 'JavaScript', 'data descriptor']);
    expect([Reflect.deleteProperty(desk, 'limit'), desk.limit], 'the default again').toEqual([true, 5]);
    delattr(desk, 'note');
    expect([has('note'), 'note' in desk]).toEqual([false, false]);
    expect(() => delattr(desk, 'note')).toThrow(AttributeError);
    expect(() => getattr(desk, 'note')).toThrow(AttributeError);
    expect(Reflect.deleteProperty(desk, 'score'), 'not computed yet: nothing to forget, as in any object').toBe(true);
    expect([desk.score, Reflect.deleteProperty(desk, 'score'), desk.score]).toEqual([7, true, 7]);
    const closed = attach(Object.freeze({ note: 'mine' }), { limit: range(0, 9) });
    expect(() => setattr(closed, 'note', 'yours')).toThrow(AttributeError);
    expect(() => delattr(closed, 'note')).toThrow(AttributeError);
    expect(getattr(closed, 'note')).toBe('mine');
    const map = attach(new Map([['Ada', 1]]), { limit: range(0, 9) });
    expect([getattr(map, 'size'), getattr(map, 'get') === map.get]).toEqual([1, true]);
    const fixed = Object.freeze({
      get limit() {
        return 5;
      },
    });
    expect(() => attach(fixed, { limit: range(0, 9) }), 'an accessor without set, fixed').toThrow(InvalidArgumentError);
  });

  test('a class or a function in a property stays what it is, behind descriptors too', () => {
    const help = Object.assign(() => 'helped', { pages: 3 });
    const desk = attach({ Kind: Map, help }, {});
    expect([new desk.Kind([[1, 2]]).size, desk.Kind === Map]).toEqual([1, true]);
    expect([desk.help(), desk.help.pages]).toEqual(['helped', 3]);
  });

  test('a class or a function that a method is asked for is the same, behind descriptors too', () => {
    class Logger {}
    const makeLogger = () => new Logger();
    class Container {
      readonly #made = new Map<unknown, string>([
        [Logger, 'the logger'],
        [Map, 'the map'],
        [makeLogger, 'what it made'],
      ]);
      find(type: unknown) {
        return this.#made.get(type);
      }
    }
    const container = attach(new Container(), { limit: range(0, 9) });
    expect([Logger, Map, makeLogger, Set].map((type) => container.find(type))).toEqual([
      ...['the logger', 'the map', 'what it made', undefined],
    ]);
    const steps = attach([1, 2], { limit: range(0, 9) });
    expect(steps.reduce((last: unknown) => last, makeLogger) === makeLogger, 'a first value is no callback').toBe(true);
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
    const later = attach({ limit: 1 }, { limit: range(0, 9, { default: 5 }) });
    const fixed = { value: 1, writable: false, configurable: false };
    for (const fix of [() => Object.freeze(later), () => Object.defineProperty(later, 'limit', fixed)]) {
      expect(fix, 'nor can it be fixed later').toThrow(InvalidArgumentError);
    }
    expect(later.limit, 'and it is read as before').toBe(5);
  });

  test('an object has one Proxy, and its methods do not give away what is behind', () => {
    const attributes = { limit: range(0, 9, { default: 5 }) };
    const raw = new Map<string, number>();
    const map = attach(raw, attributes);
    expect(attach(raw, attributes) === map, 'attached a second time').toBe(true);
    expect(new WeakMap([[map, 'seen']]).get(attach(raw, attributes))).toBe('seen');
    expect(map.set('Ada', 1) === map, 'a method that returns its object').toBe(true);
    const told: unknown[] = [];
    map.forEach((_value, _key, third) => void told.push(third));
    const [set, list] = [attach(new Set([1]), {}), attach([1], {})];
    set.forEach((_value, _again, third) => void told.push(third));
    list.reduceRight((_last, _value, _index, fourth) => told.push(fourth), 0);
    expect([told[0] === map, told[1] === set, told[2] === list], 'who is called back is told of the Proxy').toEqual([
      ...[true, true, true],
    ]);
    const [once, twice] = [map.get, map.get];
    expect(once === twice, 'a method is the same each time').toBe(true);
    expect(() => attach(raw, { limit: range(0, 1) })).toThrow(InvalidArgumentError);
    expect(map.limit).toBe(5);
    class Tree {
      limit = 5;
      get root() {
        return this;
      }
    }
    const [tree] = [attach(new Tree(), attributes), attach(new Tree(), attributes)];
    expect(tree.root === tree, 'an accessor that gives its object').toBe(true);
    const several = { size: range(0, 9) };
    const [tall] = [attach(new Tree(), several), attach(new Tree(), several)];
    expect(() => Object.assign(tall, { size: 10 }), 'attached to several').toThrow(/^Tree.size must be/);
  });
});
