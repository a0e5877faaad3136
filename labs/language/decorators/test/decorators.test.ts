import { setImmediate as turn } from 'node:timers/promises';
import { History, ManualClock, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import {
  type AnyMethod,
  BadRequestError,
  currentPrincipal,
  currentSignal,
  ForbiddenError,
  HttpError,
  MisuseError,
  type Principal,
  RouteConflictError,
  type RouteRequest,
  runAs,
  standard,
  TimeoutError,
  type Timing,
  UnauthenticatedError,
} from '#lab';

const { buildRouter, cached, compose, requires, retry, route, timed, timeout } = standard;
const HOUR = 3_600_000;
const ALWAYS = { ttlMs: HOUR, max: 100 };

const somebody = (name: string, ...permissions: readonly string[]): Principal => ({
  name,
  can: (permission) => permissions.includes(permission),
});
const rider = somebody('Rui', 'rider');
const guest = somebody('Gus');

describe('decorators', () => {
  // ── what a decorator is ───────────────────────────────────────────────────────────────────────────────────────────

  test('decorators are evaluated from the top down and applied from the bottom up', () => {
    const history = new History<string>();
    const mark = (name: string) => {
      history.record(`evaluate ${name}`);
      return <M>(method: M, _context: ClassMethodDecoratorContext): M => {
        history.record(`apply ${name}`);
        return method;
      };
    };
    class Kitchen {
      @mark('A')
      @compose(mark('B'), mark('C'))
      @mark('D')
      cook() {
        return 'rice';
      }
    }
    expect(new Kitchen().cook()).toBe('rice');
    const order = ['evaluate A', 'evaluate B', 'evaluate C', 'evaluate D', 'apply D', 'apply C', 'apply B', 'apply A'];
    expect(history.ops).toEqual(order);
  });

  test('a decorated method keeps this, its name and its length', async () => {
    class Kitchen {
      readonly dish = 'rice';
      @timed(() => {}) served(guest: string, table: number) {
        return `${this.dish} for ${guest} at ${table}`;
      }
      @cached(ALWAYS) cooked(times: number) {
        return this.dish.repeat(times);
      }
      @retry({ attempts: 2, delayMs: 0 }) async fetched(_from: string) {
        return this.dish;
      }
      @timeout(HOUR) async delivered(_to: string, _by: number) {
        return this.dish;
      }
      @requires() wrapped(paper: string) {
        return `${this.dish} in ${paper}`;
      }
    }
    const kitchen = new Kitchen();
    expect(kitchen.served('Ann', 4)).toBe('rice for Ann at 4');
    expect(kitchen.cooked(2)).toBe('ricerice');
    expect(await kitchen.fetched('market')).toBe('rice');
    expect(await kitchen.delivered('Ann', 3)).toBe('rice');
    expect(runAs(guest, () => kitchen.wrapped('foil'))).toBe('rice in foil');
    const { served, cooked, fetched, delivered, wrapped } = Kitchen.prototype;
    const shapes = [served, cooked, fetched, delivered, wrapped].map(({ name, length }) => [name, length]);
    expect(shapes).toEqual([
      ['served', 2],
      ['cooked', 1],
      ['fetched', 1],
      ['delivered', 2],
      ['wrapped', 1],
    ]);
  });

  test('compose keeps what a decorator stands on where that returns nothing', () => {
    const seen: unknown[] = [];
    const noted = (method: AnyMethod, { name }: ClassMethodDecoratorContext) => void seen.push([name, typeof method]);
    class Kitchen {
      @compose(noted, requires('rider'), noted) cook() {
        return 'rice';
      }
    }
    expect(() => new Kitchen().cook(), 'the guard below it').toThrow(UnauthenticatedError);
    expect(runAs(rider, () => new Kitchen().cook())).toBe('rice');
    expect(seen).toEqual([
      ['cook', 'function'],
      ['cook', 'function'],
    ]);
  });

  test('a sync method stays sync, and what it throws is thrown', () => {
    class Kitchen {
      @timed(() => {})
      @cached(ALWAYS)
      @requires('rider')
      burn(dish: string) {
        if (dish === 'rice') throw new RangeError('burnt');
        return `charred ${dish}`;
      }
    }
    const kitchen = new Kitchen();
    runAs(rider, () => {
      expect(kitchen.burn('peas')).toBe('charred peas');
      expect(() => kitchen.burn('rice')).toThrow(RangeError);
    });
  });

  test('static, private, accessor, getter and setter members are decorated like any other', () => {
    const names: string[] = [];
    const watch = timed(({ name }) => names.push(name));
    class Till {
      #cents = 5;
      @watch static open() {
        return new Till();
      }
      @watch #count() {
        return this.#cents;
      }
      @watch accessor owner = 'Ann';
      @watch get total() {
        return this.#count();
      }
      @watch set total(cents: number) {
        this.#cents = cents;
      }
    }
    const till = Till.open();
    till.total = 7;
    expect(till.total).toBe(7);
    till.owner = 'Bo';
    expect(till.owner).toBe('Bo');
    expect(names).toEqual(['open', 'total', '#count', 'total', 'owner', 'owner']);
  });

  test('a decorator in the wrong place is refused while the class is defined', () => {
    const onField = () =>
      class {
        // @ts-expect-error a field is no method
        @cached(ALWAYS) dish = 'rice';
      };
    const onClass = () => {
      // @ts-expect-error a class is no method
      @requires('rider')
      class Kitchen {}
      return Kitchen;
    };
    const onSetter = () =>
      class {
        // @ts-expect-error a setter has nothing to remember
        @cached(ALWAYS) set dish(_name: string) {}
      };
    const onStatic = () =>
      class {
        readonly dish = 'rice';
        @route('GET', '/') static list() {}
      };
    const onPrivate = () =>
      class {
        @route('GET', '/') #list() {}
        readonly call = () => this.#list();
      };
    const onSync = () =>
      class {
        // @ts-expect-error a sync method cannot wait
        @retry({ attempts: 2, delayMs: 1 }) *dishes() {
          yield 'rice';
        }
      };
    const onGenerator = () =>
      class {
        @cached(ALWAYS) *dishes() {
          yield 'rice';
        }
      };
    const composed = () =>
      class {
        // @ts-expect-error what one of them refuses, all do: here @retry a sync method, whatever @requires takes
        @compose(retry({ attempts: 2, delayMs: 1 }), requires('rider')) *dishes() {
          yield 'rice';
        }
        // @ts-expect-error and @route one that takes no request
        @compose(route('GET', '/:id'), requires('rider')) one(id: number) {
          return id;
        }
      };
    for (const define of [onField, onClass, onSetter, onStatic, onPrivate, onSync, onGenerator, composed]) {
      expect(define, String(define)).toThrow(MisuseError);
    }
  });

  test('options that make no sense are refused while the class is defined', () => {
    const bad: [string, () => unknown][] = [
      ['no attempt', () => retry({ attempts: 0, delayMs: 1 })],
      ['half an attempt', () => retry({ attempts: 1.5, delayMs: 1 })],
      ['a wait that is not a number', () => retry({ attempts: 2, delayMs: Number.NaN })],
      ['a jitter above 1', () => retry({ attempts: 2, delayMs: 1, jitter: 2 })],
      ['a cache of nothing', () => cached({ ttlMs: 1, max: 0 })],
      ['a cache of one and a half', () => cached({ ttlMs: 1, max: 1.5 })],
      ['a cache for no time', () => cached({ ttlMs: 0, max: 1 })],
      ['a timeout of 0', () => timeout(0)],
      ['a timeout beyond any timer', () => timeout(2 ** 31)],
      ['an empty permission', () => requires('')],
      ['a path without a slash', () => route('GET', 'orders')],
      ['a parameter without a name', () => route('GET', '/orders/:')],
      ['a parameter twice', () => route('GET', '/:id/:id')],
      ['an encoded path', () => route('GET', '/caf%C3%A9')],
      ['a controller without routes', () => buildRouter({})],
    ];
    for (const [what, define] of bad) expect(define, what).toThrow(MisuseError);
  });

  // ── timed ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('a call is timed until it has settled, and a failure is told as one', async () => {
    const seen: Timing[] = [];
    const oven = Promise.withResolvers<string>();
    class Kitchen {
      @timed((timing) => seen.push(timing)) async bake() {
        return oven.promise;
      }
      @timed((timing) => seen.push(timing)) spill() {
        throw new Error('spilt');
      }
      @timed((timing) => seen.push(timing)) slice() {
        return 'slice';
      }
      @timed((timing) => seen.push(timing)) look(): unknown {
        // biome-ignore lint/suspicious/noThenProperty: a thenable whose `then` answers nothing
        return { then: (resolve: (look: string) => void) => void resolve('done') };
      }
    }
    const [kitchen, start] = [new Kitchen(), performance.now()];
    const baking = kitchen.bake();
    await turn();
    expect(seen, 'while it bakes').toEqual([]);
    oven.resolve('bread');
    expect(await baking).toBe('bread');
    expect(() => kitchen.spill()).toThrow('spilt');
    expect(kitchen.slice()).toBe('slice');
    oven.promise = Promise.reject(new Error('burnt'));
    await expect(kitchen.bake()).rejects.toThrow('burnt');
    expect(await kitchen.look(), 'all that `await` takes is waited for').toBe('done');
    expect(seen.map(({ name, ok }) => [name, ok])).toEqual([
      ['bake', true],
      ['spill', false],
      ['slice', true],
      ['bake', false],
      ['look', true],
    ]);
    expect(seen.every(({ ms }) => ms >= 0 && ms <= performance.now() - start)).toBe(true);
  });

  test('a generator is timed until its end', async () => {
    const seen: Timing[] = [];
    class Kitchen {
      @timed((timing) => seen.push(timing)) async *courses() {
        yield 'soup';
        yield 'rice';
      }
      @timed((timing) => seen.push(timing)) async *orders() {
        yield 'rice';
        throw new Error('none left');
      }
      @timed((timing) => seen.push(timing)) *plates() {
        yield 'deep';
        throw new Error('none left');
      }
      @timed((timing) => seen.push(timing)) *cups() {
        yield 'tea';
        return 'washed';
      }
    }
    const courses = new Kitchen().courses();
    expect(await courses.next()).toEqual({ value: 'soup', done: false });
    expect(seen, 'after the first course').toEqual([]);
    expect(await Array.fromAsync(courses)).toEqual(['rice']);
    expect(() => [...new Kitchen().plates()]).toThrow('none left');
    const cups = new Kitchen().cups();
    expect([cups.next(), cups.next()].map(({ value }) => value)).toEqual(['tea', 'washed']);
    await expect(Array.fromAsync(new Kitchen().orders())).rejects.toThrow('none left');
    for await (const _ of new Kitchen().courses()) break;
    expect(seen.map(({ name, ok }) => [name, ok])).toEqual([
      ['courses', true],
      ['plates', false],
      ['cups', true],
      ['orders', false],
      ['courses', true],
    ]);
  });

  test('a sink that throws changes no result', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    class Kitchen {
      @timed(() => {
        throw new Error('disk full');
      })
      async cook() {
        return 'rice';
      }
      @timed(async () => {
        throw new Error('disk slow');
      })
      slice() {
        return 'slice';
      }
      @timed(() => {
        throw Symbol('disk gone');
      })
      serve() {
        return 'plate';
      }
    }
    onTestFinished(() => warned.mockRestore());
    const kitchen = new Kitchen();
    expect([await kitchen.cook(), kitchen.slice(), kitchen.serve()]).toEqual(['rice', 'slice', 'plate']);
    await until(() => warned.mock.calls.length === 3);
    for (const what of ['disk full', 'disk slow', 'disk gone']) expect(warned.mock.calls.join()).toContain(what);
  });

  // ── cached ────────────────────────────────────────────────────────────────────────────────────────────────────────

  test('each instance has a cache of its own', () => {
    class Kitchen {
      calls = 0;
      readonly city: string;
      constructor(city: string) {
        this.city = city;
      }
      @cached(ALWAYS) price(dish: string) {
        this.calls++;
        return `${dish} in ${this.city}`;
      }
      @cached(ALWAYS) get menu() {
        return [this.city];
      }
      @cached(ALWAYS) static cities(country: string) {
        return [country];
      }
    }
    const [rome, oslo] = [new Kitchen('Rome'), new Kitchen('Oslo')];
    expect([rome.price('rice'), oslo.price('rice'), rome.price('rice')]).toEqual([
      'rice in Rome',
      'rice in Oslo',
      'rice in Rome',
    ]);
    expect([rome.calls, oslo.calls]).toEqual([1, 1]);
    expect(rome.menu).toBe(rome.menu);
    expect(oslo.menu).toEqual(['Oslo']);
    expect(Kitchen.cities('Italy')).toBe(Kitchen.cities('Italy'));
    const { cities } = Kitchen;
    expect(cities('Italy'), 'detached, there is nobody to keep it for').not.toBe(cities('Italy'));
  });

  test('calls are the same when their arguments are, type and place included', () => {
    const body = vi.fn((...args: unknown[]) => args.length);
    class Kitchen {
      @cached(ALWAYS) cook(...args: unknown[]) {
        return body(...args);
      }
      @cached({ ...ALWAYS, key: (dish) => JSON.stringify(dish) }) plate(dish: object) {
        return body(dish);
      }
    }
    const kitchen = new Kitchen();
    const calls = [
      [1],
      ['1'],
      [null],
      ['null'],
      [undefined],
      [],
      [1n],
      [true],
      ['a', 'b'],
      ['a,b'],
      ['a;b', 'c'],
      ['a', 'b;c'],
    ];
    for (const args of calls)
      for (const again of [1, 2]) expect(kitchen.cook(...args), `call ${again}`).toBe(args.length);
    expect(body.mock.calls).toEqual(calls);
    expect(() => kitchen.cook({ dish: 'rice' }), 'an object, and no key').toThrow(MisuseError);
    kitchen.plate({ dish: 'rice' });
    kitchen.plate({ dish: 'rice' });
    expect(body).toHaveBeenCalledTimes(calls.length + 1);
  });

  test('who asks while the first call is on its way shares it', async () => {
    const clock = new ManualClock();
    const oven = Promise.withResolvers<string>();
    const bake = vi.fn(() => oven.promise);
    class Kitchen {
      @cached({ ttlMs: 100, max: 10, clock }) async bread() {
        return bake();
      }
    }
    const kitchen = new Kitchen();
    const first = kitchen.bread();
    await clock.advance(1_000);
    const second = kitchen.bread();
    oven.resolve('warm');
    expect(await Promise.all([first, second])).toEqual(['warm', 'warm']);
    expect(bake, 'however long it takes').toHaveBeenCalledTimes(1);
    await clock.advance(99);
    await kitchen.bread();
    expect(bake, 'its time runs from when it was there').toHaveBeenCalledTimes(1);
    await clock.advance(1);
    await kitchen.bread();
    expect(bake, 'after its time').toHaveBeenCalledTimes(2);
    class Shelf {
      @cached({ ttlMs: 100, max: 10, clock }) loaves() {
        return [clock.mono()];
      }
    }
    const shelf = new Shelf();
    const loaves = shelf.loaves();
    await clock.advance(99);
    expect(shelf.loaves()).toBe(loaves);
    await clock.advance(1);
    expect(shelf.loaves(), 'a sync result after its time').not.toBe(loaves);

    const cook = Promise.withResolvers<string>();
    class Stove {
      @timeout(5) async hasty() {
        return this.soup();
      }
      @cached({ ttlMs: 100, max: 10 }) async soup() {
        const signal = currentSignal();
        signal?.addEventListener('abort', () => cook.reject(signal.reason));
        return cook.promise;
      }
    }
    const stove = new Stove();
    const [hasty, patient] = [stove.hasty(), stove.soup()];
    await expect(hasty).rejects.toThrow(TimeoutError);
    cook.resolve('hot');
    expect(await patient, 'who was first has given up').toBe('hot');
  });

  test('a query that runs anew for each await is run once, and its result is kept', async () => {
    let runs = 0;
    // biome-ignore lint/suspicious/noThenProperty: as the queries of Kysely, Knex and Mongoose have it
    const query = () => ({ then: (give: (rows: number) => void) => void Promise.resolve(++runs).then(give) });
    class Menu {
      @cached(ALWAYS) dishes() {
        return query();
      }
    }
    const menu = new Menu();
    expect([await menu.dishes(), await menu.dishes(), runs]).toEqual([1, 1, 1]);

    // biome-ignore lint/suspicious/noThenProperty: sent when it is awaited, as Supabase's is
    const sent = { then: (give: (limit: unknown) => void) => give(currentSignal()) };
    class Page {
      @cached(ALWAYS) dishes() {
        return sent;
      }
      @timeout(HOUR) async hasty() {
        return this.dishes();
      }
    }
    expect(await new Page().hasty(), 'aborted by nobody: others wait for it, too').toBe(undefined);
  });

  test('what throws or rejects is not remembered', async () => {
    let calls = 0;
    class Kitchen {
      @cached(ALWAYS) async bake() {
        if (++calls === 1) throw new Error('oven cold');
        return 'bread';
      }
      @cached(ALWAYS) slice() {
        if (++calls === 3) throw new Error('knife blunt');
        return 'slice';
      }
    }
    const kitchen = new Kitchen();
    await expect(kitchen.bake()).rejects.toThrow('oven cold');
    expect(await kitchen.bake()).toBe('bread');
    expect(() => kitchen.slice()).toThrow('knife blunt');
    expect(kitchen.slice()).toBe('slice');
  });

  test('a full cache drops what was not used for longest', () => {
    const body = vi.fn((dish: string) => dish);
    class Kitchen {
      @cached({ ttlMs: HOUR, max: 2 }) cook(dish: string) {
        return body(dish);
      }
    }
    const kitchen = new Kitchen();
    for (const dish of ['rice', 'peas', 'rice', 'soup', 'rice', 'peas']) kitchen.cook(dish);
    expect(body.mock.calls.flat()).toEqual(['rice', 'peas', 'soup', 'peas']);
  });

  test('a call that fails after it was dropped takes no newer one with it', async () => {
    const ovens = Array.from({ length: 3 }, () => Promise.withResolvers<string>());
    let calls = 0;
    class Kitchen {
      @cached({ ttlMs: HOUR, max: 1 }) async bake(_dish: string) {
        return ovens[calls++]?.promise;
      }
    }
    const kitchen = new Kitchen();
    const [first, other, second] = [kitchen.bake('bread'), kitchen.bake('pie'), kitchen.bake('bread')];
    for (const [index, oven] of ovens.entries()) index === 0 ? oven.reject(new Error('burnt')) : oven.resolve('warm');
    await expect(first).rejects.toThrow('burnt');
    expect(await Promise.all([other, second, kitchen.bake('bread')])).toEqual(['warm', 'warm', 'warm']);
    expect(calls).toBe(3);
  });

  // ── retry, timeout ────────────────────────────────────────────────────────────────────────────────────────────────

  test('attempts counts the calls, the first included', async () => {
    const clock = new ManualClock();
    let calls = 0;
    class Courier {
      @retry({ attempts: 3, delayMs: 100, jitter: 0, clock }) async ring(opensAt: number) {
        if (++calls < opensAt) throw new Error(`nobody at ring ${calls}`);
        return `opened at ring ${calls}`;
      }
    }
    const waited = async (call: Promise<string>) => {
      const from = clock.mono();
      const outcome = call.catch((error: unknown) => error).then((value) => ({ value, ms: clock.mono() - from }));
      await clock.advance(1_000);
      return outcome;
    };
    const courier = new Courier();
    expect(await waited(courier.ring(3))).toEqual({ value: 'opened at ring 3', ms: 300 });
    calls = 0;
    expect(await waited(courier.ring(4))).toEqual({ value: new Error('nobody at ring 3'), ms: 300 });
    expect(calls).toBe(3);
    const waits: number[] = [];
    class Tireless {
      @retry({ attempts: 1_100, delayMs: 0, clock: { sleep: async (ms) => void waits.push(ms) } }) async ring() {
        throw new Error('nobody');
      }
    }
    await expect(new Tireless().ring()).rejects.toThrow('nobody');
    expect(new Set(waits), 'however often it was doubled').toEqual(new Set([0]));
    waits.length = 0;
    class Restless {
      @retry({ attempts: 99, delayMs: 30_000, clock: { sleep: async (ms) => void waits.push(ms) } }) async ring() {
        throw new Error('nobody');
      }
    }
    await expect(new Restless().ring()).rejects.toThrow('nobody');
    expect(Math.min(...waits) >= 15_000 && Math.max(...waits) <= 30_000, 'half of a wait is random').toBe(true);
    expect(new Set(waits).size).toBeGreaterThan(1);
  });

  test('an error that is not worth it is thrown once, untouched', async () => {
    const closed = new TypeError('closed for ever');
    const call = vi.fn();
    class Courier {
      @retry({ attempts: 5, delayMs: 0, retryOn: (error) => !(error instanceof TypeError) }) async ring() {
        call();
        throw closed;
      }
      @retry({ attempts: 5, delayMs: 0 })
      @requires('rider')
      async enter() {
        call();
      }
    }
    const thrown = await new Courier().ring().catch((error: unknown) => error);
    expect(thrown).toBe(closed);
    expect(call).toHaveBeenCalledTimes(1);
    const can = vi.fn(() => false);
    await expect(runAs({ name: 'Gus', can }, () => new Courier().enter())).rejects.toThrow(ForbiddenError);
    expect(can, 'a refusal is final').toHaveBeenCalledTimes(1);
    class Kitchen {
      tries = 0;
      @retry({ attempts: 2, delayMs: 0 }) async fails(status: number) {
        this.tries += 1;
        throw new HttpError(status, 'no', 'no');
      }
    }
    for (const [status, tries] of [
      [499, 1],
      [500, 2],
    ] as const) {
      const kitchen = new Kitchen();
      await expect(kitchen.fails(status)).rejects.toThrow(HttpError);
      expect(kitchen.tries, `tries after ${status}`).toBe(tries);
    }
  });

  test('an abort ends the wait with its reason', async () => {
    const stop = new AbortController();
    const call = vi.fn();
    class Courier {
      @retry({ attempts: 9, delayMs: HOUR, signal: stop.signal }) async ring() {
        call();
        throw new Error('nobody');
      }
    }
    const ringing = new Courier().ring();
    ringing.catch(() => {});
    await until(() => call.mock.calls.length === 1);
    await turn();
    stop.abort(new Error('shift is over'));
    await expect(ringing).rejects.toThrow('shift is over');
    await expect(new Courier().ring()).rejects.toThrow('shift is over');
    expect(call).toHaveBeenCalledTimes(1);
  });

  test('a method that takes too long is given up, and hears of it', async () => {
    const heard: unknown[] = [];
    class Courier {
      @timeout(20) async drive() {
        const signal = currentSignal();
        signal?.addEventListener('abort', () => heard.push(signal.reason));
        await until(() => signal?.aborted);
        throw new Error('too late for anybody');
      }
      @timeout(HOUR) async walk() {
        return currentSignal()?.aborted;
      }
      @timeout(HOUR) look(): Promise<boolean | undefined> {
        return Object.assign(Promise.resolve(undefined), {
          // biome-ignore lint/suspicious/noThenProperty: sent when it is awaited, as the queries of Knex are
          then: (give: (aborted: boolean | undefined) => void) => give(currentSignal()?.aborted),
        });
      }
    }
    await expect(new Courier().drive()).rejects.toThrow(TimeoutError);
    expect(heard).toEqual([expect.any(TimeoutError)]);
    expect(await new Courier().walk()).toBe(false);
    expect(await new Courier().look(), 'what begins when it is awaited').toBe(false);
    expect(currentSignal()).toBe(undefined);
    const [unloaded, refused] = [vi.fn(), vi.fn()];
    class Van {
      @timeout(20) async deliver() {
        const signal = currentSignal();
        await until(() => signal?.aborted);
        await this.unload().catch(refused);
      }
      @timeout(HOUR) async unload() {
        unloaded();
      }
      @timeout(20) async carry() {
        return this.lift();
      }
      @timeout(HOUR) async lift() {
        const signal = currentSignal();
        await until(() => signal?.aborted);
        heard.push(signal?.reason);
      }
    }
    await expect(new Van().carry()).rejects.toThrow('carry was not done');
    await until(() => heard.length === 2);
    expect(heard[1], 'the one further out gave up').toBeInstanceOf(TimeoutError);
    await expect(new Van().deliver()).rejects.toThrow(TimeoutError);
    await until(() => refused.mock.calls.length === 1);
    expect(unloaded, 'nothing begins when nobody waits for it any more').not.toHaveBeenCalled();
  });

  test('a timeout around a retry ends its waits', async () => {
    const call = vi.fn();
    class Courier {
      @timeout(30)
      @retry({ attempts: 9, delayMs: HOUR })
      async ring() {
        call();
        throw new Error('nobody');
      }
    }
    await expect(new Courier().ring()).rejects.toThrow(TimeoutError);
    expect(call).toHaveBeenCalledTimes(1);
  });

  // ── requires ──────────────────────────────────────────────────────────────────────────────────────────────────────

  test('nobody, and nobody without the permission, gets past a guard', async () => {
    const body = vi.fn();
    class Orders {
      @requires() mine() {
        body();
      }
      @requires('rider', 'city:rome') async address() {
        body();
      }
      @requires('rider') accessor tip = 0;
    }
    const orders = new Orders();
    expect(() => orders.mine()).toThrow(UnauthenticatedError);
    await expect(orders.address(), 'an async method rejects').rejects.toThrow(UnauthenticatedError);
    await expect(runAs(rider, () => orders.address())).rejects.toThrow(ForbiddenError);
    expect(() => runAs(guest, () => orders.tip)).toThrow(ForbiddenError);
    expect(() => runAs(guest, () => (orders.tip = 5))).toThrow(ForbiddenError);
    expect(body).not.toHaveBeenCalled();
    runAs(guest, () => orders.mine());
    await runAs(somebody('Ro', 'rider', 'city:rome'), () => orders.address());
    expect(body).toHaveBeenCalledTimes(2);
    // @ts-expect-error what is no boolean is no permission
    await expect(runAs({ name: 'Mal', can: () => 'no' }, () => orders.address())).rejects.toThrow(ForbiddenError);
    // @ts-expect-error an untyped session says null of nobody
    expect(() => runAs(null, () => orders.mine())).toThrow(UnauthenticatedError);
    // @ts-expect-error and null is none
    await expect(runAs({ name: 'Nul', can: () => null }, () => orders.address())).rejects.toThrow(ForbiddenError);
  });

  test('the body waits for the answer of the guard', async () => {
    const body = vi.fn();
    class Orders {
      @requires('rider') async address() {
        body();
      }
      @requires('rider') note() {
        body();
      }
      @requires('rider') async *all() {
        yield body();
      }
    }
    const answer = Promise.withResolvers<boolean>();
    const slow: Principal = { name: 'Slo', can: () => answer.promise };
    const asking = runAs(slow, () => new Orders().address());
    asking.catch(() => {});
    await turn();
    expect(body, 'before the answer').not.toHaveBeenCalled();
    answer.resolve(false);
    await expect(asking).rejects.toThrow(ForbiddenError);
    expect(() => runAs(slow, () => new Orders().note()), 'a sync method cannot wait').toThrow(MisuseError);
    expect(() => runAs(slow, () => new Orders().all()), 'async is no help to it').toThrow(/no generator/);
    expect(body, 'after a no').not.toHaveBeenCalled();
    class Both {
      @requires('rider', 'city:rome') async address() {
        body();
      }
    }
    for (const lacking of ['rider', 'city:rome']) {
      const can = async (permission: string) => permission !== lacking;
      await expect(
        runAs({ name: 'Hal', can }, () => new Both().address()),
        lacking,
      ).rejects.toThrow(ForbiddenError);
    }
    expect(body, 'of two, one no is a no').not.toHaveBeenCalled();
  });

  test('a guard above a cache is asked on every hit', () => {
    class Orders {
      @requires('rider')
      @cached(ALWAYS)
      address(order: number) {
        return `${order} Via Roma`;
      }
    }
    const orders = new Orders();
    expect(runAs(rider, () => orders.address(7))).toBe('7 Via Roma');
    expect(() => runAs(guest, () => orders.address(7))).toThrow(ForbiddenError);
  });

  test('concurrent calls keep their principals apart', async () => {
    class Orders {
      @requires() async whose() {
        const before = currentPrincipal()?.name;
        await turn();
        return [before, currentPrincipal()?.name];
      }
    }
    const orders = new Orders();
    const names = Array.from({ length: 20 }, (_, index) => `rider ${index}`);
    const answers = await Promise.all(names.map((name) => runAs(somebody(name), () => orders.whose())));
    expect(answers).toEqual(names.map((name) => [name, name]));
    expect(currentPrincipal()).toBe(undefined);
  });

  test('an override without a decorator is guarded like what it overrides', () => {
    const body = vi.fn();
    class Orders {
      @requires('rider') address(): string {
        return 'Via Roma';
      }
    }
    class Plain extends Orders {
      override address() {
        body();
        return 'Plain';
      }
    }
    class Stated extends Orders {
      @requires('chef') override address() {
        return 'Stated';
      }
    }
    class Busy extends Orders {
      @requires('chef') cook() {}
      override address() {
        body();
        return 'Busy';
      }
    }
    class Furthest extends Plain {
      override address() {
        return `Furthest ${super.address()}`;
      }
    }
    for (const orders of [new Plain(), new Busy(), new Furthest()]) {
      expect(() => orders.address()).toThrow(UnauthenticatedError);
      expect(() => runAs(guest, () => orders.address())).toThrow(ForbiddenError);
    }
    expect(body).not.toHaveBeenCalled();
    expect(runAs(rider, () => new Furthest().address())).toBe('Furthest Plain');
    expect(
      runAs(somebody('Chi', 'chef'), () => new Stated().address()),
      'it says what it requires',
    ).toBe('Stated');
    class Nearest extends Stated {
      override address() {
        return 'Nearest';
      }
    }
    expect(() => runAs(rider, () => new Nearest().address()), 'what the nearest says').toThrow(ForbiddenError);
    expect(runAs(somebody('Chi', 'chef'), () => new Nearest().address())).toBe('Nearest');
    const replaced = (type: new () => Orders, _context: ClassDecoratorContext) => class extends type {};
    @replaced
    class Listed extends Orders {
      @requires('chef') override address() {
        return 'Listed';
      }
    }
    expect(
      runAs(somebody('Chi', 'chef'), () => new Listed().address()),
      'under a class decorator, as a container has',
    ).toBe('Listed');
    expect(() => runAs(rider, () => new Listed().address())).toThrow(ForbiddenError);
    const bound = (_method: unknown, context: ClassMethodDecoratorContext<object>) => {
      context.addInitializer(function () {
        const method: unknown = Reflect.get(this, context.name);
        if (typeof method === 'function') Reflect.set(this, context.name, method.bind(this));
      });
    };
    class Bound {
      @requires('rider') @bound address(): string {
        return 'Via Roma';
      }
    }
    class Loose extends Bound {
      override address() {
        return 'Loose';
      }
    }
    const boundAsGiven = (given: AnyMethod, context: ClassMethodDecoratorContext<object>) => {
      context.addInitializer(function () {
        Reflect.set(this, context.name, given.bind(this));
      });
    };
    class AsGiven {
      @requires('rider') @boundAsGiven address() {
        return 'Via Roma';
      }
    }
    expect(() => new AsGiven().address(), 'the instance has the method from below the guard').toThrow(
      UnauthenticatedError,
    );
    expect(runAs(rider, () => new AsGiven().address())).toBe('Via Roma');
    for (const orders of [new Loose(), new Loose()]) {
      expect(() => orders.address(), 'what a decorator below has bound').toThrow(UnauthenticatedError);
      expect(runAs(rider, () => orders.address())).toBe('Loose');
    }
  });

  // ── route ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** What the router finds, as one line. */
  const found = (controllers: object[], method: string, url: string): string => {
    const match = buildRouter(...controllers).match(method, url);
    if (!match) return 'nothing';
    if (match.kind === 'other-method') return `only ${match.allow.join(' ')}`;
    const { params, handler } = match;
    const call: RouteRequest = {
      ...{ method, url, params, headers: {}, body: undefined },
      ...{ query: new URLSearchParams(), signal: new AbortController().signal },
    };
    return String(handler(call));
  };

  const menu = () => {
    class Menu {
      readonly dish = 'rice';
      @route('GET', '/dishes') list() {
        return `list of ${this.dish}`;
      }
      @route('GET', '/dishes/today') today() {
        return 'today';
      }
      @route('GET', '/dishes/:name')
      @route('GET', '/meals/:name')
      one({ params }: RouteRequest<'/dishes/:name'>) {
        return `one ${params.name}`;
      }
      @route('PUT', '/dishes/:dish/price/:cents') price({ params }: RouteRequest<'/dishes/:dish/price/:cents'>) {
        return `${params.dish} for ${params.cents}`;
      }
    }
    return Menu;
  };

  test('a route finds its method, its instance and its decoded parameters', () => {
    const seen = (method: string, url: string) => found([new (menu())()], method, url);
    expect(seen('GET', '/dishes')).toBe('list of rice');
    expect(seen('GET', '/dishes?sort=price#top')).toBe('list of rice');
    expect(seen('HEAD', '/dishes')).toBe('list of rice');
    expect(seen('GET', '/dishes/today'), 'a text before a parameter').toBe('today');
    expect(seen('GET', '/dishes/fish%20%26%20chips')).toBe('one fish & chips');
    expect(seen('GET', '/dishes/fish%2Fchips'), 'an encoded slash parts nothing').toBe('one fish/chips');
    expect(seen('GET', '/meals/peas'), 'two routes of one method').toBe('one peas');
    expect(seen('PUT', '/dishes/today/price/250')).toBe('today for 250');
    expect(seen('GET', '/dishes/constructor')).toBe('one constructor');
    class Kinds {
      @route('GET', '/:kind/rice') rice({ params }: RouteRequest<'/:kind/rice'>) {
        return params.kind;
      }
    }
    expect(found([new (menu())(), new Kinds()], 'GET', '/meals/rice')).toBe('one rice');
    class Prices {
      @route('GET', '/dishes/:name/price') price() {}
    }
    expect(found([new Prices(), new Kinds()], 'GET', '/dishes/rice'), 'after a wrong turning').toBe('dishes');
    class Typed {
      // @ts-expect-error the path has no :name, and the compiler knows
      @route('GET', '/:id') one({ params }: RouteRequest<'/:name'>) {
        return params.name;
      }
    }
    expect(found([new Typed()], 'GET', '/7')).toBe('undefined');
  });

  test('a known path under another verb is not an unknown path', () => {
    const seen = (method: string, url: string) => found([new (menu())()], method, url);
    expect(seen('POST', '/dishes')).toBe('only GET HEAD');
    expect(seen('PUT', '/dishes/rice')).toBe('only GET HEAD');
    expect(seen('GET', '/dishes/rice/price/2')).toBe('only PUT');
    for (const url of ['/', '/dish', '/dishes/', '/dishes//price/2', '/dishes/rice/price', '*', '']) {
      expect(seen('GET', url), url).toBe('nothing');
    }
    expect(() => seen('GET', '/dishes/100%')).toThrow(BadRequestError);
  });

  test('two methods with one verb and path are refused, and both are named', () => {
    const Menu = menu();
    class Specials {
      @route('GET', '/dishes/:special') best() {}
    }
    const build = () => buildRouter(new Menu(), new Specials());
    expect(build).toThrow(RouteConflictError);
    expect(build).toThrow(/Specials\.best.*Menu\.one.*GET \/dishes\/:name/);
    class Other {
      @route('POST', '/dishes/:special') best() {
        return 'best';
      }
    }
    expect(found([new Menu(), new Other()], 'POST', '/dishes/a')).toBe('best');
    expect(() => buildRouter(Object.assign(new Menu(), { list: 'rice' }))).toThrow(MisuseError);
  });

  test('a subclass inherits routes, and its siblings inherit none of its own', () => {
    const Menu = menu();
    class Evening extends Menu {
      @route('GET', '/wine') wine() {
        return 'wine';
      }
      override list() {
        return `evening ${super.list()}`;
      }
    }
    class Lunch extends Menu {
      @route('GET', '/soup') soup() {
        return 'soup';
      }
      @route('GET', '/specials') override today() {
        return 'special';
      }
    }
    expect(found([new Evening()], 'GET', '/wine')).toBe('wine');
    expect(found([new Evening()], 'GET', '/dishes'), 'its own override').toBe('evening list of rice');
    expect(found([new Evening()], 'GET', '/soup'), 'a route of its sibling').toBe('nothing');
    expect(found([new Lunch()], 'GET', '/wine'), 'a route of its sibling').toBe('nothing');
    expect(found([new Menu()], 'GET', '/wine'), 'a route of its child').toBe('nothing');
    expect(found([new Lunch()], 'GET', '/specials')).toBe('special');
    expect(found([new Lunch()], 'GET', '/dishes/today'), 'replaced by the override').toBe('one today');
  });

  test('a compiler that leaves out whose child the metadata is loses no route and no guard', () => {
    class Orders {
      @route('GET', '/address') @requires('rider') address(): string {
        return 'Via Roma';
      }
    }
    class Busy extends Orders {
      @route('GET', '/menu') menu() {
        return 'menu';
      }
      override address() {
        return 'Busy';
      }
    }
    class Busiest extends Busy {
      @route('GET', '/v2/address') override address() {
        return 'Busiest';
      }
    }
    // As SWC compiles them.
    for (const type of [Busy, Busiest]) Object.setPrototypeOf(type[Symbol.metadata] ?? {}, null);
    expect(() => new Busy().address(), 'called').toThrow(UnauthenticatedError);
    expect(() => found([new Busiest()], 'GET', '/v2/address'), 'routed').toThrow(UnauthenticatedError);
    expect(runAs(rider, () => found([new Busy()], 'GET', '/address'))).toBe('Busy');
    expect(runAs(rider, () => found([new Busiest()], 'GET', '/v2/address'))).toBe('Busiest');
    expect(found([new Busiest()], 'GET', '/menu')).toBe('menu');
    expect(found([new Orders()], 'GET', '/menu'), 'a route of its child').toBe('nothing');
  });

  test('a routed method is guarded wherever its guard stands', () => {
    class Orders {
      @cached({ ...ALWAYS, key: ({ url }: RouteRequest) => url })
      @requires('rider')
      @route('GET', '/address')
      address(_request: RouteRequest): string {
        return 'Via Roma';
      }
    }
    class Careless extends Orders {
      override address = () => 'a field of the instance';
    }
    for (const orders of [new Orders(), new Careless()]) {
      expect(runAs(rider, () => found([orders], 'GET', '/address'))).toMatch(/Via Roma|a field/);
      expect(() => runAs(guest, () => found([orders], 'GET', '/address'))).toThrow(ForbiddenError);
    }
    class Twice {
      @route('GET', '/phone')
      @requires()
      @cached({ ...ALWAYS, key: ({ url }: RouteRequest) => url })
      @requires('rider')
      phone(_request: RouteRequest) {
        return '0123';
      }
    }
    const twice = new Twice();
    expect(runAs(rider, () => found([twice], 'GET', '/phone'))).toBe('0123');
    const guests = () => runAs(guest, () => found([twice], 'GET', '/phone'));
    expect(guests, 'a cache between two guards').toThrow(ForbiddenError);
    class Both {
      @route('GET', '/mail')
      @requires('chef')
      @cached({ ...ALWAYS, key: ({ url }: RouteRequest) => url })
      @requires('rider')
      mail(_request: RouteRequest) {
        return 'a@b';
      }
    }
    const both = new Both();
    const mail = (...permissions: string[]) =>
      runAs(somebody('Bea', ...permissions), () => found([both], 'GET', '/mail'));
    expect(mail('chef', 'rider')).toBe('a@b');
    expect(() => mail('chef'), 'two guards, each with its own').toThrow(ForbiddenError);
    class Doors {
      @requires('rider') static open() {}
      @route('GET', '/open') open() {
        return 'open';
      }
    }
    expect(found([new Doors()], 'GET', '/open'), 'a static namesake says nothing of it').toBe('open');
  });
});
