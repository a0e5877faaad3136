import 'reflect-metadata';
import { describe, expect, test, vi } from 'vitest';
import {
  BadRequestError,
  ForbiddenError,
  legacy,
  MisuseError,
  type Principal,
  RouteConflictError,
  type RouteRequest,
  runAs,
  standard,
  TimeoutError,
  type Timing,
  UnauthenticatedError,
  UnguardedOverrideError,
} from '#lab';

const { body, buildRouter, cached, compose, field, param, requires, retry, route, timed, timeout } = legacy;
const HOUR = 3_600_000;
const ALWAYS = { ttlMs: HOUR, max: 100 };
const rider: Principal = { name: 'Rui', can: (permission) => permission === 'rider' };
const guest: Principal = { name: 'Gus', can: () => false };

/** What the router finds for a request. */
const call = (controllers: object[], method: string, url: string, sent?: unknown): unknown => {
  const match = buildRouter(...controllers).match(method, url);
  if (match?.kind !== 'found') return match?.kind ?? 'nothing';
  const request: RouteRequest = {
    ...{ method, url, params: match.params, headers: {}, body: sent },
    ...{ query: new URLSearchParams(), signal: new AbortController().signal },
  };
  return match.handler(request);
};

describe('the legacy dialect', () => {
  test('in the legacy dialect too, order, this, name and length are kept', () => {
    const order: string[] = [];
    const mark = (name: string) => (_target: object, _name: string | symbol, _descriptor: object) => {
      order.push(name);
    };
    class Kitchen {
      readonly dish = 'rice';
      @mark('A')
      @compose(mark('B'), mark('C'))
      @timed(() => {})
      @mark('D')
      cook(times: number) {
        return this.dish.repeat(times);
      }
    }
    class Composed {
      // @ts-expect-error what one of them refuses, all do: here @retry a sync method, whatever @timed takes
      @compose(
        retry({ attempts: 2, delayMs: 1 }),
        timed(() => {}),
      )
      cook() {}
    }
    expect(Composed.prototype.cook.name).toBe('cook');
    expect(order).toEqual(['D', 'C', 'B', 'A']);
    expect(new Kitchen().cook(2)).toBe('ricerice');
    expect([Kitchen.prototype.cook.name, Kitchen.prototype.cook.length]).toEqual(['cook', 1]);
  });

  test('compose keeps what a decorator returns in place of the descriptor', () => {
    const enumerable = <M>(_target: object, _name: string | symbol, descriptor: TypedPropertyDescriptor<M>) => ({
      ...descriptor,
      enumerable: true,
    });
    const seen: Timing[] = [];
    class Kitchen {
      @compose(
        requires(),
        enumerable,
        timed((timing) => seen.push(timing)),
      )
      cook() {
        return 'rice';
      }
    }
    expect(Object.keys(Kitchen.prototype)).toEqual(['cook']);
    expect(() => new Kitchen().cook(), 'the decorator above it stands on what it returned').toThrow(
      UnauthenticatedError,
    );
    expect(runAs(guest, () => new Kitchen().cook())).toBe('rice');
    expect(seen).toHaveLength(1);
  });

  test('in the legacy dialect too, static members, getters and setters are decorated', () => {
    const seen: Timing[] = [];
    class Till {
      cents = 5;
      @timed((timing) => seen.push(timing)) static open() {
        return new Till();
      }
      @timed((timing) => seen.push(timing))
      get total() {
        return this.cents;
      }
      set total(cents: number) {
        this.cents = cents;
      }
      @timed((timing) => seen.push(timing)) accessor owner = 'Ann';
      @cached(ALWAYS) get coins() {
        return [this.cents];
      }
    }
    const till = Till.open();
    till.total = 7;
    expect(till.total).toBe(7);
    expect(till.coins).toBe(till.coins);
    till.owner = 'Bo';
    expect(till.owner).toBe('Bo');
    expect(seen.map(({ name }) => name)).toEqual(['open', 'total', 'total', 'owner', 'owner']);
  });

  test('in the legacy dialect too, the policies do what they say', async () => {
    let rings = 0;
    class Courier {
      @cached(ALWAYS) address(order: number | string) {
        return [order];
      }
      @retry({ attempts: 2, delayMs: 0 }) async ring() {
        if (++rings < 2) throw new Error('nobody');
        return rings;
      }
      @timeout(20) async wait() {
        return new Promise(() => {});
      }
      @requires('rider') async phone() {
        return '555';
      }
    }
    const courier = new Courier();
    expect(courier.address(1)).toBe(courier.address(1));
    expect(courier.address(1)).not.toBe(courier.address('1'));
    expect(courier.address(1)).not.toBe(new Courier().address(1));
    expect(await courier.ring()).toBe(2);
    await expect(courier.wait()).rejects.toThrow(TimeoutError);
    await expect(courier.phone()).rejects.toThrow(UnauthenticatedError);
    await expect(runAs(guest, () => courier.phone())).rejects.toThrow(ForbiddenError);
    expect(await runAs(rider, () => courier.phone())).toBe('555');
  });

  test('in the legacy dialect too, siblings inherit no routes of each other', () => {
    class Menu {
      readonly dish: string = 'rice';
      @route('GET', '/dishes') list() {
        return this.dish;
      }
    }
    class Evening extends Menu {
      @route('GET', '/wine') wine() {
        return 'wine';
      }
    }
    class Lunch extends Menu {
      @route('GET', '/soup') soup({ url }: RouteRequest) {
        return url;
      }
    }
    expect(call([new Evening()], 'GET', '/dishes')).toBe('rice');
    expect(call([new Evening()], 'GET', '/wine')).toBe('wine');
    expect(call([new Lunch()], 'GET', '/soup?hot'), 'without @param it gets the request').toBe('/soup?hot');
    expect(call([new Lunch()], 'POST', '/soup')).toBe('other-method');
    expect(call([new Lunch()], 'GET', '/wine')).toBe('nothing');
    expect(() => buildRouter(new Lunch(), new Evening())).toThrow(RouteConflictError);
    expect(() => buildRouter(Object.assign(new Lunch(), { soup: 'cold' }))).toThrow(MisuseError);
    expect(() => buildRouter({})).toThrow(MisuseError);
  });

  test('a wrapped method keeps the metadata that others put on it', () => {
    const NOTED = Symbol('noted');
    const version = (value: string) => (_target: object, _name: string | symbol, descriptor: { value?: object }) => {
      if (!descriptor.value) return;
      Reflect.defineMetadata('version', value, descriptor.value);
      Object.defineProperty(descriptor.value, NOTED, { value });
    };
    class Kitchen {
      @timed(() => {})
      @cached(ALWAYS)
      @version('2')
      cook() {
        return 'rice';
      }
    }
    expect(new Kitchen().cook()).toBe('rice');
    expect(Reflect.getMetadata('version', Kitchen.prototype.cook)).toBe('2');
    expect(Reflect.get(Kitchen.prototype.cook, NOTED), 'as a property of the method').toBe('2');
  });

  test('parameters arrive as their declared types', () => {
    const got = vi.fn();
    class Orders {
      @route('GET', '/orders/:id/:express/:city')
      one(@param('city') city: string, @param('id') id: number, @param('express') express: boolean) {
        got(city, id, express);
      }
    }
    class Sub extends Orders {
      override one(city: string, id: number, express: boolean) {
        super.one(`${city} (override)`, id, express);
      }
    }
    call([new Sub()], 'GET', '/orders/7/true/Rome');
    expect(got, 'an override takes what it overrides takes').toHaveBeenLastCalledWith('Rome (override)', 7, true);
    got.mockClear();
    call([new Orders()], 'GET', '/orders/7/true/Rome');
    expect(got).toHaveBeenCalledWith('Rome', 7, true);
    for (const url of [
      '/orders/seven/true/Rome',
      '/orders/%20/true/Rome',
      '/orders/7/yes/Rome',
      '/orders/Infinity/true/Rome',
      '/orders/9007199254740993/true/Rome',
      '/orders/0x10/true/Rome',
      '/orders/1e3/true/Rome',
      '/orders/%207/true/Rome',
    ]) {
      expect(() => call([new Orders()], 'GET', url), url).toThrow(BadRequestError);
    }
    expect(got).toHaveBeenCalledTimes(1);
  });

  test('a body is checked against the declared types of its class', () => {
    class Address {
      @field() declare street: string;
    }
    class Order {
      @field() declare dish: string;
      @field() declare count: number;
      @field() declare address: Address;
    }
    class Orders {
      @route('POST', '/orders/:city') place(@param('city') city: string, @body() order: Order) {
        return { order, city };
      }
    }
    const place = (sent: unknown) => call([new Orders()], 'POST', '/orders/Rome', sent);
    const sent = { dish: 'rice', count: 2, address: { street: 'Via Roma' } };
    const placed = place({ ...sent, admin: true, __proto__: { dish: 'soup' } });
    expect(placed).toEqual({ order: sent, city: 'Rome' });
    expect(placed).toHaveProperty('order', expect.any(Order));
    expect(Object.assign(Object(placed).order, { count: 3 }), 'a body is an ordinary object').toMatchObject({
      count: 3,
    });
    for (const bad of [
      undefined,
      null,
      [],
      'rice',
      { ...sent, count: '2' },
      { ...sent, count: Number('1e999') },
      { ...sent, count: Number('-1e999') },
      { ...sent, address: null },
    ]) {
      expect(() => place(bad), JSON.stringify(bad)).toThrow(BadRequestError);
    }
    expect(() => place({ address: {} }), 'all problems at once').toThrow(
      'dish must be a string; count must be a number; street must be a string',
    );
  });

  test('a type that says nothing at run time is refused when the routes are built', () => {
    class Union {
      @route('GET', '/:id') one(@param('id') id: number | string) {
        return id;
      }
    }
    class Shape {
      @route('POST', '/') place(@body() order: { dish: string }) {
        return order;
      }
    }
    class Forgotten {
      @route('GET', '/:id') one(@param('id') id: number, other: string) {
        return `${id}${other}`;
      }
    }
    class Misspelt {
      @route('GET', '/:id') one(@param('ID') id: number) {
        return id;
      }
    }
    for (const controller of [new Union(), new Shape(), new Forgotten(), new Misspelt()]) {
      expect(() => buildRouter(controller), controller.constructor.name).toThrow(MisuseError);
    }
    class Unknown {
      one = (id: string) => id;
    }
    const one = { value: () => {} };
    route('GET', '/:id')(Unknown.prototype, 'one', one);
    param('id')(Unknown.prototype, 'one', 0);
    expect(() => buildRouter(new Unknown()), 'compiled without the types').toThrow(/emitDecoratorMetadata/);
    expect(() => field()(Unknown.prototype, 'dish'), 'nor those of a field').toThrow(/emitDecoratorMetadata/);
    const list = () => {
      class Order {
        @field() declare dishes: string[];
      }
      return Order;
    };
    expect(list, 'the elements of an array').toThrow(MisuseError);
  });

  test('an override that says nothing of its guard is refused when the routes are built', () => {
    class Orders {
      @cached({ ...ALWAYS, key: () => '' })
      @requires('rider')
      @route('GET', '/address')
      address(): string {
        return 'Via Roma';
      }
    }
    class Careless extends Orders {
      override address() {
        return 'for all to see';
      }
    }
    class Careful extends Orders {
      @requires() override address() {
        return 'for those signed in';
      }
    }
    expect(() => buildRouter(new Careless())).toThrow(UnguardedOverrideError);
    expect(() => buildRouter(new Careless())).toThrow(/Careless\.address overrides Orders\.address/);
    expect(runAs(guest, () => call([new Careful()], 'GET', '/address'))).toBe('for those signed in');
    expect(runAs(rider, () => call([new Orders()], 'GET', '/address'))).toBe('Via Roma');
    expect(() => runAs(guest, () => call([new Orders()], 'GET', '/address')), 'a cache above').toThrow(ForbiddenError);
    class Bound extends Orders {
      constructor() {
        super();
        this.address = this.address.bind(this);
      }
    }
    expect(runAs(rider, () => call([new Bound()], 'GET', '/address'))).toBe('Via Roma');
    expect(() => runAs(guest, () => call([new Bound()], 'GET', '/address')), 'bound').toThrow(ForbiddenError);
    class Twice {
      @route('GET', '/phone')
      @requires()
      @cached({ ...ALWAYS, key: () => '' })
      @requires('rider')
      phone() {
        return '0123';
      }
    }
    const twice = new Twice();
    expect(runAs(rider, () => call([twice], 'GET', '/phone'))).toBe('0123');
    expect(() => runAs(guest, () => call([twice], 'GET', '/phone')), 'a cache between').toThrow(ForbiddenError);
  });

  test('a decorator above one that makes a getter of the method is refused', () => {
    // As the autobind of more than one library: the first read puts the bound method on the instance.
    const autobind = (target: object, name: string | symbol, { value }: PropertyDescriptor): PropertyDescriptor => ({
      get() {
        const bound = this === target ? value : value.bind(this);
        Object.defineProperty(this, name, { value: bound });
        return bound;
      },
    });
    for (const above of [requires('rider'), timed(() => {}), cached(ALWAYS)]) {
      const decorated = () => {
        class Orders {
          @above
          @autobind
          address() {
            return 'Via Roma';
          }
        }
        return new Orders();
      };
      expect(decorated).toThrow(MisuseError);
      expect(decorated).toThrow(/address: write it below/);
    }
    class Orders {
      @autobind
      @requires('rider')
      address() {
        return 'Via Roma';
      }
    }
    const orders = new Orders();
    expect(runAs(rider, () => orders.address())).toBe('Via Roma');
    expect(() => orders.address(), 'bound by now').toThrow(UnauthenticatedError);
  });

  test('a decorator of the other dialect says so', () => {
    const wrongHere = () => {
      class Kitchen {
        // @ts-expect-error a standard decorator takes a method and its context
        @standard.timed(() => {}) cook() {}
      }
      return Kitchen;
    };
    expect(wrongHere).toThrow(/import it from legacy/);
    const context = { kind: 'method', name: 'cook', static: false, private: false, metadata: {} };
    // @ts-expect-error a legacy decorator takes an object, a name and a descriptor
    const wrongThere = () => timed(() => {})(() => {}, context);
    expect(wrongThere).toThrow(/import it from standard/);
    const onField = () => {
      class Kitchen {
        // @ts-expect-error a field has no descriptor
        @timed(() => {}) dish = 'rice';
      }
      return Kitchen;
    };
    expect(onField).toThrow(MisuseError);
    const onStatic = () => {
      class Kitchen {
        readonly dish = 'rice';
        @route('GET', '/') static list() {}
      }
      return Kitchen;
    };
    expect(onStatic).toThrow(MisuseError);
    const ofStatic = () => {
      class Kitchen {
        readonly dish = 'rice';
        static list(@param('id') id: string) {
          return id;
        }
      }
      return Kitchen;
    };
    expect(ofStatic).toThrow(MisuseError);
    const onGetter = () => {
      class Kitchen {
        // @ts-expect-error a getter waits for nobody
        @retry({ attempts: 2, delayMs: 1 }) get dish() {
          return 'rice';
        }
      }
      return Kitchen;
    };
    expect(onGetter).toThrow(/belongs on a method/);
    const onSetter = () => {
      class Kitchen {
        @cached(ALWAYS) set dish(_name: string) {}
      }
      return Kitchen;
    };
    expect(onSetter).toThrow(/belongs on a method or getter/);
  });
});
