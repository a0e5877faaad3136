import { runInNewContext } from 'node:vm';
import { tell } from '@shared/story';
import { singleton as runsAgain } from './pitfalls/constructor-runs-again.ts';
import { prefixMeta as roadmapMeta } from './pitfalls/silent-collision.ts';
import {
  type Class,
  DuplicateMemberError,
  defineClass,
  derive,
  FinalClassError,
  final,
  InterfaceError,
  type InterfaceSpec,
  implementing,
  type Namespace,
  PrefixCollisionError,
  prefixMeta,
  Registry,
  registering,
  singleton,
  typeMeta,
  UniqueNamespace,
} from './src/index.ts';
import { Payment, payments } from './test/shop.ts';

const Plugin: InterfaceSpec = {
  name: 'Plugin',
  methods: { accepts: { args: 1, kind: 'sync' }, pay: { args: 1, kind: 'sync' }, refund: { args: 2, kind: 'sync' } },
};
const ORDERS = 200;
const LIMIT = 9_000;

class Voucher {
  accepts(cents: number) {
    return cents <= LIMIT;
  }
  pay() {}
}
class Coin {
  async accepts(cents: number) {
    return cents <= LIMIT;
  }
  pay() {}
  refund() {}
}
class Wire extends Voucher {
  refund(_order: number, _cents: number, approvedBy: { name: string }) {
    return approvedBy.name;
  }
}

const errorOf = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  return undefined;
};
const text = (error: unknown) => (error instanceof Error ? error.message : 'no error');

const options = {
  title: 'Metaclasses 元类',
  subtitle: 'The plugin shop: who looks at a class before it serves its first customer?',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  /** A shop that trusts its plugins, as JavaScript lets it. */
  const trade = (Sold: Class<object, []>) => {
    const plugin = Object(new Sold());
    const firstReturn = 20 + Math.floor(story.random() * 100);
    const day = { calls: 0, paid: 0, wrong: 0 };
    const call = (method: string, ...args: unknown[]) => {
      day.calls++;
      return plugin[method](...args);
    };
    const error = errorOf(() => {
      for (let order = 0; order < ORDERS; order++) {
        const cents = Math.floor(story.random() * 10_000);
        if (!call('accepts', cents)) continue;
        call('pay', cents);
        day.paid++;
        if (cents > LIMIT) day.wrong++;
        if (day.paid === firstReturn) call('refund', order, cents);
      }
    });
    return { ...day, noticed: error ? `call ${day.calls}` : 'never' };
  };

  const plugins = [Voucher, Coin, Wire].map((Sold) => {
    const refusal = errorOf(() => implementing(Plugin)(Sold));
    return { name: Sold.name, ...trade(Sold), faults: refusal instanceof InterfaceError ? refusal.faults : [] };
  });

  await story.scene('Three plugins, and nobody has looked at them', async () => {
    story.say(
      `The shop asks \`accepts\` (no order above ${LIMIT / 100}), takes the money by \`pay\`, and calls \`refund\` when ` +
        `somebody comes back: ${ORDERS} orders a day. Each plugin has one flaw.`,
    );
    story.table({
      columns: ['plugin', 'noticed at', 'payments', 'wrong ones'],
      rows: plugins.map(({ name, noticed, paid, wrong }) => [name, noticed, paid, wrong]),
    });
    const [voucher, coin] = plugins;
    story.verdict(
      'Without refund(), the shop takes money until somebody wants it back',
      `${voucher?.noticed}, after ${voucher?.paid} payments`,
      voucher?.noticed !== 'never' && Number(voucher?.paid) > 0,
    );
    story.verdict(
      'An async accepts() never fails: its promise is true, so every order is accepted',
      `${coin?.wrong} of ${coin?.paid} payments should have been refused`,
      coin?.noticed === 'never' && Number(coin?.wrong) > 0,
    );
  });

  await story.scene('The same three, looked at when their classes are made', async () => {
    story.code('src/interface.ts', { from: 'whenComplete(cls, context', to: '});' });
    story.table({
      columns: ['plugin', 'what the check says'],
      rows: plugins.map(({ name, faults }) => [name, faults.map(({ member, what }) => `${member} ${what}`).join('; ')]),
    });
    story.timeline({
      title: 'Calls that the shop made before it noticed',
      unit: 'calls',
      picture: true,
      lanes: plugins.flatMap(({ name, noticed, calls, wrong, faults: [fault] }) => [
        {
          label: `${name}, trusted`,
          spans: [{ from: 0, to: calls, tone: noticed === 'never' ? ('bad' as const) : ('warn' as const) }],
          marks: [{ at: calls, label: noticed === 'never' ? `never; ${wrong} wrong` : noticed, tone: 'bad' as const }],
        },
        {
          label: `${name}, checked`,
          marks: [{ at: 0, label: `${fault?.member} ${fault?.kind}`, tone: 'good' as const }],
        },
      ]),
    });
    let constructed = 0;
    class Untried {
      readonly number = ++constructed;
      async accepts() {}
      pay(_cents: number, _currency: string) {}
    }
    const refusal = errorOf(() => implementing(Plugin)(Untried));
    story.say(text(refusal));
    const all = refusal instanceof InterfaceError ? refusal.faults.length : 0;
    const refused = plugins.filter(({ faults }) => faults.length > 0).length;
    story.verdict(
      'Checked, each fails when its class is made, with all faults in one error',
      `${refused} of 3 refused; ${all} faults at once, ${constructed} constructed`,
      refused === 3 && all === 3 && constructed === 0,
    );
  });

  await story.scene('What runs when a class is made', async () => {
    const log: string[] = [];
    const traced = derive(typeMeta, (parent) => {
      const note = <A extends unknown[], R>(name: string, step: (...args: A) => R) => {
        return (...args: A) => {
          log.push(name);
          return step(...args);
        };
      };
      const { prepare, create, init, call } = parent;
      return {
        prepare: note('prepare', prepare),
        create: note('create', create),
        init: note('init', init),
        call: note('call', call),
      };
    });
    const Order = defineClass(traced, 'Order', [], (ns) => {
      log.push('body');
      ns.set('constructor', () => void log.push('constructor'));
    });
    new Order();
    story.code('src/meta.ts', { from: 'const ns = asNamespace', to: 'steps.init(' });
    story.verdict(
      'The order of CPython: __prepare__, body, __new__, __init__; and __call__ at each new',
      log.join(', '),
      log.join() === 'prepare,body,create,init,call,constructor',
    );
    const twice = (ns: Namespace) => void ns.set('pay', () => 'first').set('pay', () => 'second');
    const kept: unknown = runInNewContext("new (class { pay() { return 'first' } pay() { return 'second' } })().pay()");
    const strict = derive(typeMeta, () => ({ prepare: (name) => new UniqueNamespace(name) }));
    const objection = errorOf(() => defineClass(strict, 'Card', [], twice));
    story.verdict(
      'JavaScript drops the first of two methods without a word; a prepared namespace objects',
      `JavaScript keeps the ${kept}; "${text(objection)}"`,
      kept === 'second' && objection instanceof DuplicateMemberError,
    );
  });

  await story.scene("The roadmap's PrefixMeta", async () => {
    const john = (ns: Namespace) => void ns.set('name', 'John').set('age', 30);
    const User = defineClass(prefixMeta('attr_'), 'User', [], john);
    const read = `attr_name ${User['attr_name']}, attr_age ${User['attr_age']}`;
    story.verdict('It does what the roadmap prints', read, read === 'attr_name John, attr_age 30');
    const both = (ns: Namespace) => void ns.set('x', 'X').set('attr_x', 'ATTR_X');
    const mixedUp = defineClass(roadmapMeta('attr_'), 'User', [], both)['attr_x'];
    const refusal = errorOf(() => defineClass(prefixMeta('attr_'), 'User', [], both));
    story.say('A class that has `x` and `attr_x`: in the roadmap the one takes the name of the other.');
    story.verdict(
      'Whoever asks for attr_x gets x; a collision has to be an error',
      `roadmap: attr_x is "${mixedUp}"; here: ${refusal instanceof PrefixCollisionError ? refusal.name : 'no error'}`,
      mixedUp === 'X' && refusal instanceof PrefixCollisionError,
    );
  });

  await story.scene('Nobody is told of a subclass', async () => {
    const traps: string[] = [];
    const spy = new Proxy(
      {},
      {
        get:
          (_, trap) =>
          (...args: unknown[]) => {
            traps.push(`${String(trap)} ${typeof args[1] === 'string' ? args[1] : ''}`.trim());
            return Reflect.apply(Object(Reflect)[trap], undefined, args);
          },
      },
    );
    const Base = new Proxy(
      class extends Payment {
        pay = () => 'paid';
      },
      spy,
    );
    class Heir extends Base {}
    const seen = traps.splice(0);
    story.verdict(
      'A Proxy that watches everything sees one read, while the subclass is still to come',
      seen.join(', '),
      seen.join() === 'get prototype',
    );
    const Sealed = final()(Heir);
    class Forbidden extends Sealed {}
    const natively = errorOf(() => new Forbidden());
    const byMeta = errorOf(() => defineClass(typeMeta, 'Forbidden', [Sealed], () => {}));
    story.verdict(
      'So `final` speaks at the first `new` of a native subclass, and only defineClass speaks earlier',
      `class Forbidden was made; ${text(natively)}`,
      natively instanceof FinalClassError && byMeta instanceof FinalClassError,
    );
    const hooked = new Registry(Payment);
    const Root = defineClass(registering(hooked), 'Root', [Base], () => {}, { abstract: true });
    class Native extends Root {}
    defineClass(typeMeta, 'Card', [Native], () => {}, { key: 'card' });
    story.verdict(
      'A meta is the hook: of a base, a native subclass and a defined one, the last registers itself',
      hooked.list().join(', '),
      hooked.list().join() === 'card',
    );
  });

  await story.scene('A registry that outlives a watcher', async () => {
    const evaluate = (version: number) => import(new URL(`./test/card.ts?v=${version}`, import.meta.url).href);
    const [first, second] = [await evaluate(1), await evaluate(2)];
    story.say('`static { payments.register("card", import.meta.url)(Card) }` in a module that is evaluated twice.');
    story.verdict(
      'The second evaluation makes another class, and takes the place of the first',
      `${first.Card === second.Card ? 'one class' : 'two classes'}, ${payments.list().length} key`,
      first.Card !== second.Card && payments.get('card') === second.Card && payments.list().length === 1,
    );
    const rival = errorOf(() =>
      payments.register('card')(
        class Rival extends Payment {
          pay() {
            return '';
          }
        },
      ),
    );
    const base = errorOf(() => payments.register('base')(Object(Payment)));
    story.verdict(
      'Another class under the key is refused, and so is the abstract base',
      [rival, base].map((error) => (error instanceof Error ? error.name : 'no error')).join(', '),
      rival !== undefined && base !== undefined,
    );
  });

  await story.scene('One configuration, and when a function will do', async () => {
    let reads = 0;
    class Config {
      readonly read = ++reads;
    }
    const count = (Asked: Class<object, []>) => {
      reads = 0;
      const instances = new Set(Array.from({ length: 100 }, () => new Asked()));
      return { reads, instances: instances.size };
    };
    const naive = count(class extends Config {});
    const again = count(runsAgain()(class extends Config {}));
    const Only = singleton()(Config);
    const once = count(Only);
    const say = ({ reads, instances }: typeof once) => `${reads} × read, ${instances} × in memory`;
    story.table({
      caption: 'A hundred requests want the configuration',
      columns: ['made as', 'measured'],
      rows: [
        ['new, each time', say(naive)],
        ['a constructor that returns the old instance', say(again)],
        ['singleton()', say(once)],
      ],
    });
    class Heir extends Only {}
    const apart = !Object.is(new Heir(), new Only());
    story.verdict(
      'A singleton is constructed once, and a subclass of it is not it',
      `${say(once)}; the subclass is ${apart ? 'another' : 'the same'}`,
      once.reads === 1 && once.instances === 1 && again.reads === 100 && apart,
    );
    let config: Config | undefined;
    const getConfig = () => {
      config ??= new Config();
      return config;
    };
    const rounds = Array.from({ length: 15 }, () => {
      const time = (get: () => object) => {
        const start = performance.now();
        for (let i = 0; i < 20_000; i++) get();
        return performance.now() - start;
      };
      return time(() => new Only()) / time(getConfig);
    });
    const times = rounds.toSorted((a, b) => a - b)[7] ?? 0;
    story.code('demo.ts', { from: 'const getConfig = () =>', to: '};' });
    story.verdict('These four lines do the same, and cost less', `${times.toFixed(1)} × cheaper`, times > 1);
  });
});
