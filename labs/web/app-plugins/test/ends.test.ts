import { spawn } from 'node:child_process';
import dns from 'node:dns';
import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { outcome, until } from '@shared/testkit';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { z } from 'zod';
import {
  AppClosedError,
  buildApp,
  definePlugin,
  InvalidAppError,
  InvalidDefinitionError,
  Secret,
  SetupError,
  SetupTimeoutError,
  secret,
  TeardownError,
} from '#lab';
import { get, noting, open, stall, till } from './hall.ts';

const never = (_?: unknown) => new Promise<never>(() => {});
const problemsOf = (error: unknown): unknown[][] =>
  error instanceof InvalidAppError
    ? error.problems.map(({ kind, plugin, message }) => [kind, plugin, message])
    : [[error]];
const LOCAL = { host: '127.0.0.1', port: 0 };

describe('wiring', () => {
  test('a plugin twice in one place is refused, and a prefix that is none', async () => {
    const fish = { sells: 'eel', cents: 1 };
    const plugins = [till.with(), till.with(), stall.at('/fish', fish), stall.at('/fish', fish)];
    const none = [
      'bread',
      '/bread/',
      '/',
      '',
      '/a b',
      '//a',
      '/*',
      '/%61',
      '/a/..',
      '/a\\b',
      '/a\0',
      '/\ud800',
      undefined,
    ];
    const bad = none.map((prefix) => Reflect.apply(stall.at, stall, [prefix, fish]));
    const told = problemsOf((await outcome(buildApp({ plugins: [...plugins, ...bad] }))).error);
    expect(told.map((each) => each.slice(0, 2).join(': '))).toEqual([
      'twice: till',
      'twice: stall at /fish',
      ...none.map((prefix) => `prefix: stall at ${prefix}`),
    ]);
  });

  test('a dependency that comes too late is told apart from a cycle, and each cycle is named once', async () => {
    const log: string[] = [];
    const [a0, b0] = [noting(log, 'a'), noting(log, 'b')];
    const c = noting(log, 'c', { dependencies: [b0] });
    const b = noting(log, 'b', { dependencies: [a0] });
    // Of the same name as a0, in its place: a → c → b → a.
    const a = noting(log, 'a', { dependencies: [c, b0] });
    const self = noting(log, 'self', { dependencies: [noting(log, 'self')] });
    const late = noting(log, 'late', { dependencies: [noting(log, 'last')] });
    const last = noting(log, 'last');
    const inAStall = noting(log, 'in-a-stall');
    const needy = noting(log, 'needy', { dependencies: [inAStall] });
    const plugins = [...[late, self, a, b, c, last, needy].map((each) => each.with()), inAStall.at('/stall')];
    expect(problemsOf((await outcome(buildApp({ plugins }))).error)).toEqual([
      ['order', 'late', expect.stringContaining('move it before late')],
      ['cycle', 'self', expect.stringContaining('self → self')],
      ['cycle', 'a', expect.stringContaining('a → c → b → a')],
      ['cycle', 'a', expect.stringContaining('a → b → a')],
      ['missing', 'needy', expect.stringContaining('at /stall alone')],
    ]);
    expect(log).toEqual([]);
  });

  test('another plugin of the same name stands in for it', async () => {
    const sums: number[] = [];
    const fake: typeof till = definePlugin({
      name: 'till',
      config: z.object({ currency: z.string().default('') }),
      setup: () => ({ take: (cents) => `noted ${sums.push(cents)}` }),
    });
    const app = await open([fake.with(), stall.at('/fish', { sells: 'eel', cents: 900 })]);
    expect(await get(app, '/fish/sell')).toBe('eel no. 1, till noted 1');
    expect(sums).toEqual([900]);
  });

  test('a hook of the hall is everybody’s, its error handler and decorators those of who comes after it', async () => {
    const seen: string[] = [];
    const manager = (name: 'old' | 'new') =>
      definePlugin({
        name,
        setup: ({ app }) => {
          app.addHook('onRequest', async ({ url }) => void seen.push(`${name} ${url}`));
          app.setErrorHandler((_error, _request, reply) => reply.send(name));
          app.decorate(name, true);
        },
      });
    const failing = definePlugin({
      name: 'failing',
      setup: ({ app }) => {
        const there = ['old', 'new'].filter((name) => app.hasDecorator(name)).join();
        app.get('/', () => Promise.reject(new Error(seen.push(there).toString())));
      },
    });
    const app = await open([manager('old').with(), failing.at('/a'), manager('new').with(), failing.at('/b')]);
    expect([await get(app, '/a'), await get(app, '/b')]).toEqual(['old', 'new']);
    expect(seen).toEqual(['old /a', 'new /a', 'old', 'old /b', 'new /b', 'old,new']);
  });

  test('what a stall does to its configuration or its list of plugins is seen by no other', async () => {
    const greedy = definePlugin({
      name: 'greedy',
      config: z.object({ goods: z.array(z.string()) }),
      setup: ({ app, config }) => {
        config.goods.push('more');
        app.get('/', () => config.goods.join());
      },
    });
    const config = { goods: ['eel'] };
    const plugins = [greedy.at('/a', config), greedy.at('/b', config)];
    const opening = open(plugins);
    plugins.length = 0;
    const app = await opening;
    expect([await get(app, '/a'), await get(app, '/b'), config.goods.join()]).toEqual(['eel,more', 'eel,more', 'eel']);
  });

  test('a definition that nothing can be done with is refused', async () => {
    for (const name of ['', 'Till', 'a b', '__proto__', '-a', '1', 'a\ud800', 'caller', 'name']) {
      expect(() => definePlugin({ name, setup: () => {} }), inspect(name)).toThrow(InvalidDefinitionError);
    }
    const right = { name: 'a', setup: () => {} };
    const wrong = [{ setup: 'none' }, { teardown: 1 }, { config: {} }, { dependencies: 1 }, { dependencies: ['till'] }];
    for (const given of [undefined, null, ...wrong.map((each) => ({ ...right, ...each }))]) {
      expect(() => Reflect.apply(definePlugin, undefined, [given]), inspect(given)).toThrow(InvalidDefinitionError);
    }
    const lists = [undefined, {}, [till], [undefined]].map((plugins) => ({ plugins }));
    for (const given of [undefined, ...lists, { plugins: [], log: {} }, { plugins: [], signal: {} }]) {
      const { error } = await outcome(Reflect.apply(buildApp, undefined, [given]));
      expect(error, inspect(given)).toBeInstanceOf(InvalidDefinitionError);
    }
    await open([], { closeGraceMs: 1 });
    for (const ms of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
      for (const limit of ['setupTimeoutMs', 'teardownTimeoutMs', 'closeGraceMs']) {
        const { error } = await outcome(buildApp({ plugins: [], [limit]: ms }));
        expect(error, `${limit}: ${ms}`).toBeInstanceOf(InvalidDefinitionError);
        expect(String(error)).toContain(limit);
      }
    }
    for (const name of ['then', 'default', 'prototype', 'price-list']) {
      const odd = definePlugin({ name, setup: () => name });
      const asks = definePlugin({
        name: 'asks',
        dependencies: [odd],
        setup: ({ needs }) => expect(needs).toEqual({ [name]: name }),
      });
      await open([odd.with(), asks.with()]);
    }
  });

  test('a default is there however deep, and each app has one of its own', async () => {
    const seen: unknown[] = [];
    const whole = definePlugin({ name: 'whole', config: z.int().default(3), setup: ({ config }) => seen.push(config) });
    const none = definePlugin({ name: 'none', config: z.null(), setup: ({ config }) => seen.push(config) });
    const inner = z.object({ open: z.object({ days: z.array(z.string()) }).default({ days: ['Monday'] }) });
    const deep = definePlugin({
      name: 'deep',
      config: inner,
      setup: ({ config }) => {
        expect(Object.getOwnPropertyDescriptor(config, 'open')).toMatchObject({ writable: true, configurable: true });
        seen.push(config.open.days.push('Sunday'));
      },
    });
    for (let app = 0; app < 2; app++) await open([whole.with(undefined), none.with(null), deep.with()]);
    expect(seen).toEqual([3, null, 2, 3, null, 2]);
  });

  test('a schema that throws or waits is a schema all the same', async () => {
    const broken = definePlugin({
      name: 'broken',
      config: z.string().transform((value) => {
        throw new RangeError(`no ${value}`);
      }),
      setup: () => {},
    });
    const waits = definePlugin({
      name: 'waits',
      config: z.object({ n: z.number().refine(async (n) => n > 1, 'too small') }),
      setup: () => {},
    });
    const { error } = await outcome(buildApp({ plugins: [broken.with('hunter2'), waits.with({ n: 1 })] }));
    expect(problemsOf(error)).toEqual([
      ['config', 'broken', expect.stringContaining('RangeError')],
      ['config', 'waits', 'too small'],
    ]);
    expect(String(error)).not.toContain('hunter2');
  });
});

describe('the start', () => {
  test('a setup that never ends is named in time; what it provides too late is torn down', async () => {
    const log: string[] = [];
    const gate = Promise.withResolvers<string>();
    const slow = definePlugin({
      name: 'slow',
      setup: ({ signal }) => {
        signal.addEventListener('abort', () => log.push('told to stop'));
        return gate.promise;
      },
      teardown: (provided) => void log.push(`slow down: ${provided}`),
    });
    const { error } = await outcome(
      buildApp({
        plugins: [noting(log, 'power').with(), slow.at('/slow'), noting(log, 'last').with()],
        setupTimeoutMs: 60,
      }),
    );
    expect(error).toBeInstanceOf(SetupTimeoutError);
    expect(error).toMatchObject({ plugin: 'slow at /slow', code: 'SETUP_TIMEOUT' });
    expect(String(error)).toContain('60 ms');
    expect(log).toEqual(['power up', 'told to stop', 'power down']);
    gate.resolve('a connection');
    await until(() => log.length === 4, { what: 'the late one to be torn down' });
    expect(log[3]).toBe('slow down: a connection');
  });

  test('a plugin that another one registers by itself, or a hook, fails in the name of the first', async () => {
    const inner = Object.assign(new Error('inner'), { code: 'ECONNREFUSED' });
    const fails = async () => {
      throw inner;
    };
    const parent = definePlugin({ name: 'parent', setup: ({ app }) => void app.register(fails) });
    const ready = definePlugin({ name: 'ready', setup: ({ app }) => void app.addHook('onReady', fails) });
    const last = noting([], 'last').with();
    const [one, two] = [
      await outcome(buildApp({ plugins: [parent.with(), last] })),
      await outcome(buildApp({ plugins: [ready.with(), last] })),
    ];
    expect(one.error).toMatchObject({ name: 'SetupError', plugin: 'parent', cause: inner });
    expect(two.error).toMatchObject({ name: 'SetupError', plugin: 'an onReady hook', cause: inner });
  });

  test('a setup fails with whatever it throws, and a teardown, be it nothing', async () => {
    for (const nothing of [undefined, null, 0, '', false, 'text']) {
      const fails = () => {
        throw nothing;
      };
      const failed = await outcome(buildApp({ plugins: [noting([], 'power', { setup: fails }).with()] }));
      expect(failed.error, `what buildApp rejects with when a setup throws ${inspect(nothing)}`).toBeInstanceOf(
        SetupError,
      );
      expect(failed.error).toMatchObject({ plugin: 'power', cause: nothing });
      const app = await open([noting([], 'power', { teardown: fails }).with()]);
      expect((await outcome(app.close())).error).toMatchObject({ errors: [{ plugin: 'power', cause: nothing }] });
    }
  });

  test('what cannot even be looked at is an error as all others', async () => {
    const trap = () => {
      throw new RangeError('a trap');
    };
    const traps = new Proxy({}, { get: trap, getPrototypeOf: trap, ownKeys: trap, getOwnPropertyDescriptor: trap });
    for (const odd of [traps, Object.defineProperty(new Error(), 'message', { get: trap })]) {
      const config = z.object({ key: secret() });
      const fails = () => {
        throw odd;
      };
      const up = definePlugin({ name: 'up', config, setup: fails });
      const down = definePlugin({ name: 'down', config, setup: () => {}, teardown: fails });
      const log: string[] = [];
      const plugins = [noting(log, 'power').with(), down.with({ key: 'sesame, open' })];
      const failed = await outcome(buildApp({ plugins: [...plugins, up.with({ key: 'sesame, open' })] }));
      expect(failed.error).toMatchObject({ name: 'SetupError', plugin: 'up', alsoFailed: [{ plugin: 'down' }] });
      expect(log).toEqual(['power up', 'power down']);
    }
  });

  test('what fails while a failed start is undone is told beside its cause', async () => {
    const fails = () => {
      throw new Error('a fuse');
    };
    const plugins = [noting([], 'power', { teardown: fails }).with(), noting([], 'fish', { setup: fails }).with()];
    const { error } = await outcome(buildApp({ plugins }));
    expect(error).toBeInstanceOf(SetupError);
    expect(error).toMatchObject({ plugin: 'fish', alsoFailed: [{ plugin: 'power', name: 'PluginTeardownError' }] });
  });

  test('who aborts while it starts gets his own reason, and all is undone', async () => {
    const log: string[] = [];
    const reason = new Error('the market is called off');
    const abandon = new AbortController();
    const { signal } = abandon;
    const fish = noting(log, 'fish', { setup: never });
    const building = outcome(buildApp({ plugins: [noting(log, 'power').with(), fish.with()], signal }));
    await until(() => log.includes('fish up'), { what: 'the second setup' });
    abandon.abort(reason);
    expect((await building).error).toBe(reason);
    expect(log).toEqual(['power up', 'fish up', 'power down']);
    expect((await outcome(buildApp({ plugins: [fish.with()], signal }))).error).toBe(reason);
    expect(log.length, 'set up although it was aborted before').toBe(3);
    const waits = definePlugin({ name: 'waits', config: z.unknown().refine(() => never()), setup: () => {} });
    const [asked, later] = [Promise.withResolvers<void>(), new AbortController()];
    const slow = buildApp({ plugins: [waits.with(asked.resolve())], signal: later.signal });
    await asked.promise;
    later.abort(reason);
    expect((await outcome(slow)).error, 'while a schema waits').toBe(reason);
  });

  test('the signal of a start that is over is of no effect, and keeps nothing', async () => {
    const abandon = new AbortController();
    let listeners = 0;
    const { signal } = abandon;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++;
      add(...args);
    };
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--;
      remove(...args);
    };
    const app = await open([till.with(), stall.at('/fish', { sells: 'eel', cents: 900 })], { signal });
    expect(listeners).toBe(0);
    abandon.abort();
    expect(await get(app, '/fish/sell')).toContain('eel');
  });
});

describe('the end', () => {
  test('a request that is under way at the end still has all it needs; no new one gets in', async () => {
    const log: string[] = [];
    const [arrived, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const power = definePlugin({ name: 'power', setup: () => ['on'], teardown: (light) => void light.pop() });
    const fish = definePlugin({
      name: 'fish',
      dependencies: [power],
      setup: ({ app, needs }) => {
        app.get('/', async () => {
          arrived.resolve();
          await gate.promise;
          log.push(`light ${needs.power}`);
          return 'eel';
        });
      },
    });
    const app = await open([power.with(), fish.at('/fish')]);
    const url = await app.listen(LOCAL);
    const asked = fetch(`${url}/fish`).then((response) => response.text());
    await arrived.promise;
    const closed = app.close().then(() => log.push('closed'));
    const late = await fetch(`${url}/fish`).then(
      ({ status }) => status,
      () => 'refused',
    );
    expect([503, 'refused']).toContain(late);
    gate.resolve();
    expect(await asked).toBe('eel');
    await closed;
    expect(log).toEqual(['light on', 'closed']);
  });

  test('a handler or a hook whose client has gone is waited for, too', async () => {
    for (const at of ['handler', 'preHandler', 'onResponse', 'a thenable', 'not found', 'error handler']) {
      const log: string[] = [];
      const [arrived, gate, gone] = [0, 1, 2].map(() => Promise.withResolvers<void>());
      const work = async () => {
        arrived?.resolve();
        await gate?.promise;
        log.push(at);
      };
      const fish = definePlugin({
        name: 'fish',
        setup: ({ app }) => {
          app.addHook('onRequest', async ({ raw }) => void raw.socket.once('close', () => gone?.resolve()));
          if (at === 'preHandler' || at === 'onResponse') app.addHook(at, work);
          if (at === 'not found') app.setNotFoundHandler(work);
          else app.setErrorHandler(work);
          if (at === 'not found') return;
          app.get('/', () => {
            if (at === 'error handler') throw new Error('cut');
            if (at === 'a thenable') {
              // As a query builder is one.
              const query = { select: (...then: Parameters<Promise<void>['then']>) => work().then(...then) };
              return Object.defineProperty(query, 'then', { value: query.select });
            }
            return at === 'handler' ? work() : Promise.resolve('eel');
          });
        },
        teardown: () => void log.push('fish down'),
      });
      const app = await open([fish.with()]);
      await app.listen(LOCAL);
      const socket = connect(portOf(app), '127.0.0.1');
      socket.write('GET / HTTP/1.1\r\nHost: hall\r\n\r\n');
      await arrived?.promise;
      socket.destroy();
      await gone?.promise;
      const closed = app.close();
      await new Promise((resolve) => setImmediate(resolve));
      gate?.resolve();
      await closed;
      expect(log, at).toEqual([at, 'fish down']);
    }
  });

  test('a client that has connected and not asked is not waited for', async () => {
    const app = await open([]);
    await app.listen(LOCAL);
    const socket = connect(portOf(app), '127.0.0.1').on('error', () => {});
    await once(socket, 'connect');
    await app.close();
    await once(socket, 'close');
  });

  test('a client that reads slowly gets its reply to the end', async () => {
    const sent = Promise.withResolvers<void>();
    const size = 2e7;
    const fish = definePlugin({
      name: 'fish',
      setup: ({ app }) => {
        app.addHook('onSend', async () => void setImmediate(sent.resolve));
        app.get('/', () => 'x'.repeat(size));
      },
    });
    const app = await open([fish.with()]);
    await app.listen(LOCAL);
    const socket = connect(portOf(app), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nHost: hall\r\n\r\n');
    await sent.promise;
    const closed = app.close();
    await new Promise((resolve) => setImmediate(resolve));
    let got = 0;
    socket.on('data', (part) => {
      got += part.length;
    });
    await Promise.all([closed, once(socket, 'close')]);
    expect(got).toBeGreaterThan(size);
  });

  test('who is not done after the grace is cut off, at each address of localhost, and the rest is torn down', async () => {
    const log: string[] = [];
    const real = dns.lookup;
    const two = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation(((...args: Parameters<typeof real>) => {
      const told: unknown = args.at(-1);
      if (args[0] !== 'localhost' || typeof told !== 'function') return real(...args);
      // net.Server has a lookup of its own, before fastify asks for all.
      return queueMicrotask(() => told(null, two));
    }) as typeof real);
    onTestFinished(() => lookup.mockRestore());
    const hangs = definePlugin({
      name: 'hangs',
      setup: ({ app }) => {
        app.get('/', () => never(log.push('asked')));
        app.server.on('upgrade', () => log.push('upgraded'));
      },
    });
    const app = await open([noting(log, 'power').with(), hangs.with()], { closeGraceMs: 40 });
    await app.listen({ host: 'localhost', port: 0 });
    const get = 'GET / HTTP/1.1\r\nHost: hall\r\n';
    const cut = [];
    for (const host of ['127.0.0.1', '127.0.0.2']) {
      for (const text of [`${get}\r\n`, `${get}Connection: Upgrade\r\nUpgrade: chat\r\n\r\n`, get]) {
        const socket = connect(portOf(app), host).on('error', () => {});
        cut.push(once(socket, 'close'));
        socket.write(text);
        await once(socket, 'connect');
      }
    }
    await until(() => log.length === 5, { what: 'four to be asked' });
    expect((await outcome(app.close())).error).toBeUndefined();
    await Promise.all(cut);
    expect(log.at(-1)).toBe('power down');
  });

  test('a teardown that never ends is named in time, and the others have their turn', async () => {
    const log: string[] = [];
    const stuck = definePlugin({ name: 'stuck', setup: () => {}, teardown: never });
    const app = await open([noting(log, 'power').with(), stuck.with()], { teardownTimeoutMs: 30 });
    const { error } = await outcome(app.close());
    expect(error).toBeInstanceOf(TeardownError);
    expect(error).toMatchObject({ errors: [{ plugin: 'stuck', code: 'PLUGIN_TEARDOWN_FAILED' }] });
    expect(String(error)).toContain('30 ms');
    expect(log).toEqual(['power up', 'power down']);
  });

  test('what fails in a hook of the end that a plugin adds itself is told with the others', async () => {
    const fails = async () => {
      throw new Error('a bulb of sesame, open');
    };
    const config = z.object({ key: secret() });
    for (const name of ['onClose', 'preClose'] as const) {
      const lamp = definePlugin({
        name: 'lamp',
        config,
        setup: ({ app }) => app.addHook(name, fails),
        teardown: fails,
      });
      const app = await open([lamp.with({ key: 'sesame, open' })]);
      const { error } = await outcome(app.close());
      expect(error).toMatchObject({ name: 'TeardownError', errors: [{}, {}] });
      expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('sesame');
      expect(await new Promise((resolve) => app.close(resolve as () => void))).toBe(error);
    }
  });

  test('two that close it at once share one end, and what became of it', async () => {
    const log: string[] = [];
    const fails = () => {
      throw new Error('a fuse');
    };
    const app = await open([noting(log, 'power', { teardown: fails }).with()]);
    const ends = await Promise.all([outcome(app.close()), outcome(app.close())]);
    for (const { error } of ends) expect(error).toBeInstanceOf(TeardownError);
    expect(log).toEqual(['power up', 'power down']);
  });

  test('what is closed while it begins to listen does not listen, and never will', async () => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const app = await open([till.with()]);
      const withCallback = host === '127.0.0.1' && Promise.withResolvers();
      const listening = withCallback
        ? withCallback.promise.finally(app.listen({ host, port: 0 }, withCallback.resolve) ?? null)
        : outcome(app.listen({ host, port: 0 }));
      await app.close();
      await listening;
      expect(app.server.listening, `listening on ${host}, closed`).toBe(false);
      expect((await outcome(app.listen(LOCAL))).error).toBeInstanceOf(AppClosedError);
      const told = await new Promise((resolve) => app.listen(LOCAL, resolve));
      expect(told).toBeInstanceOf(AppClosedError);
      expect(app.server.listening).toBe(false);
    }
  });

  test('nothing keeps the process alive when the app is closed', async () => {
    const child = spawn(process.execPath, [new URL('alone.ts', import.meta.url).pathname], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const said = text(child.stdout);
    const [code] = await once(child, 'close');
    expect([code, await said]).toEqual([0, 'closed\n']);
  });
});

describe('secrets', () => {
  const password = 'hunter2 "€/ü" hunter2';
  const bank = definePlugin({
    name: 'bank',
    config: z.object({ password: secret(), limit: z.int().default(1) }),
    setup: ({ app, config }) => {
      app.get('/config', (request) => {
        request.log.info(
          { config, given: config.password.reveal() },
          `with ${config.password} and ${config.password.reveal()}`,
        );
        return config;
      });
      app.get('/error', () => Promise.reject(new Error(`denied: ${config.password.reveal()}`)));
    },
  });
  const forms = [password, JSON.stringify(password).slice(1, -1), encodeURIComponent(password), 'hunter2'];
  const leaks = (text: string) => forms.filter((form) => text.includes(form));

  test('stand in no error of a configuration that is refused', async () => {
    const checks = z.object({
      password: secret(50),
      pin: secret().refine(() => false, { error: ({ input }) => `${input} is wrong` }),
    });
    const strict = definePlugin({ name: 'strict', config: checks, setup: () => {} });
    const config = { password, pin: password };
    const { error } = await outcome(buildApp({ plugins: [strict.with(config), bank.with({ password, limit: 1.5 })] }));
    expect(problemsOf(error).length).toBe(3);
    expect(leaks(inspect(error, { depth: 20, showHidden: true }))).toEqual([]);
  });

  test('stand in no error of a setup or a teardown, wherever these put them', async () => {
    const fail = (value: string) => {
      const error = Object.defineProperty(new TypeError(`Invalid URL of ${value}`), 'hidden', { value });
      throw Object.assign(error, {
        input: `postgres://u:${encodeURIComponent(value)}@db`,
      });
    };
    const config = z.object({ other: z.unknown(), url: z.object({ keys: z.map(z.string(), secret()) }) });
    const round: Record<string, unknown> = { nothing: null };
    round['round'] = round;
    const given = {
      url: {
        keys: new Map([
          ['b', password.slice(0, 9)],
          ['a', password],
        ]),
      },
      other: round,
    };
    const reveal = ({ url }: z.output<typeof config>) => url.keys.get('a')?.reveal() ?? '';
    const dials = definePlugin({ name: 'dials', config, setup: ({ config }) => fail(reveal(config)) });
    const hangsUp = definePlugin({
      name: 'hangs-up',
      config,
      setup: ({ config }) => config,
      teardown: (it) => fail(reveal(it)),
    });
    const failed = await outcome(buildApp({ plugins: [dials.with(given)] }));
    expect(failed.error).toMatchObject({ name: 'SetupError', cause: { name: 'TypeError' } });
    const app = await open([hangsUp.with(given)]);
    const closed = await outcome(app.close());
    for (const { error } of [failed, closed]) {
      const whole = inspect(error, { depth: 20, showHidden: true });
      expect(whole).toContain('Invalid URL of [secret]');
      expect(leaks(whole)).toEqual([]);
    }
  });

  test('are found in each form and at each place of an error, however large it is', async () => {
    const key = `-----KEY-----\na/b$c d'"\`\x1b\n-----END-----\n`;
    const url = new URL('postgres://db');
    url.password = key;
    url.search = `?${key}`;
    const large = { rows: Array.from({ length: 2e5 }, (_, id) => ({ id })), key };
    const deep = JSON.parse(`${'['.repeat(999)}${JSON.stringify(key)}${']'.repeat(999)}`);
    const places = [{ [key]: 1 }, [key], new Map([[key, 1]]), Buffer.from(key), url, { key: Symbol(key) }, large, deep];
    const texts = [url.href, encodeURI(key), `${new URLSearchParams({ key })}`, encodeURIComponent(key)];
    const thrown = [...places, ...places.map((at) => Object.assign(new Error('bad'), { at })), key, ...texts];
    const bank = definePlugin({
      name: 'bank',
      config: z.object({ key: secret(), number: z.int() }),
      setup: ({ config }) => {
        throw thrown[config.number];
      },
    });
    for (const number of thrown.keys()) {
      const { error } = await outcome(buildApp({ plugins: [bank.with({ key, number })] }));
      expect(error).toMatchObject({ cause: expect.any(Error) });
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : {};
      expect(cause, `of no. ${number}`).not.toHaveProperty('at');
      expect(inspect(error), `no. ${number}`).not.toMatch(/a(\/|%2f)b|-\[secret/i);
      if (typeof thrown[number] === 'string')
        expect(cause).toHaveProperty('message', expect.stringContaining('[secret]'));
    }
  });

  test('stand in no line of the log, and in no answer to an error', async () => {
    const lines: string[] = [];
    const app = await open([bank.with({ password })], { log: { write: (line) => lines.push(line) } });
    expect((await app.inject('/config')).json()).toEqual({ password: '[secret]', limit: 1 });
    const failed = await app.inject('/error');
    expect(failed.json()).toMatchObject({ statusCode: 500, message: 'denied: [secret]' });
    const log = lines.join('');
    expect(log).toContain('with [secret] and [secret]');
    expect(leaks(log + failed.body)).toEqual([]);
    expect(lines.every((line) => JSON.parse(line).level > 0)).toBe(true);
  });

  test('a secret shows itself to none who does not ask', () => {
    const it = new Secret(password);
    expect(
      [`${it}`, JSON.stringify({ it }), inspect([it]), `${String(it)}`, Object.keys(it).join()].join(''),
    ).not.toContain('hunter2');
    expect(it.reveal()).toBe(password);
    expect(secret().safeParse('short').success).toBe(false);
  });
});

function portOf(app: { readonly server: { address(): unknown } }): number {
  return z.object({ port: z.number() }).parse(app.server.address()).port;
}
