import { execFile } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Story, tell } from '@shared/story';
import { transform } from 'esbuild';
import { type Principal, runAs, standard } from '#lab';
import { standard as notAwaited } from './pitfalls/guard-not-awaited.ts';
import { standard as withoutAwait } from './pitfalls/retry-without-await.ts';
import { standard as sharedCache } from './pitfalls/shared-cache.ts';
import type { Delivered } from './test/delivered.ts';
import { standardDelivery } from './test/standard/delivery.ts';

const options = {
  title: 'Decorators 装饰器',
  subtitle: 'A food delivery: who may read the address, which method serves which path, and in which order',
  dir: import.meta.dirname,
};
const rider: Principal = { name: 'Rui', can: (permission) => permission === 'rider' };

const places: readonly (readonly [what: string, code: string])[] = [
  ['a method', 'class A { @d m() {} }'],
  ['a static method', 'class A { @d static m() {} }'],
  ['a #private method', 'class A { @d #m() {} }'],
  ['a field', 'class A { @d f = 1 }'],
  ['a parameter', 'class A { m(@d a) {} }'],
  ['a class expression', 'const A = class { @d m() {} }'],
];

/** No loader lowers both dialects: the legacy one runs in a process of its own. */
async function legacyDelivery(signal: AbortSignal): Promise<Delivered> {
  const args = ['--import', import.meta.resolve('@oxc-node/core/register'), 'test/legacy/delivery.ts'];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: import.meta.dirname, signal });
  return JSON.parse(stdout);
}

await tell(options, async (story) => {
  const legacyRun = legacyDelivery(story.signal);
  legacyRun.catch(() => {});
  const here = await standardDelivery();
  const there = await legacyRun;

  await story.scene('The right decorators, in the wrong order', async () => {
    story.say(
      'Only a rider may read the address of an order. Reading it is slow, so it is cached. A rider reads the address of ' +
        'order 7, then a guest asks for it.',
    );
    story.code('test/standard/delivery.ts', { from: 'A hit never reaches', to: 'cacheAbove' });
    const leaks = (which: keyof Delivered['leaks']) => here.leaks[which] + there.leaks[which];
    story.verdict(
      'A cache above the guard hands the address to a guest, in both dialects',
      `${here.leaks.cacheAbove} of 1 in the standard dialect, ${there.leaks.cacheAbove} of 1 in the legacy`,
      leaks('cacheAbove') === 2,
    );
    story.verdict('With the two lines swapped it does not', `${leaks('guardAbove')} of 2`, leaks('guardAbove') === 0);
  });

  await story.scene('Down the stack to evaluate, up to apply, down again at each call', onion(story));

  await story.scene('From a decorator to an HTTP server', async () => {
    story.say(
      '`@route` only takes a note. `buildRouter` reads the notes of the instances, guards what `@requires` noted anywhere up the class, and `serve` asks the router.',
    );
    story.code('src/standard/route.ts', { from: 'const checked = guarded(', to: 'router.add(' });
    const requests = Object.keys(here.statuses);
    const status = (delivered: Delivered, request: string) => delivered.statuses[request] ?? Number.NaN;
    story.table({
      columns: ['request', 'standard', 'legacy'],
      rows: requests.map((request) => [request, status(here, request), status(there, request)]),
    });
    const routes = here.routes + there.routes;
    const served = here.served + there.served;
    story.verdict('Every decorated route answers', `${served} of ${routes}`, served === routes && routes > 0);
    const same = requests.every((request) => status(here, request) === status(there, request));
    const codes = [...new Set(Object.values(here.statuses))].sort().join(', ');
    story.verdict(
      'Unknown, wrong verb, nobody and not allowed are told apart, alike in both',
      codes,
      same && codes === '200, 400, 401, 403, 404, 405',
    );
  });

  await story.scene('The two dialects, side by side', async () => {
    const rows = await Promise.all(
      places.map(async ([what, code]) => [what, await lowers(code, false), await lowers(code, true)]),
    );
    const yes = (holds: boolean) => (holds ? 'yes' : '–');
    story.table({
      caption: 'What a decorator may stand on, and what it learns there',
      columns: ['', 'standard', 'legacy'],
      rows: [
        ...rows.map(([what = '', inStandard, inLegacy]) => [
          String(what),
          yes(inStandard === true),
          yes(inLegacy === true),
        ]),
        ['the order number in the handler', here.idType, there.idType],
        ['guards an override that forgot', yes(here.leaks.override === 0), yes(there.leaks.override === 0)],
      ],
    });
    const only = (dialect: 1 | 2) =>
      rows.filter((row) => row[dialect] === true && row[3 - dialect] === false).map(([what]) => what);
    const [standardOnly, legacyOnly] = [only(1).join(', '), only(2).join(', ')];
    story.verdict(
      'Each has places that the other has not',
      `standard alone: ${standardOnly}; legacy alone: ${legacyOnly}`,
      standardOnly.includes('#private') && legacyOnly === 'a parameter',
    );
    story.verdict(
      'Legacy decorators know the types (`design:paramtypes`), standard ones do not',
      `GET /orders/7 has a ${there.idType} in one, a ${here.idType} in the other`,
      there.idType === 'number' && here.idType === 'string',
    );
    story.verdict(
      'Standard decorators see each instance being made, so an override that forgot its guard is guarded',
      `a guest read ${here.leaks.override} of 1; in the legacy dialect ${there.leaks.override} of 1`,
      here.leaks.override === 0 && there.leaks.override === 1,
    );
    story.verdict(
      'Legacy ones can only refuse it, when the routes are built',
      there.refusal ?? 'not refused',
      there.refusal !== undefined,
    );
  });

  await story.scene('The ones that everybody copies, and how they are copied wrong', async () => {
    const rows = await Promise.all([customers(), couriers(), doorman()]);
    story.table({
      columns: ['decorator', 'asked of it', 'copied wrong', 'here'],
      rows: rows.map(({ decorator, asked, wrong, right }) => [decorator, asked, wrong, right]),
    });
    for (const { claim, wrong, right, holds } of rows) story.verdict(claim, `${wrong} against ${right}`, holds);
  });
});

/** One call through a stack of decorators, each layer's time measured by `@timed` itself. */
function onion(story: Story) {
  return async () => {
    const order: string[] = [];
    const spans: { layer: string; from: number; to: number; ok: boolean }[] = [];
    const layers = ['@timeout(2_000)', '@retry', "@requires('rider')", 'the method'] as const;
    const layer = (name: (typeof layers)[number]) => {
      order.push(`evaluate ${name}`);
      const probe = standard.timed(({ ms: took, ok }) => {
        const to = performance.now();
        spans.push({ layer: name, from: to - took, to, ok });
      });
      return <M extends () => Promise<string>>(method: M, context: ClassMethodDecoratorContext): M => {
        order.push(`apply ${name}`);
        return probe(method, context);
      };
    };
    let rings = 0;
    class Courier {
      @layer('@timeout(2_000)')
      @standard.timeout(2_000)
      @layer('@retry')
      @standard.retry({ attempts: 4, delayMs: 40, jitter: 0 })
      @layer("@requires('rider')")
      @standard.requires('rider')
      @layer('the method')
      async ring() {
        await delay(25);
        if (++rings < 3) throw new Error('nobody opens');
        return `opened at ring ${rings}`;
      }
    }
    const courier = new Courier();
    story.say('A courier rings: at most 2 s, up to four times, only as a rider. Nobody opens at the first two rings.');
    const start = performance.now();
    const answer = await runAs(rider, () => courier.ring());
    const down = layers.map((name) => `evaluate ${name}`);
    const up = layers.toReversed().map((name) => `apply ${name}`);
    story.verdict(
      'The expressions are evaluated from the top down, the decorators applied from the bottom up',
      `${order.length} steps, ${order.join() === [...down, ...up].join() ? 'in this order' : order.join(', ')}`,
      order.join() === [...down, ...up].join(),
    );
    story.timeline({
      title: 'One call, through the layers that @timed saw',
      unit: 'ms',
      lanes: layers.map((name) => ({
        label: name,
        spans: spans
          .filter((span) => span.layer === name)
          .sort((a, b) => a.from - b.from)
          .map(({ from, to, ok }) => ({ from: from - start, to: to - start, tone: ok ? 'good' : 'bad' })),
      })),
      picture: true,
    });
    const count = (name: string) => spans.filter((span) => span.layer === name).length;
    const counts = layers.map((name) => `${name} ${count(name)}`).join(', ');
    const claim = 'What stands above the retry runs once, what stands below it once for each attempt';
    story.verdict(claim, `${counts}; ${answer}`, layers.map(count).join() === '1,1,3,3');
  };
}

/** Can the compiler lower this in the dialect? */
async function lowers(code: string, experimentalDecorators: boolean): Promise<boolean> {
  const tsconfigRaw = { compilerOptions: { experimentalDecorators } };
  return transform(code, { loader: 'ts', target: 'node24', tsconfigRaw, logLevel: 'silent' }).then(
    () => true,
    () => false,
  );
}

/** Two kitchens, each with a cache of its own; or not. */
async function customers() {
  const mixedUp = async ({ cached }: Pick<typeof standard, 'cached'>) => {
    class Kitchen {
      readonly city: string;
      constructor(city: string) {
        this.city = city;
      }
      @cached({ ttlMs: 60_000, max: 100 }) async menu() {
        return `menu of ${this.city}`;
      }
    }
    const kitchens = ['Rome', 'Oslo', 'Lima', 'Kyoto'].map((city) => new Kitchen(city));
    const menus = await Promise.all(
      kitchens.map(async (kitchen) => (await kitchen.menu()) === `menu of ${kitchen.city}`),
    );
    return menus.filter((own) => !own).length;
  };
  const [wrong, right] = [await mixedUp(sharedCache), await mixedUp(standard)];
  return {
    ...{
      decorator: '@cached',
      asked: 'the menus of 4 kitchens',
      wrong: `${wrong} of another`,
      right: `${right} of another`,
    },
    ...{
      claim: 'A cache made when the class is defined is one for all its instances',
      holds: wrong === 3 && right === 0,
    },
  };
}

/** Twenty deliveries; nobody opens at the first ring. */
async function couriers() {
  const delivered = async ({ retry }: Pick<typeof standard, 'retry'>) => {
    class Courier {
      rings = 0;
      @retry({ attempts: 3, delayMs: 1 }) async deliver() {
        await delay(1);
        if (++this.rings < 2) throw new Error('nobody opens');
      }
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => new Courier().deliver()));
    return outcomes.filter(({ status }) => status === 'fulfilled').length;
  };
  const [wrong, right] = [await delivered(withoutAwait), await delivered(standard)];
  return {
    ...{
      decorator: '@retry',
      asked: '20 orders, 2nd ring opens',
      wrong: `${wrong} delivered`,
      right: `${right} delivered`,
    },
    ...{ claim: '`return` for `return await` never tries again', holds: wrong === 0 && right === 20 },
  };
}

/** Twenty guests, and a principal whose answer takes a moment. */
async function doorman() {
  const entered = async ({ requires }: Pick<typeof standard, 'requires'>) => {
    class House {
      @requires('rider') async enter() {
        return 'inside';
      }
    }
    const guest: Principal = { name: 'Gus', can: () => delay(1, false) };
    const house = new House();
    const enter = () => runAs(guest, () => house.enter());
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, enter));
    return outcomes.filter(({ status }) => status === 'fulfilled').length;
  };
  const [wrong, right] = [await entered(notAwaited), await entered(standard)];
  return {
    ...{ decorator: '@requires', asked: '20 guests, async check', wrong: `${wrong} let in`, right: `${right} let in` },
    ...{ claim: 'A check that nobody awaits lets everybody in', holds: wrong === 20 && right === 0 },
  };
}
