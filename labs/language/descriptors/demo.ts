import { setImmediate as turn } from 'node:timers/promises';
import { tell } from '@shared/story';
import { contest, ratio } from '@shared/testkit';
import { attach, explain, getattr, guarded, lazy, PermissionDeniedError, pyClass, range } from './src/index.ts';
import { ON_AN_INSTANCE } from './test/cpython.ts';
import { type Kind, kindsOf, rowsOf, World } from './test/world.ts';

const TRIES = 1_000;
const ROUNDS = 80;
const options = {
  title: 'Descriptors 描述符',
  subtitle: 'A bank card: who may read the balance, who may write it, and where the answer comes from',
  dir: import.meta.dirname,
};

await tell(options, async (story) => {
  let user: 'owner' | 'guest' = 'guest';
  const isOwner = () => user === 'owner';

  await story.scene('Two lines past the guard', async () => {
    story.say(
      'A card asks who you are, in a getter and a setter. A guest brings a card of his own making, a subclass in two lines: ' +
        '`class Forged extends Card { balance = 1_000_000 }`. A field is **defined** on the instance, and nobody asks the setter.',
    );
    class GetterCard {
      #balance = 10;
      get balance() {
        if (!isOwner()) throw new PermissionDeniedError('Card.balance', 'read');
        return this.#balance;
      }
      set balance(value: number) {
        if (!isOwner()) throw new PermissionDeniedError('Card.balance', 'write');
        this.#balance = value;
      }
    }
    class ForgedGetter extends GetterCard {
      // @ts-expect-error TypeScript sees it where it sees both classes; JavaScript never objects.
      override balance = 1_000_000;
    }
    const Card = pyClass('Card', [], {
      balance: guarded({ read: isOwner, write: isOwner }, range(0, 10_000, { default: 10 })),
    });
    class Forged extends Card {
      override balance = 1_000_000;
    }
    /** How many of the guest's purchases the till accepts. */
    const accepted = (bring: () => { balance: number }) => {
      let sold = 0;
      for (let purchase = 0; purchase < TRIES; purchase++) {
        try {
          if (bring().balance >= 50) sold++;
        } catch (error) {
          if (!(error instanceof PermissionDeniedError)) throw error;
        }
      }
      return sold;
    };
    user = 'guest';
    const [plain, managed] = [accepted(() => new ForgedGetter()), accepted(() => new Forged())];
    story.verdict('A guarded getter is hidden by a field', `${plain} of ${TRIES} purchases accepted`, plain === TRIES);
    story.code('src/py-class.ts', {
      from: 'if (!found) return Reflect.defineProperty',
      to: 'return true',
    });
    story.verdict('A data descriptor answers for every write', `${managed} of ${TRIES} accepted`, managed === 0);
  });

  await story.scene('Where does the answer come from?', async () => {
    story.say(
      'The usual summary: data descriptor, instance, non-data descriptor, class, bases. It forgets that the classes are ' +
        'searched **once**: the first one with the name decides, and a plain value of a subclass hides its base’s descriptor.',
    );
    const Card = pyClass('Card', [], { balance: range(0, 100, { default: 10 }) });
    const Gold = pyClass('Gold', [Card], { balance: 'unlimited' });
    story.table({
      caption: "explain(new Gold(), 'balance')",
      columns: ['place', '', 'why'],
      rows: explain(new Gold(), 'balance').map(({ place, wins, why }) => [place, wins ? 'wins' : '', why]),
    });
    const readable = (kind: Kind) => kind === 'getset' || kind === 'getdelete';
    const summary = (sub: Kind, base: Kind, inst: Kind): string => {
      const classes = [['sub', sub] as const, ['base', base] as const];
      const [data] = classes.filter(([, kind]) => readable(kind));
      if (data) return `${data[0]}.get(o,S)`;
      if (inst !== '-') return 'inst';
      const [nonData] = classes.filter(([, kind]) => kind === 'get');
      if (nonData) return `${nonData[0]}.get(o,S)`;
      return classes.find(([, kind]) => kind !== '-')?.[0] ?? 'AttributeError';
    };
    const cells = rowsOf(ON_AN_INSTANCE).map((row) => {
      const [cell = '', outcome = ''] = row.split(' | ');
      const [sub = '-', base = '-', inst = '-'] = kindsOf(cell);
      const { o } = new World().build('-', sub, base, inst);
      const [cpython = ''] = outcome.split(' ');
      return { cpython, ours: String(getattr(o, 'x', 'AttributeError')), summary: summary(sub, base, inst) };
    });
    const wrong = (how: 'ours' | 'summary') => cells.filter((cell) => cell[how] !== cell.cpython).length;
    story.verdict(
      'The usual summary is not what CPython does',
      `it differs in ${wrong('summary')} of ${cells.length} cases`,
      wrong('summary') > 0,
    );
    story.code('src/lookup.ts', { from: "return { place: 'data descriptor'", to: "return { place: 'class value'" });
    story.verdict('This order is', `it differs in ${wrong('ours')} of ${cells.length}`, wrong('ours') === 0);
  });

  await story.scene('Computed once, by losing on purpose', async () => {
    story.say(
      'A non-data descriptor loses against the instance. `lazy` uses it: it writes its result where the next read looks first.',
    );
    let computed = { getter: 0, lazy: 0 };
    const Card = pyClass('Card', [], { score: lazy(() => ++computed.lazy) });
    class GetterCard {
      get score() {
        return ++computed.getter;
      }
    }
    computed = { getter: 0, lazy: 0 };
    const cards = [new Card(), new GetterCard()];
    for (let read = 0; read < TRIES; read++) for (const card of cards) void card.score;
    story.verdict(
      'A lazy attribute is computed at the first read only',
      `${computed.lazy} of ${TRIES} reads; a getter ${computed.getter}`,
      computed.lazy === 1 && computed.getter === TRIES,
    );
  });

  await story.scene('What a Proxy breaks, and how to keep it whole', async () => {
    class Vault {
      readonly #pin = 4711;
      open() {
        return this.#pin;
      }
    }
    const Card = pyClass('Card', [], {});
    class PinCard extends Card {
      readonly #pin = 4711;
      open() {
        return this.#pin;
      }
    }
    const Remote = pyClass('Remote', [], { __getattr__: (name: string) => () => name });
    const anything = { get: (_: object, name: PropertyKey) => () => name };
    const vault = new Vault();
    const map = new Map([['Ada', 1]]);
    const [seenNaively, seen] = [new WeakMap<object, string>(), new WeakMap<object, string>()];
    seenNaively.set(vault, 'yes');
    const none = {};
    seen.set(attach(vault, none), 'yes');
    const bare = <T extends object>(target: T) => new Proxy(target, {});
    const awaited = async (value: object) => {
      let settled = 'hangs';
      void (async () => value)().then(() => {
        settled = 'works';
      });
      for (let turns = 0; turns < 20; turns++) await turn();
      return settled;
    };
    const attempt = (act: () => unknown) => {
      try {
        return act() === undefined ? 'misses' : 'works';
      } catch (error) {
        return error instanceof Error ? error.name : 'throws';
      }
    };
    const rows: [string, string, string, string][] = [
      [
        '#private field',
        attempt(() => bare(new Vault()).open()),
        attempt(() => new PinCard().open()),
        'base constructor returns it',
      ],
      [
        '… of a foreign class',
        attempt(() => bare(vault).open()),
        attempt(() => attach(vault, none).open()),
        'methods run on the target',
      ],
      [
        'Map',
        attempt(() => bare(map).get('Ada')),
        attempt(() => attach(map, {}).get('Ada')),
        'methods run on the target',
      ],
      [
        'Date',
        attempt(() => bare(new Date()).getTime()),
        attempt(() => attach(new Date(), {}).getTime()),
        'methods run on the target',
      ],
      [
        'WeakMap key',
        attempt(() => seenNaively.get(bare(vault))),
        attempt(() => seen.get(attach(vault, none))),
        'one Proxy per object',
      ],
      ['await', await awaited(new Proxy({}, anything)), await awaited(new Remote()), 'no hook for "then"'],
    ];
    story.table({ columns: ['', 'bare Proxy', 'this lab', 'remedy'], rows });
    const working = (column: 1 | 2) => rows.filter((row) => row[column] === 'works').length;
    story.verdict('A bare Proxy breaks them', `${working(1)} of ${rows.length} work`, working(1) === 0);
    story.verdict('With the remedy they work', `${working(2)} of ${rows.length}`, working(2) === rows.length);
  });

  await story.scene('What it costs', async () => {
    user = 'owner';
    class GetterCard {
      #balance = 1;
      get balance() {
        return this.#balance;
      }
    }
    const Card = pyClass('Card', [], {
      balance: range(0, 10, { default: 1 }),
      guardedBalance: guarded({ read: isOwner }, range(0, 10, { default: 1 })),
    });
    const sixtyFour = <T>(make: () => T) => Array.from({ length: 64 }, make);
    const plainCards = sixtyFour(() => ({ balance: 1 }));
    const getterCards = sixtyFour(() => new GetterCard());
    const proxies = sixtyFour(() => new Proxy({ balance: 1 }, { get: (...args) => Reflect.get(...args) }));
    const managedCards = sixtyFour(() => new Card());
    // Each has a loop of its own, or the engine would prepare one loop for all kinds; and each goes from object to object.
    const runners = {
      'plain property': async () => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) for (const card of plainCards) sum += card.balance;
        return sum;
      },
      getter: async () => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) for (const card of getterCards) sum += card.balance;
        return sum;
      },
      'bare Proxy': async () => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) for (const card of proxies) sum += card.balance;
        return sum;
      },
      descriptor: async () => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) for (const card of managedCards) sum += card.balance;
        return sum;
      },
      'guarded descriptor': async () => {
        let sum = 0;
        for (let round = 0; round < ROUNDS; round++) for (const card of managedCards) sum += card.guardedBalance;
        return sum;
      },
    };
    const standings = await contest(runners, { rounds: 7, turnMs: 40 });
    const [plain, getter, proxy, managed] = standings;
    if (!plain || !getter || !proxy || !managed) throw new Error('a contestant is missing');
    const times = standings.map((standing) => ratio(plain, standing));
    story.bars({
      title: 'Time of a read, as a multiple of a plain one (medians of 7 interleaved rounds)',
      unit: '×',
      picture: true,
      items: standings.map(({ name }, index) => ({
        label: name,
        value: Number((times[index] ?? Number.NaN).toFixed(1)),
        tone: index < 2 ? ('good' as const) : index < 3 ? ('warn' as const) : ('bad' as const),
      })),
    });
    const [slower, slowest] = [ratio(getter, proxy), ratio(getter, managed)];
    story.verdict('A Proxy read costs more than a getter', `${slower.toFixed(1)} × a getter`, slower > 1.5);
    story.verdict('and a full lookup more than that', `${slowest.toFixed(1)} × a getter`, slowest > slower);
    const guard = standings.at(-1)?.perSecond ?? Number.NaN;
    const hundred = (100 * 1e6) / (guard * ROUNDS * managedCards.length);
    story.say(
      `At this rate a hundred guarded reads take ${hundred.toFixed(0)} µs: little in a request. In an inner loop, read it into a variable first.`,
    );
  });
  story.next([
    '`pnpm lab learn descriptors` to build it yourself',
    '`pnpm lab bench descriptors` against MobX, Vue and immer',
  ]);
});
