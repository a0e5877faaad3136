import { tell } from '@shared/story';
import fastify, { type FastifyInstance } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import { z } from 'zod';
import { buildApp, definePlugin, InvalidAppError, SetupError, TeardownError } from './src/index.ts';
import { farEnd } from './test/far-end.ts';

const options = {
  title: 'App factory and plugins 应用工厂与插件',
  subtitle: 'A market hall and its stalls: what they share, what they don’t, and who puts out the light',
  dir: import.meta.dirname,
};
const local = { host: '127.0.0.1', port: 0 };

const till = definePlugin({
  name: 'till',
  config: z.object({ currency: z.string().length(3).default('EUR') }),
  setup: () => {
    const takings: number[] = [];
    return { take: (cents: number) => takings.push(cents) };
  },
});
const stall = definePlugin({
  name: 'stall',
  config: z.object({ sells: z.string(), cents: z.int().positive() }),
  dependencies: [till],
  setup: ({ app, config, needs }) => {
    app.post('/sales', () => ({ sold: config.sells, receipt: needs.till.take(config.cents) }));
  },
});
const receipt = async (app: FastifyInstance, url = '/fish/sales') =>
  z.object({ receipt: z.number() }).parse((await app.inject({ method: 'POST', url })).json()).receipt;

await tell(options, async (story) => {
  await story.scene('The test that found another one’s takings', async () => {
    story.say(
      'A shop’s module makes its app when it is loaded, and 21 tests import it. Each sells one eel, and expects receipt no. 1. Then the same with a factory: each test builds a hall of its own.',
    );
    const global = fastify();
    const takings: number[] = [];
    global.post('/fish/sales', () => ({ receipt: takings.push(900) }));
    const factory = () => buildApp({ plugins: [till.with(), stall.at('/fish', { sells: 'eel', cents: 900 })] });
    const failed = { global: 0, factory: 0 };
    for (let test = 0; test < 21; test++) {
      if ((await receipt(global)) !== 1) failed.global++;
      const app = await factory();
      if ((await receipt(app)) !== 1) failed.factory++;
      await app.close();
    }
    story.table({
      columns: ['the app', 'tests', 'saw what another one had left'],
      rows: [
        ['made once, with its module', 21, failed.global],
        ['made by a factory', 21, failed.factory],
      ],
    });
    story.verdict('What is made with the module is everybody’s', `${failed.global} of 21 tests`, failed.global === 20);
    story.verdict('What a factory makes is its caller’s', `${failed.factory} of 21 tests`, failed.factory === 0);
  });

  await story.scene('Next door there is no till', async () => {
    story.say(
      'fastify alone: one plugin adds the till as a decorator, its neighbour sells. A plugin has walls, so the neighbour finds undefined, and nobody hears of it before the first customer.',
    );
    const plain = fastify();
    plain.register(async (app) => void app.decorate('till', { take: () => 1 }));
    plain.register(async (app) => {
      app.post('/fish/sales', () => ({ receipt: app.getDecorator<{ take: () => number }>('till').take() }));
    });
    await plain.ready();
    const post = (app: FastifyInstance) => app.inject({ method: 'POST', url: '/fish/sales' });
    const sales = async (app: FastifyInstance) => {
      const replies = await Promise.all(Array.from({ length: 10 }, () => post(app)));
      return replies.filter(({ statusCode }) => statusCode === 200).length;
    };
    const undeclared = await sales(plain);
    story.verdict('The app starts, and no customer is served', `${undeclared} of 10 sales`, undeclared === 0);
    const fish = stall.at('/fish', { sells: 'eel', cents: 900 });
    const refused = await buildApp({ plugins: [fish] }).catch((error: unknown) => error);
    const told = refused instanceof InvalidAppError ? refused.problems : [];
    story.say('Declared, it is missed before anything begins:');
    story.say(String(refused instanceof Error ? refused.message : refused));
    story.verdict(
      'A dependency that isn’t there is named',
      `${told.map(({ kind }) => kind)}`,
      told[0]?.kind === 'missing',
    );
    const app = await buildApp({ plugins: [till.with(), fish] });
    const declared = await sales(app);
    await app.close();
    story.verdict('And when it is there, it is handed over', `${declared} of 10 sales`, declared === 10);
  });

  await using far = await farEnd();
  const { dial, hangUp } = far;

  await story.scene('Five mistakes in one configuration', async () => {
    const line = (name: string) =>
      definePlugin({ name, config: z.object({ limit: z.int().positive() }), setup: dial, teardown: hangUp });
    const names = ['power', 'water', 'cold-room', 'scales', 'clock'];
    story.say(
      'Five plugins, five wrong limits; each opens a connection. Each time the start fails, all mistakes that it told of are mended. First as most do it, each checked when its turn comes.',
    );
    const mend = async (start: (limits: ReadonlyMap<string, number>) => Promise<readonly string[]>) => {
      const limits = new Map(names.map((name) => [name, -1]));
      const before = (await far.count()).ever;
      for (let starts = 1; ; starts++) {
        const wrong = await start(limits);
        for (const name of wrong) limits.set(name, 1);
        if (wrong.length === 0) return { starts, opened: (await far.count()).ever - before - names.length };
      }
    };
    const asItLoads = await mend(async (limits) => {
      const app = fastify();
      for (const [name, limit] of limits) {
        app.register(async (instance) => {
          if (limit < 1) throw Object.assign(new Error('a wrong limit'), { plugin: name });
          const socket = await dial();
          instance.addHook('onClose', () => hangUp(socket));
        });
      }
      const wrong = await app.ready().then(
        () => [],
        (error: { plugin: string }) => [error.plugin],
      );
      await app.close();
      return wrong;
    });
    const atOnce = await mend(async (limits) => {
      const plugins = [...limits].map(([name, limit]) => line(name).with({ limit }));
      try {
        await (await buildApp({ plugins })).close();
        return [];
      } catch (error) {
        return error instanceof InvalidAppError ? error.problems.map(({ plugin }) => plugin) : [];
      }
    });
    story.code('src/app.ts', { from: 'const problems = this.wiring', to: 'return checked' });
    story.table({
      columns: ['checked', 'starts until it runs', 'connections opened in vain'],
      rows: [
        ['as it loads', asItLoads.starts, asItLoads.opened],
        ['all at once, before', atOnce.starts, atOnce.opened],
      ],
    });
    story.verdict(
      'One mistake a start, with all doors opened up to it',
      `${asItLoads.starts} starts, ${asItLoads.opened} connections`,
      asItLoads.starts === 6 && asItLoads.opened === 10,
    );
    story.verdict(
      'All mistakes at once, before any door is opened',
      `${atOnce.starts} starts, ${atOnce.opened} connections`,
      atOnce.starts === 2 && atOnce.opened === 0,
    );
  });

  await story.scene('Walls', async () => {
    story.say(
      'The cook writes down who comes to him, and calls each error “burnt”. Next door is a florist. Thirty customers come to her, and ten of her roses are wilted. With fastify-plugin around every plugin there is no wall between the two.',
    );
    let noted = 0;
    const cook = async (it: FastifyInstance) => {
      it.addHook('onRequest', async () => void noted++);
      it.setErrorHandler((_error, _request, reply) => reply.code(500).send('burnt'));
    };
    const florist = async (it: FastifyInstance) => {
      it.get('/:n', async ({ url }) => {
        if (Number(url.split('/').at(-1)) % 3 === 0) throw new Error('wilted');
        return 'a rose';
      });
    };
    const visit = async (app: FastifyInstance, path: string) => {
      noted = 0;
      let burnt = 0;
      for (let n = 1; n <= 30; n++) if ((await app.inject(`${path}/${n}`)).body === 'burnt') burnt++;
      await app.close();
      return { noted, burnt };
    };
    const open = fastify();
    for (const plugin of [cook, florist]) open.register(fastifyPlugin(plugin));
    const none = await visit(open, '');
    const plugins = [
      definePlugin({ name: 'cook', setup: ({ app }) => cook(app) }).at('/cook'),
      definePlugin({ name: 'florist', setup: ({ app }) => florist(app) }).at('/roses'),
    ];
    const walls = await visit(await buildApp({ plugins }), '/roses');
    story.table({
      columns: ['plugins', 'noted by the cook', '“burnt” roses'],
      rows: [
        ['all in fastify-plugin', none.noted, none.burnt],
        ['as stalls', walls.noted, walls.burnt],
      ],
    });
    story.verdict(
      'Without walls the cook is everywhere',
      `${none.noted} noted, ${none.burnt} burnt`,
      none.noted === 30 && none.burnt === 10,
    );
    story.verdict(
      'A stall’s hooks and errors are its own',
      `${walls.noted} noted, ${walls.burnt} burnt`,
      walls.noted + walls.burnt === 0,
    );
  });

  await story.scene('The light that stays on', async () => {
    const log: string[] = [];
    const line = (name: string, works = true) =>
      definePlugin({
        name,
        setup: async () => {
          if (!works) throw new Error('the fuse has blown');
          return dial();
        },
        teardown: async (socket) => {
          log.push(name);
          await hangUp(socket);
        },
      });
    story.say(
      'Power, water and the cold room open a connection each, then the scales fail. How many are left, seen from the far end?',
    );
    const plain = fastify();
    for (let n = 0; n < 3; n++) {
      plain.register(async (it) => {
        const socket = await dial();
        it.addHook('onClose', () => hangUp(socket));
      });
    }
    plain.register(async () => Promise.reject(new Error('the fuse has blown')));
    await plain.ready().then(null, () => {});
    const left = (await far.count()).open;
    await plain.close();
    const plugins = [line('power'), line('water'), line('cold-room'), line('scales', false)].map((each) => each.with());
    const error = await buildApp({ plugins }).catch((reason: unknown) => reason);
    const { open } = await far.count();
    story.say(`${error}`);
    story.verdict(
      'fastify alone reports it, and waits for somebody to call close()',
      `${left} connections`,
      left === 3,
    );
    story.verdict(
      'A start that fails is undone, the last one first',
      `${open} connections; ${log.join(', ')}`,
      error instanceof SetupError && open === 0 && log.join() === 'cold-room,water,power',
    );
  });

  await story.scene('Closing time', async () => {
    story.say('Twenty customers are being served when the hall is closed, and the water’s teardown throws.');
    const log: string[] = [];
    const power = definePlugin({
      name: 'power',
      setup: () => ['on'],
      teardown: (light) => {
        log.push('power');
        light.pop();
      },
    });
    const water = definePlugin({
      name: 'water',
      setup: () => {},
      teardown: () => {
        log.push('water');
        throw new Error('a burst pipe');
      },
    });
    let inside = 0;
    const gate = Promise.withResolvers<void>();
    const fish = definePlugin({
      name: 'fish',
      dependencies: [power],
      setup: ({ app, needs }) => {
        app.get('/', async () => {
          inside++;
          await gate.promise;
          return `served, power ${needs.power}`;
        });
      },
      teardown: () => void log.push('fish'),
    });
    const app = await buildApp({ plugins: [power.with(), water.with(), fish.at('/fish')] });
    const url = await app.listen(local);
    const served = Promise.all(Array.from({ length: 20 }, async () => (await fetch(`${url}/fish`)).text()));
    while (inside < 20) await far.count();
    const closed = app.close().catch((error: unknown) => error);
    await far.count();
    gate.resolve();
    const lit = (await served).filter((text) => text === 'served, power on').length;
    const error = await closed;
    story.verdict('Who is inside is served first, with the light on', `${lit} of 20`, lit === 20);
    story.verdict('Then all is torn down, in reverse', log.join(', '), log.join() === 'fish,water,power');
    story.say(`${error}`);
    story.verdict(
      'One that fails keeps no other one from its turn, and is told',
      `${error instanceof TeardownError ? error.errors.length : 0} of 3 failed`,
      error instanceof TeardownError && error.errors.length === 1,
    );
  });
});
