import { describe, expect, test } from 'vitest';
import {
  AttributeError,
  ClassDefinitionError,
  delattr,
  descriptor,
  explain,
  getattr,
  hasattr,
  isDataDescriptor,
  mro,
  NotPyObjectError,
  property,
  pyClass,
  setattr,
  staticMethod,
  vars,
} from '#lab';
import { ON_A_CLASS, ON_AN_INSTANCE, ORDERS } from './cpython.ts';
import { type Kind, kindsOf, rowsOf, World } from './world.ts';

const ACTIONS = {
  read: (target: object) => String(getattr(target, 'x')),
  assign: (target: object) => setattr(target, 'x', 'new'),
  remove: (target: object) => delattr(target, 'x'),
};

function outcome(action: keyof typeof ACTIONS, cell: readonly [Kind, Kind, Kind, Kind], on: 'o' | 'Sub'): string {
  const world = new World();
  const target = world.build(...cell)[on];
  const before = getattr(target, 'x', '-');
  try {
    const value = ACTIONS[action](target);
    if (value !== undefined) return value;
  } catch (error) {
    if (error instanceof AttributeError) return 'AttributeError';
    throw error;
  }
  const after = getattr(target, 'x', '-');
  return (
    world.calls[0] ?? (action === 'assign' && after === 'new' ? 'stored' : after === before ? 'nothing' : 'removed')
  );
}

describe('descriptors', () => {
  test('a descriptor answers for the reads, writes and deletions of its attribute', () => {
    const calls: string[] = [];
    const balance = descriptor({
      get() {
        calls.push('get');
        return 7;
      },
      set: (_, value) => void calls.push(`set ${value}`),
      delete: () => void calls.push('delete'),
    });
    const card = new (pyClass('Card', [], { balance }))();
    expect(getattr(card, 'balance')).toBe(7);
    setattr(card, 'balance', 9);
    delattr(card, 'balance');
    expect(calls).toEqual(['get', 'set 9', 'delete']);
  });

  test('a value that no descriptor answers for goes into the dictionary of the instance', () => {
    const Card = pyClass('Card', [], { currency: 'EUR' });
    const [mine, yours] = [new Card(), new Card()];
    setattr(mine, 'currency', 'CNY');
    expect([getattr(mine, 'currency'), getattr(yours, 'currency')]).toEqual(['CNY', 'EUR']);
    expect([vars(mine), vars(yours)]).toEqual([{ currency: 'CNY' }, {}]);
    delattr(mine, 'currency');
    expect(getattr(mine, 'currency')).toBe('EUR');
    expect(() => delattr(mine, 'currency')).toThrow(AttributeError);
    expect(() => getattr(mine, 'holder')).toThrow(AttributeError);
    expect(getattr(mine, 'holder', undefined)).toBeUndefined();
    expect([hasattr(mine, 'currency'), hasattr(mine, 'holder')]).toEqual([true, false]);
  });

  test('set or delete, either of them makes a data descriptor', () => {
    const [get, set, remove] = [() => 1, () => {}, () => {}];
    const kinds = [{ get }, { set }, { delete: remove }, { get, set }, { get, delete: remove }];
    expect(kinds.map((kind) => isDataDescriptor(descriptor({ ...kind })))).toEqual([false, true, true, true, true]);
    expect(isDataDescriptor({ get, set })).toBe(false);
  });

  test('a data descriptor beats the instance, and the instance beats a non-data descriptor', () => {
    for (const kind of ['getset', 'getdelete', 'get'] as const) {
      const { o } = new World().build('-', kind, '-', 'plain');
      expect(getattr(o, 'x'), `${kind} in the class, a value in the instance`).toBe(
        kind === 'get' ? 'inst' : 'sub.get(o,S)',
      );
    }
  });

  test('a plain attribute of a subclass hides a data descriptor of its base', () => {
    const { o } = new World().build('-', 'plain', 'getset', '-');
    expect(getattr(o, 'x')).toBe('sub');
    setattr(o, 'x', 'new');
    expect(vars(o)).toEqual({ x: 'new' });
  });

  test('a descriptor that lies in the instance is a value like any other', () => {
    const { o } = new World().build('-', '-', '-', 'getset');
    expect(String(getattr(o, 'x'))).toBe('inst');
    setattr(o, 'x', 'new');
    expect(vars(o)).toEqual({ x: 'new' });
  });

  test('on the class itself a descriptor is asked without an instance', () => {
    const asked: unknown[] = [];
    const balance = descriptor({ get: (...args) => asked.push(args) });
    const Card = pyClass('Card', [], { balance });
    const Gold = pyClass('Gold', [Card], {});
    getattr(Gold, 'balance');
    const gold = new Gold();
    getattr(gold, 'balance');
    expect(asked).toEqual([
      [undefined, Gold],
      [gold, Gold],
    ]);
  });

  test('a Map is a value, although it has get, set and delete', () => {
    const rates = new Map([['EUR', 1]]);
    const Card = pyClass('Card', [], { rates });
    const card = new Card();
    expect(getattr(card, 'rates')).toBe(rates);
    setattr(card, 'rates', 'mine');
    expect(vars(card)).toEqual({ rates: 'mine' });
    expect([...rates]).toEqual([['EUR', 1]]);
  });

  test('a method is bound to the object that it was read from', () => {
    const Card = pyClass('Card', [], {
      __init__(holder: string) {
        setattr(this, 'holder', holder);
      },
      greet() {
        return `Card of ${getattr(this, 'holder')}`;
      },
      issuer: staticMethod(() => 'Bank'),
    });
    const { greet, issuer } = new Card('Ada');
    expect([greet(), issuer()]).toEqual(['Card of Ada', 'Bank']);
    const plain = getattr(Card, 'greet');
    expect(plain, 'on the class it is the function itself').toBe(getattr(Card, 'greet'));
  });

  test('a method is the same at each read, so a listener can be taken away by its name', () => {
    const Card = pyClass('Card', [], { onTick() {} });
    class Gold extends Card {
      onDrop() {}
      tick() {
        return super.onTick;
      }
    }
    const [gold, other] = [new Gold(), new Gold()];
    const listeners = new Set<unknown>([gold.onTick, gold.onDrop, other.onDrop]);
    expect(listeners.size, 'one for each object').toBe(3);
    for (const listener of [gold.tick(), getattr(gold, 'onDrop'), other.onDrop]) listeners.delete(listener);
    expect(listeners.size).toBe(0);
  });

  test('a class in a class body is a value: it is not bound, as a method is', () => {
    const Base = pyClass('Base', [], {});
    class Late extends Base {}
    for (const Type of [Base, Late, Map, class Plain {}]) {
      const bank = new (pyClass('Bank', [], { Type }))();
      expect([bank.Type === Type, bank.Type === Type, Reflect.get(bank.constructor, 'Type') === Type]).toEqual([
        ...[true, true, true],
      ]);
    }
  });

  test('whatever is where: an instance reads, writes and deletes as in CPython', () => {
    const ours = rowsOf(ON_AN_INSTANCE).map((row) => {
      const [cell = ''] = row.split(' | ');
      const [sub = '-', base = '-', inst = '-'] = kindsOf(cell);
      const told = (['read', 'assign', 'remove'] as const).map((act) => outcome(act, ['-', sub, base, inst], 'o'));
      return `${cell} | ${told.join(' ')}`;
    });
    expect(ours).toEqual(rowsOf(ON_AN_INSTANCE));
  });

  test('whatever is where: a class reads, writes and deletes as in CPython', () => {
    const ours = rowsOf(ON_A_CLASS).map((row) => {
      const [cell = ''] = row.split(' | ');
      const [meta = '-', sub = '-', base = '-'] = kindsOf(cell);
      const told = (['read', 'assign', 'remove'] as const).map((act) => outcome(act, [meta, sub, base, '-'], 'Sub'));
      return `${cell} | ${told.join(' ')}`;
    });
    expect(ours).toEqual(rowsOf(ON_A_CLASS));
  });

  test('classes are asked in the order of CPython, and without an order there is no class', () => {
    const ours = rowsOf(ORDERS).map((row) => {
      const [hierarchy = ''] = row.split(' | ');
      const made = new Map<string, ReturnType<typeof pyClass>>();
      try {
        for (const part of hierarchy.split('; ')) {
          const [, name = '', bases = ''] = /^(\w+)(?:\((.*)\))?$/.exec(part) ?? [];
          const parents = bases.split(',').flatMap((base) => made.get(base) ?? []);
          made.set(name, pyClass(name, parents, { from: name }));
        }
      } catch (error) {
        if (error instanceof ClassDefinitionError) return `${hierarchy} | TypeError`;
        throw error;
      }
      const last = [...made.values()].at(-1) ?? expect.fail();
      return `${hierarchy} | ${mro(last)
        .map((each) => getattr(each, 'from'))
        .join(' ')}`;
    });
    expect(ours).toEqual(rowsOf(ORDERS));
  });

  test('a descriptor is told its name when the class is made, and not when it is assigned later', () => {
    const told: unknown[] = [];
    const make = () => descriptor({ get: () => 7, setName: (owner, name) => void told.push([owner, name]) });
    const Card = pyClass('Card', [], { balance: make(), limit: make(), note: null, [Symbol('hidden')]: make() });
    setattr(Card, 'pin', make());
    expect(told).toEqual([
      [Card, 'balance'],
      [Card, 'limit'],
    ]);
    expect(getattr(new Card(), 'pin')).toBe(7);
  });

  test('the hook answers for what nobody has, and for a getter that ends in an AttributeError', () => {
    const Card = pyClass('Card', [], {
      broken: property(() => getattr({ nobody: true }, 'x')),
      missing: property((o) => getattr(o, 'absent_too', undefined)),
      unset: property(() => {
        throw new AttributeError('not yet');
      }),
      balance: 7,
      __getattr__(name: string) {
        if (name === 'absent_too') throw new AttributeError(name);
        return `hook(${name})`;
      },
    });
    const card = new Card();
    const names = ['balance', 'holder', 'unset', 'missing'];
    expect(names.map((name) => getattr(card, name))).toEqual([7, 'hook(holder)', 'hook(unset)', undefined]);
    expect(() => getattr(card, 'broken')).toThrow(NotPyObjectError);
    setattr(card, '__getattr__', () => 'of the instance');
    expect(getattr(card, 'holder'), 'the class is asked, not the instance').toBe('hook(holder)');
  });

  test('explain names the place that a read is answered from', () => {
    const wins = (o: object) =>
      explain(o, 'x')
        .filter((step) => step.wins)
        .map(({ place }) => place);
    const cases: [string, [Kind, Kind, Kind, Kind], string[]][] = [
      ['data descriptor', ['-', '-', 'getset', 'plain'], ['data descriptor']],
      ['set without get', ['-', 'set', '-', 'plain'], ['own dictionary']],
      ['hidden by the subclass', ['-', 'plain', 'getset', '-'], ['class value']],
      ['non-data descriptor', ['-', 'get', '-', '-'], ['non-data descriptor']],
      ['nowhere', ['-', '-', '-', '-'], []],
    ];
    for (const [what, cell, place] of cases) expect(wins(new World().build(...cell).o), what).toEqual(place);
    const steps = explain(new World().build('-', 'plain', 'getset', '-').o, 'x');
    expect(steps.map(({ place }) => place)).toEqual([
      'data descriptor',
      'own dictionary',
      'non-data descriptor',
      'class value',
      'JavaScript',
      '__getattr__',
    ]);
    expect(steps[0]?.why).toMatch(/^S .*plain value/);
    const whys = (...cell: [Kind, Kind, Kind, Kind]) =>
      explain(new World().build(...cell).o, 'x').map(({ why }) => why);
    expect(whys('-', '-', 'getset', 'plain').slice(1), 'what comes after the first').toEqual(
      Array(5).fill('not asked'),
    );
    expect([whys('-', 'set', '-', 'plain')[1], whys('-', 'get', '-', '-')[1]]).toEqual([
      'it is there',
      'it is not there',
    ]);
    const { Sub } = new World().build('getset', 'plain', '-', '-');
    expect(wins(Sub)).toEqual(['data descriptor']);
    expect(wins(new (pyClass('Card', [], { __getattr__: () => 1 }))())).toEqual(['__getattr__']);
  });

  test('what no class can be made from is refused', () => {
    const Card = pyClass('Card', [], {});
    const [MetaA, MetaB] = [pyClass('MetaA', [], {}), pyClass('MetaB', [], {})];
    const A = pyClass('A', [], {}, { metaclass: MetaA });
    const B = pyClass('B', [], {}, { metaclass: MetaB });
    class Plain {}
    class Gold extends Card {}
    new Gold();
    const refused: [string, () => unknown][] = [
      ['no name', () => pyClass('', [], {})],
      ['a base twice', () => pyClass('C', [Card, Card], {})],
      ['a base that is no class of ours', () => pyClass('C', [Plain], {})],
      ['a base whose constructor would not run', () => pyClass('C', [Gold], {})],
      ['metaclasses in conflict', () => pyClass('C', [A, B], {})],
      ['a metaclass that is none', () => pyClass('C', [], {}, { metaclass: Plain })],
    ];
    for (const [what, make] of refused) expect(make, what).toThrow(ClassDefinitionError);
    const Both = pyClass('Both', [MetaA, MetaB], {});
    expect(() => pyClass('C', [A, B], {}, { metaclass: Both })).not.toThrow();
    for (const use of [getattr, setattr, delattr, explain]) expect(() => use({}, 'x', 1)).toThrow(NotPyObjectError);
    expect(() => vars(Card)).toThrow(NotPyObjectError);
  });
});
