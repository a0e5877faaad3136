import { types } from 'node:util';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import {
  type Class,
  DuplicateKeyError,
  DuplicateMemberError,
  defineClass,
  definitionOrder,
  derive,
  FinalClassError,
  faultsOf,
  final,
  InterfaceError,
  type InterfaceSpec,
  InvalidArgumentError,
  InvalidStepError,
  implementing,
  type MadeClass,
  type Meta,
  MetaConflictError,
  metaOf,
  type Namespace,
  NotRegistrableError,
  PrefixCollisionError,
  prefixed,
  prefixMeta,
  ReentrantSingletonError,
  Registry,
  registering,
  singleton,
  typeMeta,
  UniqueNamespace,
  UnknownKeyError,
} from '#lab';

/**
 * What `@first @last class …` does, in the order of the standard: decorators from the bottom up, then the static fields,
 * then the initializers, on the class that came out.
 */
function decorate<C extends Class>(
  decorators: readonly ((cls: C, context: ClassDecoratorContext<C>) => C)[],
  cls: C,
  staticFields: () => void = () => {},
): C {
  const initializers: ((this: C) => void)[] = [];
  const context: ClassDecoratorContext<C> = {
    kind: 'class',
    name: cls.name,
    metadata: {},
    addInitializer: (run) => void initializers.push(run),
  };
  const made = decorators.reduceRight((it, decorator) => decorator(it, context), cls);
  staticFields();
  for (const run of initializers) run.call(made);
  return made;
}

const define = (owner: object, key: string, value: unknown) =>
  Object.defineProperty(owner, key, { value, writable: true, enumerable: true, configurable: true });

function faultsIn(make: () => unknown): readonly string[] {
  try {
    make();
  } catch (error) {
    if (error instanceof InterfaceError) return error.faults.map(({ member, kind }) => `${member}: ${kind}`);
    throw error;
  }
  return [];
}

abstract class Plugin {
  abstract pay(cents: number): string;
}
class Card extends Plugin {
  pay(cents: number) {
    return `card ${cents}`;
  }
}
class Cash extends Plugin {
  pay(cents: number) {
    return `cash ${cents}`;
  }
}

describe('interfaces', () => {
  const Shop: InterfaceSpec = {
    name: 'Plugin',
    methods: { accepts: { args: 1, kind: 'sync' }, refund: { args: 2, kind: 'async' } },
  };

  test('a class that keeps the interface comes back as it is', () => {
    class Card {
      accepts(_order: object) {
        return true;
      }
      async refund(_id: string, _cents: number) {}
    }
    expect(implementing(Shop)(Card)).toBe(Card);
    expect(faultsOf(Card, Shop)).toEqual([]);
  });

  test('a class without a method is refused when it is made, and none of its code has run', () => {
    let calls = 0;
    const make = () =>
      implementing(Shop)(
        class Card {
          constructor() {
            calls++;
          }
          accepts(_order: object) {
            calls++;
            return true;
          }
        },
      );
    expect(make).toThrow(InterfaceError);
    expect(make).toThrow(/Card is no Plugin: refund is missing/);
    expect(calls).toBe(0);
  });

  test('an inherited method is a method', () => {
    class Base {
      async refund(_id: string, _cents: number) {}
    }
    class Card extends Base {
      accepts(_order: object) {
        return true;
      }
    }
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual([]);
  });

  test('what every object inherits is no method of the interface', () => {
    const spec = {
      name: 'Printable',
      methods: { toString: {}, valueOf: {} },
      statics: { apply: 'function' },
    } as const;
    const all = ['toString: missing', 'valueOf: missing', 'apply: static'];
    expect(faultsIn(() => implementing(spec)(class {}))).toEqual(all);
  });

  test('something that is no function is not callable', () => {
    class Card {
      accepts() {
        return true;
      }
    }
    define(Card.prototype, 'refund', 'soon');
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual(['refund: not callable']);
  });

  test('no getter runs while a class is checked', () => {
    let runs = 0;
    class Card {
      get accepts() {
        runs++;
        return () => true;
      }
      async refund() {}
    }
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual(['accepts: not callable']);
    expect(() => implementing(Shop)(Card)).toThrow('an accessor');
    expect(runs).toBe(0);
  });

  test('defaults, rest and unused parameters are no fault', () => {
    class Card {
      accepts() {
        return true;
      }
      async refund(_id: string, _cents = 0, ..._more: unknown[]) {}
    }
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual([]);
  });

  test('a method that needs more than its callers pass is refused', () => {
    class Card {
      accepts(_order: object, _user: object) {
        return true;
      }
      async refund(_id: string, _cents: number, _approvedBy: object) {}
    }
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual(['accepts: arity', 'refund: arity']);
  });

  test('an async method where callers use the result at once is refused', () => {
    class Card {
      async accepts(_order: object) {
        return false;
      }
      async refund() {}
    }
    expect(faultsIn(() => implementing(Shop)(Card))).toEqual(['accepts: async']);
  });

  test('where callers await, a plain function passes and a generator does not', () => {
    class Plain {
      accepts() {
        return true;
      }
      refund() {
        return Promise.resolve();
      }
    }
    class Lazy {
      accepts() {
        return true;
      }
      async *refund() {}
    }
    expect(faultsIn(() => implementing(Shop)(Plain))).toEqual([]);
    expect(faultsIn(() => implementing(Shop)(Lazy))).toEqual(['refund: async']);
  });

  test('all faults are told at once', () => {
    class Card {
      async accepts(_order: object, _user: object) {
        return true;
      }
    }
    const spec: InterfaceSpec = { ...Shop, statics: { label: 'string' } };
    expect(faultsIn(() => implementing(spec)(Card))).toEqual([
      'accepts: arity',
      'accepts: async',
      'refund: missing',
      'label: static',
    ]);
  });

  test('under decorator syntax, static fields are looked at once they are there', () => {
    const spec: InterfaceSpec = { name: 'Labelled', methods: {}, statics: { label: 'string' } };
    class Card {}
    const make = () => decorate([implementing(spec)], Card, () => void define(Card, 'label', 'Card'));
    expect(faultsIn(make)).toEqual([]);
    expect(faultsIn(() => decorate([implementing(spec)], class Bare {}))).toEqual(['label: static']);
    const object: InterfaceSpec = { name: 'Described', methods: {}, statics: { schema: 'object' } };
    const Empty = Object.assign(class {}, { schema: null });
    expect(
      faultsIn(() => implementing(object)(Empty)),
      'null is no object',
    ).toEqual(['schema: static']);
  });
});

describe('prefixes', () => {
  test('attributes of the class and of its instances get the prefix, and lose the bare name', () => {
    class User {
      static age = 30;
      greet() {
        return 'hello';
      }
    }
    expect(prefixed('attr_')(User)).toBe(User);
    expect(Object.keys(User)).toEqual(['attr_age']);
    expect(Reflect.get(User, 'attr_age')).toBe(30);
    expect(Reflect.ownKeys(User.prototype)).toEqual(['constructor', 'attr_greet']);
  });

  test('symbols, double underscores, the constructor and the name of the class keep theirs', () => {
    class Order {
      static __table = 'orders';
      __init() {}
      *[Symbol.iterator]() {}
    }
    prefixed('attr_')(Order);
    expect(Order.name).toBe('Order');
    expect(Order.__table).toBe('orders');
    expect(Reflect.ownKeys(Order.prototype)).toEqual(['constructor', '__init', Symbol.iterator]);
    expect(new Order().constructor).toBe(Order);
  });

  test('under decorator syntax, static fields get the prefix too', () => {
    class Order {}
    decorate([prefixed('attr_')], Order, () => {
      define(Order, 'name', 'John');
      define(Order, 'age', 30);
    });
    expect(Object.keys(Order)).toEqual(['attr_name', 'attr_age']);
    expect(Order.name).toBe('Order');
  });

  test('accessors are renamed, not run', () => {
    let runs = 0;
    const Prefixed = prefixed('p_')(
      class {
        static get now() {
          return ++runs;
        }
        get later() {
          return ++runs;
        }
      },
    );
    expect(runs).toBe(0);
    expect(Reflect.get(Prefixed, 'p_now')).toBe(1);
    expect(Reflect.get(new Prefixed(), 'p_later')).toBe(2);
  });

  test('a name that is taken is an error, and nothing has been renamed', () => {
    class Order {
      static id = 0;
      x() {
        return 'x';
      }
      attr_x() {
        return 'attr_x';
      }
    }
    expect(() => prefixed('attr_')(Order)).toThrow('attr_x');
    expect(() => prefixed('attr_')(Order)).toThrow(PrefixCollisionError);
    expect(Order.id).toBe(0);
    expect([new Order().x(), new Order().attr_x()]).toEqual(['x', 'attr_x']);
  });

  test('a member that cannot lose its name is an error, and nothing has been renamed', () => {
    class Order {
      static id = 0;
      x() {}
    }
    Object.freeze(Order.prototype);
    expect(() => prefixed('attr_')(Order)).toThrow(InvalidArgumentError);
    expect([Object.keys(Order), Reflect.ownKeys(Order.prototype)]).toEqual([['id'], ['constructor', 'x']]);
    const Fixed = Object.defineProperty(class {}, 'id', { value: 1 });
    expect(() => prefixed('attr_')(Fixed)).toThrow(InvalidArgumentError);
  });

  test('an empty prefix is refused', () => {
    expect(() => prefixed('')).toThrow(InvalidArgumentError);
    expect(() => prefixMeta('')).toThrow(InvalidArgumentError);
  });
});

describe('singletons', () => {
  test('a singleton is constructed once, whatever the arguments', () => {
    let constructions = 0;
    const Config = singleton()(
      class Config {
        readonly file: string;
        constructor(file: string) {
          constructions++;
          this.file = file;
        }
      },
    );
    const first = new Config('a.json');
    expect(new Config('b.json')).toBe(first);
    expect(first.file).toBe('a.json');
    expect(constructions).toBe(1);
  });

  test('the singleton keeps its name, its statics and instanceof', () => {
    class Config {
      static readonly defaults = { port: 80 };
      readonly port = 8080;
    }
    define(Config, 'load', function (this: Class<object, []>) {
      return new this();
    });
    const Only = singleton()(Config);
    expect(Only.name).toBe('Config');
    expect(Only.defaults).toBe(Config.defaults);
    expect(new Only()).toBeInstanceOf(Only);
    expect(new Only()).toBeInstanceOf(Config);
    expect(Object(Only).load()).toBe(new Only());
  });

  test('what is noted of a class holds for what wraps it', () => {
    const meta = derive(typeMeta, () => ({ init() {} }));
    const Made = defineClass(meta, 'Made', [], (ns) => void ns.set('b', 1).set('a', 2));
    for (const wrap of [singleton(), final()]) {
      const Wrapped = wrap(Made);
      expect([metaOf(Wrapped), definitionOrder(Wrapped)]).toEqual([meta, ['b', 'a']]);
    }
    const Last = singleton()(final()(class Last {}));
    expect(() => defineClass(typeMeta, 'Heir', [Last], () => {}), 'before there is a class').toThrow(FinalClassError);
  });

  test('an instance leads back to the singleton, not behind it', () => {
    const Config = singleton()(class Config {});
    const config = new Config();
    expect(Reflect.construct(Object(config).constructor, [])).toBe(config);
    expect(Object.keys(Config.prototype)).toEqual([]);
  });

  test('a constructor that threw is tried again', () => {
    let attempts = 0;
    const Config = singleton()(
      class Config {
        constructor() {
          if (++attempts === 1) throw new Error('no such file');
        }
      },
    );
    expect(() => new Config()).toThrow('no such file');
    expect(new Config()).toBe(new Config());
    expect(attempts).toBe(2);
  });

  test('a singleton that is asked for by its own constructor says so', () => {
    const Config = singleton()(
      class Config {
        readonly self: object = Reflect.construct(this.constructor, []);
      },
    );
    expect(() => new Config()).toThrow(ReentrantSingletonError);
  });

  test('a subclass of a singleton has instances of its own', () => {
    const Parent = singleton()(class Parent {});
    class Plain extends Parent {
      readonly own = 'field';
    }
    const Child = singleton()(class Child extends Parent {});
    const parent = new Parent();
    const plain = new Plain();
    expect(plain).not.toBe(parent);
    expect(plain).toBeInstanceOf(Plain);
    expect(plain.own).toBe('field');
    expect(new Plain()).not.toBe(plain);
    expect(new Child()).toBe(new Child());
    expect(new Child()).toBeInstanceOf(Child);
    expect(new Set([parent, plain, new Child(), new Parent()]).size).toBe(3);
  });

  test('decorators stack in either order', () => {
    for (const order of [
      [final(), singleton()],
      [singleton(), final()],
    ]) {
      const Config = decorate(order, class Config {});
      expect(new Config()).toBe(new Config());
      class Heir extends Config {}
      expect(() => new Heir()).toThrow(FinalClassError);
    }
  });
});

describe('final classes', () => {
  test('a final class can be used and not extended', () => {
    let fields = 0;
    const Money = final()(
      class Money {
        readonly cents: number;
        constructor(cents: number) {
          this.cents = cents;
        }
      },
    );
    class Gold extends Money {
      readonly field = ++fields;
    }
    expect(new Money(5).cents).toBe(5);
    expect(() => new Gold(5)).toThrow(FinalClassError);
    expect(() => new Gold(5)).toThrow(/Money is final/);
    expect(fields).toBe(0);
  });
});

describe('registries', () => {
  test('what is registered is found by its key, in the order of registration', () => {
    const plugins = new Registry(Plugin);
    expect(plugins.register('card')(Card)).toBe(Card);
    plugins.register('2')(Cash);
    plugins.register('1')(Cash);
    expect(new (plugins.get('card'))().pay(5)).toBe('card 5');
    expect(plugins.list()).toEqual(['card', '2', '1']);
    expect([...plugins]).toEqual([
      ['card', Card],
      ['2', Cash],
      ['1', Cash],
    ]);
  });

  test('an unknown key is an error that lists the known ones', () => {
    const plugins = new Registry(Plugin);
    expect(() => plugins.get('toString')).toThrow(/Known keys: none/);
    plugins.register('card')(Card);
    expect(() => plugins.get('crad')).toThrow(UnknownKeyError);
    expect(() => plugins.get('crad')).toThrow(/"crad".*Known keys: card/);
  });

  test('a static block can register the class that it stands in', () => {
    const plugins = new Registry(Plugin);
    class Voucher extends Card {
      static {
        plugins.register('voucher')(Voucher);
      }
    }
    expect(plugins.get('voucher')).toBe(Voucher);
  });

  test('the abstract base is no plugin, and neither is a stranger', () => {
    const plugins = new Registry<Card>(Card);
    expect(() => plugins.register('base')(Card)).toThrow(/the base of its registry/);
    expect(() => plugins.register('cash')(Cash)).toThrow(NotRegistrableError);
    expect(plugins.list()).toEqual([]);
  });

  test('an empty key is refused', () => {
    expect(() => new Registry(Plugin).register('')).toThrow(InvalidArgumentError);
  });

  test('a key belongs to one class', () => {
    const plugins = new Registry(Plugin);
    plugins.register('pay', 'file:///shop/card.ts')(Card);
    plugins.register('pay', 'file:///shop/card.ts')(Card);
    expect(() => plugins.register('pay', 'file:///shop/cash.ts')(Cash)).toThrow(DuplicateKeyError);
    expect(() => plugins.register('pay')(Cash)).toThrow(/belongs to Card; Cash can't/);
    expect(plugins.get('pay')).toBe(Card);
    const local = new Registry(Plugin);
    local.register('pay')(Card);
    expect(() => local.register('pay')(Cash)).toThrow(DuplicateKeyError);
  });

  test('a module that is evaluated again replaces its class', () => {
    const plugins = new Registry(Plugin);
    const evaluate = (query: string) =>
      plugins.register('card', `file:///shop/card.ts${query}`)(class Again extends Card {});
    plugins.register('cash', 'file:///shop/cash.ts')(Cash);
    evaluate('');
    evaluate('?t=1#x');
    const last = evaluate('?t=2');
    expect(plugins.get('card')).toBe(last);
    expect(plugins.list()).toEqual(['cash', 'card']);
    const rival = () => plugins.register('card', 'file:///shop/card.ts?t=2')(class Rival extends Card {});
    expect(rival, 'a second class of one evaluation').toThrow(DuplicateKeyError);
    const same = evaluate('?t=2');
    expect(plugins.get('card'), 'not every tool gives a new address').toBe(same);
    const renamed = plugins.register('card', 'file:///shop/card.ts?t=3')(class Renamed extends Card {});
    expect(plugins.get('card')).toBe(renamed);
  });

  test('under decorator syntax, the class that is registered is the one that everybody sees', () => {
    const plugins = new Registry(Plugin);
    const Wallet = decorate([singleton(), plugins.register('wallet')], class Wallet extends Card {});
    expect(plugins.get('wallet')).toBe(Wallet);
    expect(new (plugins.get('wallet'))()).toBe(new Wallet());
  });
});

describe('metas', () => {
  const nothing = () => {};
  /** A meta that writes down its steps. */
  const logging = (log: string[], base: Meta = typeMeta) =>
    derive(base, (parent) => ({
      prepare(...args) {
        log.push('prepare');
        return parent.prepare(...args);
      },
      create(...args) {
        log.push('create');
        return parent.create(...args);
      },
      init(cls, ...args) {
        log.push(`init ${cls.name}`);
        parent.init(cls, ...args);
      },
    }));

  test('functions become methods, other values statics, and constructor sees the arguments', () => {
    const Point = defineClass(typeMeta, 'Point', [], (ns) => {
      ns.set('dimensions', 2)
        .set('constructor', function (this: { x: unknown }, x: unknown) {
          this.x = x;
        })
        .set('double', function (this: { x: number }) {
          return this.x * 2;
        });
    });
    const point = new Point(4);
    expect(Point.name).toBe('Point');
    expect(Point['dimensions']).toBe(2);
    expect(point).toEqual({ x: 4 });
    expect(Reflect.apply(Object(point)['double'], point, [])).toBe(8);
    expect(point).toBeInstanceOf(Point);
    expect(point['constructor']).toBe(Point);
    expect(Object.keys(Point.prototype)).toEqual([]);
  });

  test('a class is made in the order prepare, body, create, init', () => {
    const log: string[] = [];
    defineClass(logging(log), 'User', [], () => void log.push('body'));
    expect(log).toEqual(['prepare', 'body', 'create', 'init User']);
  });

  test('an error of any step is the error of the class', () => {
    for (const step of ['prepare', 'create', 'init'] as const) {
      const log: string[] = [];
      const failing = derive(logging(log), () => ({
        [step]() {
          throw new RangeError(step);
        },
      }));
      expect(() => defineClass(failing, 'User', [], nothing)).toThrow(new RangeError(step));
    }
    const body = () => {
      throw new RangeError('body');
    };
    expect(() => defineClass(typeMeta, 'User', [], body)).toThrow(new RangeError('body'));
  });

  test('every step has keywords of its own, and those of the caller are left alone', () => {
    const seen: unknown[] = [];
    const greedy: Meta = {
      prepare(_name, _bases, kw) {
        define(kw, 'key', 'spoilt');
        return new Map();
      },
      create(name, bases, ns, kw) {
        seen.push(kw['key']);
        define(kw, 'key', 'spoilt');
        return typeMeta.create(name, bases, ns, kw);
      },
      init: (_cls, _name, _bases, _ns, kw) => void seen.push(kw['key']),
    };
    const kw = Object.freeze({ key: 'card' });
    defineClass(greedy, 'Card', [], nothing, kw);
    expect(seen).toEqual(['card', 'card']);
  });

  test('the namespace of prepare sees a second definition, which JavaScript drops', () => {
    const strict: Meta = { prepare: (name) => new UniqueNamespace(name) };
    const twice = (ns: Namespace) => void ns.set('pay', () => 1).set('pay', () => 2);
    const Loose = defineClass(typeMeta, 'Card', [], twice);
    expect(Reflect.apply(Object(new Loose())['pay'], undefined, [])).toBe(2);
    expect(() => defineClass(strict, 'Card', [], twice)).toThrow(DuplicateMemberError);
    expect(() => defineClass(strict, 'Card', [], twice)).toThrow(/Card.pay is defined twice/);
  });

  test('the order of definition is kept, where Object.keys sorts numbers first', () => {
    const Order = defineClass(typeMeta, 'Order', [], (ns) => void ns.set('2', 'b').set('b', 0).set('1', 'a'));
    expect(Object.keys(Order)).toEqual(['1', '2', 'b']);
    expect(definitionOrder(Order)).toEqual(['2', 'b', '1']);
    expect(() => Reflect.apply(Array.prototype.reverse, definitionOrder(Order), [])).toThrow(TypeError);
    expect(definitionOrder(class {})).toBeUndefined();
  });

  test('prefixMeta is the PrefixMeta of the roadmap', () => {
    const body = (ns: Namespace) => void ns.set('name', 'John').set('age', 30).set('__table', 'users');
    const User = defineClass(prefixMeta('attr_'), 'User', [], body);
    expect(User['attr_name']).toBe('John');
    expect(User['attr_age']).toBe(30);
    expect(User['__table']).toBe('users');
    expect(User.name).toBe('User');
    expect('age' in User).toBe(false);
  });

  test('prefixMeta refuses a name that is taken, too', () => {
    const body = (ns: Namespace) => void ns.set('x', 1).set('attr_x', 2);
    expect(() => defineClass(prefixMeta('attr_'), 'Order', [], body)).toThrow(PrefixCollisionError);
  });

  test('a subclass is made by the meta of its base', () => {
    const log: string[] = [];
    const meta = logging(log);
    const Base = defineClass(meta, 'Base', [], nothing);
    class Native extends Base {}
    const Child = defineClass(typeMeta, 'Child', [Native], nothing);
    expect(log.filter((step) => step.startsWith('init'))).toEqual(['init Base', 'init Child']);
    expect([metaOf(Base), metaOf(Native), metaOf(Child)]).toEqual([meta, meta, meta]);
    expect(metaOf(class {})).toBe(typeMeta);
    expect(new Child()).toBeInstanceOf(Base);
  });

  test('a meta that extends those of all bases is chosen', () => {
    const general: Meta = {};
    const special = derive(general, () => ({}));
    const General = defineClass(general, 'General', [], nothing);
    const Special = defineClass(special, 'Special', [], nothing);
    expect(metaOf(defineClass(general, 'A', [General, Special], nothing))).toBe(special);
    expect(metaOf(defineClass(special, 'B', [General], nothing))).toBe(special);
  });

  test('a meta may be written as a class, and leaves undefined what its base shall do', () => {
    const log: string[] = [];
    class Audit implements Meta {
      readonly #word = 'audit';
      init(_cls: MadeClass, name: string) {
        log.push(`${this.#word} ${name}`);
      }
    }
    const audit = derive(typeMeta, () => new Audit());
    defineClass(audit, 'A', [], nothing);
    const silent = derive(audit, () => Object.assign(Object.create(null), { init: undefined }));
    defineClass(silent, 'B', [], nothing);
    defineClass({ ...audit, prepare: () => new Map() }, 'C', [], nothing);
    defineClass({ ...silent, prepare: () => new Map() }, 'D', [], nothing);
    const above = Object.freeze(derive(Object.freeze(new Audit()), () => ({})));
    defineClass(above, 'E', [], nothing);
    const frozen = derive(above, (parent) => ({ init: (...args) => parent.init(...args) }));
    defineClass(frozen, 'F', [], nothing);
    expect(log).toEqual(['audit A', 'audit B', 'audit C', 'audit D', 'audit E', 'audit F']);
  });

  test('two metas that do not extend each other are a conflict', () => {
    const bodies: string[] = [];
    const A = defineClass({}, 'A', [], nothing);
    const B = defineClass({}, 'B', [], nothing);
    const body = () => void bodies.push('C');
    expect(() => defineClass(typeMeta, 'C', [A, B], body)).toThrow(MetaConflictError);
    expect(() => defineClass({}, 'C', [A], body)).toThrow(/C can't be made: the meta of its base A/);
    expect(bodies).toEqual([]);
  });

  test('a second base lends its members, and the first one wins', () => {
    class A {
      static from = 'A';
      who() {
        return 'A';
      }
    }
    class B extends A {
      static override from = 'B';
      static made = true;
      override who() {
        return 'B';
      }
      override toString() {
        return 'from B';
      }
    }
    class C {
      who() {
        return 'C';
      }
    }
    const Both = defineClass(typeMeta, 'Both', [C, B], nothing);
    const both = new Both();
    expect(Reflect.apply(Object(both)['who'], both, [])).toBe('C');
    expect(String(both)).toBe('from B');
    expect([Both['from'], Both['made']]).toEqual(['B', true]);
    expect([both instanceof C, both instanceof B]).toEqual([true, false]);
  });

  test('what is made can be changed as any class can', () => {
    const Made = defineClass(typeMeta, 'Made', [], (ns) => void ns.set('say', nothing).set('rate', 1));
    const flags = (owner: object, key: string) => {
      const { configurable, enumerable, writable } = Reflect.getOwnPropertyDescriptor(owner, key) ?? {};
      return { configurable, enumerable, writable };
    };
    class Plain {
      static rate = 1;
      say() {}
    }
    expect(flags(Made.prototype, 'say')).toEqual(flags(Plain.prototype, 'say'));
    expect(flags(Made, 'rate')).toEqual(flags(Plain, 'rate'));
    expect(flags(Made, 'name')).toEqual(flags(Plain, 'name'));
    expect(flags(singleton()(Plain).prototype, 'constructor')).toEqual(flags(class {}.prototype, 'constructor'));
  });

  test('what every object has is no member, whatever realm it comes from', () => {
    const theirs: Class = runInNewContext('class Far { pay() { return 1; } }; Far');
    const Near = defineClass(typeMeta, 'Near', [class {}, theirs], nothing);
    expect(Reflect.ownKeys(Near.prototype)).toEqual(['constructor', 'pay']);
    expect(Reflect.ownKeys(Near).sort()).toEqual(['length', 'name', 'prototype']);
    expect(faultsOf(theirs, { name: 'Told', methods: { toString: {} } })).toMatchObject([{ kind: 'missing' }]);
  });

  test('call decides what new gives, for subclasses too', () => {
    const instances = new Map<unknown, object>();
    const single = derive(typeMeta, (parent) => ({
      call(cls, args) {
        const instance = instances.get(cls) ?? parent.call(cls, args);
        instances.set(cls, instance);
        return instance;
      },
    }));
    let constructions = 0;
    const Parent = defineClass(single, 'Parent', [], (ns) => void ns.set('constructor', () => void constructions++));
    const Child = defineClass(typeMeta, 'Child', [Parent], nothing);
    const child = new Child();
    expect(child).toBe(new Child());
    expect(child).toBeInstanceOf(Child);
    expect(new Parent()).toBe(new Parent());
    expect(new Parent()).not.toBe(child);
    expect(constructions).toBe(2);
    expect(Parent.name).toBe('Parent');
    const five = derive(typeMeta, () => ({ call: () => JSON.parse('5') }));
    const Five = defineClass(five, 'Five', [], nothing);
    expect(() => new Five(), 'new gives objects').toThrow(InvalidStepError);
  });

  test('a class is a Proxy only where its meta has a call', () => {
    const Plain = defineClass(typeMeta, 'Plain', [], nothing);
    const Derived = defineClass(
      derive(typeMeta, () => ({ init: nothing })),
      'Derived',
      [Plain],
      nothing,
    );
    const Called = defineClass(
      derive(typeMeta, (parent) => ({ call: parent.call })),
      'Called',
      [],
      nothing,
    );
    expect([Plain, Derived, Called].map((cls) => types.isProxy(cls))).toEqual([false, false, true]);
    expect(new Called()).toBeInstanceOf(Called);
  });

  test('what no class can be made from is refused', () => {
    let bodies = 0;
    const body = () => void bodies++;
    class A {}
    const noClass: Class[] = JSON.parse('[null, {}, "A"]');
    for (const base of noClass) {
      expect(() => defineClass(typeMeta, 'B', [base], body)).toThrow(InvalidArgumentError);
    }
    expect(() => defineClass(typeMeta, 'B', [A, A], body)).toThrow(/names its base A twice/);
    for (const none of ['none', async () => {}, function* () {}]) {
      const bad = (ns: Namespace) => void ns.set('constructor', none);
      expect(() => defineClass(typeMeta, 'B', [], bad), String(none)).toThrow(InvalidArgumentError);
    }
    const late = async (ns: Namespace) => void ns.set('x', 1);
    expect(() => defineClass(typeMeta, 'B', [], late), 'its class would be empty').toThrow(InvalidArgumentError);
    const failing = () => Promise.reject(new Error('what nobody hears'));
    expect(() => defineClass(typeMeta, 'B', [], failing)).toThrow(InvalidArgumentError);
    const spec = { name: 'Shop', methods: { pay: {} } };
    const inspected = [implementing(spec), new Registry(Plugin).register('x'), prefixed('x'), singleton(), final()];
    const exported: Class[] = [...noClass, JSON.parse.bind(null), Object.create(null), A.bind(null)];
    for (const each of exported) {
      for (const decorate of inspected)
        expect(() => Reflect.apply(decorate, null, [each])).toThrow(InvalidArgumentError);
      expect(() => faultsOf(each, spec)).toThrow(InvalidArgumentError);
      expect(() => defineClass(typeMeta, 'B', [each], body)).toThrow(InvalidArgumentError);
    }
    const three: Meta = { prepare: () => JSON.parse('3') };
    expect(() => defineClass(three, 'B', [], body)).toThrow(InvalidStepError);
    expect(bodies).toBe(0);
    const arrow: Meta = { create: () => JSON.parse('{}') };
    expect(() => defineClass(arrow, 'B', [], nothing)).toThrow(InvalidStepError);
    const checksLate: Meta = { init: () => Promise.reject(new Error('what nobody hears')) };
    expect(() => defineClass(checksLate, 'B', [], nothing), 'it would pass all').toThrow(InvalidStepError);
    class Fixed {}
    Object.freeze(Fixed.prototype);
    for (const decorate of [singleton(), final()])
      expect(() => Reflect.apply(decorate, null, [Fixed])).toThrow(InvalidArgumentError);
  });

  test('a final base is refused by defineClass while no subclass exists', () => {
    let bodies = 0;
    const Money = final()(class Money {});
    expect(() => defineClass(typeMeta, 'Gold', [Money], () => void bodies++)).toThrow(FinalClassError);
    expect(bodies).toBe(0);
  });

  test('a class made by a registering meta registers itself, and so does each class made from it', () => {
    const plugins = new Registry(Plugin);
    const meta = registering(plugins);
    const Base = defineClass(meta, 'Remote', [Card], () => {}, { abstract: true });
    const Visa = defineClass(typeMeta, 'Visa', [Base], () => {}, { key: 'visa' });
    const Gift = defineClass(meta, 'Gift', [Cash], () => {});
    expect([...plugins]).toEqual([
      ['visa', Visa],
      ['Gift', Gift],
    ]);
    expect(new (plugins.get('visa'))().pay(7)).toBe('card 7');
    expect(() => defineClass(meta, 'Stranger', [], () => {})).toThrow(NotRegistrableError);
    expect(() => defineClass(meta, 'Keyless', [Cash], () => {}, { key: null })).toThrow(InvalidArgumentError);
    expect(() => defineClass(meta, 'Gift', [Cash], () => {})).toThrow(DuplicateKeyError);
  });
});
