import { outcome } from '@shared/testkit';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  buildApp,
  definePlugin,
  InvalidAppError,
  PluginTeardownError,
  type Problem,
  SetupError,
  TeardownError,
} from '#lab';
import { get, noting, open, stall, till } from './hall.ts';

const problemsOf = (error: unknown): readonly Problem[] => {
  expect(error, 'what buildApp rejects with').toBeInstanceOf(InvalidAppError);
  return error instanceof InvalidAppError ? error.problems : [];
};

describe('a hall and its stalls', () => {
  test('two halls in one process share nothing, whatever was mounted in both', async () => {
    const plugins = [till.with({ currency: 'EUR' }), stall.at('/fish', { sells: 'eel', cents: 900 })];
    const [a, b] = [await open(plugins), await open(plugins)];
    expect(await get(a, '/fish/sell'), 'the first sale, by a stall that needs the till').toBe(
      'eel no. 1, till 900 EUR',
    );
    expect(await get(a, '/fish/sell')).toBe('eel no. 2, till 1800 EUR');
    expect(await get(b, '/fish/sell'), 'the first sale of the second hall').toBe('eel no. 1, till 900 EUR');
    await a.close();
    expect(await get(b, '/fish/sell'), 'sold when the first hall is closed').toBe('eel no. 2, till 1800 EUR');
  });

  test('all that is wrong in all configurations is told at once, and nothing has been set up', async () => {
    const log: string[] = [];
    const lamps = definePlugin({
      name: 'lamps',
      config: z.object({ count: z.int(), watts: z.number().default(40) }),
      setup: ({ config }) => log.push(`${config.count} × ${config.watts} W`),
    });
    const { error } = await outcome(
      buildApp({
        plugins: [
          noting(log, 'doors').with(),
          till.with({ currency: 'EURO' }),
          lamps.with({ count: 1.5, watts: Number.NaN }),
          stall.at('/fish', { sells: 'eel', cents: 900 }),
          stall.at('/bread', { sells: 'rye', cents: -3 }),
        ],
      }),
    );
    const told = problemsOf(error).map(({ kind, plugin, path }) => [kind, plugin, path]);
    expect(told, 'the problems').toEqual([
      ['config', 'till', 'currency'],
      ['config', 'lamps', 'count'],
      ['config', 'lamps', 'watts'],
      ['config', 'stall at /bread', 'cents'],
    ]);
    const alone = await outcome(buildApp({ plugins: [till.with({ currency: 'EURO' })] }));
    expect(problemsOf(alone.error).length, 'problems of one wrong value').toBe(1);
    expect(log, 'what had been set up').toEqual([]);
    await open([lamps.with({ count: 3 })]);
    expect(log, 'set up with its defaults').toEqual(['3 × 40 W']);
  });

  test('whoever depends on a plugin has what it provides, on the hall and in each stall', async () => {
    const bank = definePlugin({
      name: 'bank',
      dependencies: [till],
      setup: async ({ needs }) => ({ deposit: () => `deposited: ${needs.till.take(0)}` }),
    });
    const office = definePlugin({
      name: 'office',
      dependencies: [bank, till],
      setup: ({ app, needs }) => {
        app.get('/evening', () => needs.bank.deposit());
        app.get('/rent', () => needs.till.take(5000));
      },
    });
    const app = await open([
      till.with({ currency: 'CHF' }),
      bank.with(),
      stall.at('/fish', { sells: 'eel', cents: 900 }),
      office.at('/office'),
    ]);
    expect(await get(app, '/fish/sell'), 'sold by the fish stall').toBe('eel no. 1, till 900 CHF');
    expect(await get(app, '/office/rent'), 'the till, asked by the office').toBe('5900 CHF');
    expect(await get(app, '/office/evening'), 'the bank, that depends on the till itself').toBe('deposited: 5900 CHF');
  });

  test('a dependency that is not mounted on the hall is named before anything is set up', async () => {
    const log: string[] = [];
    const scales = noting(log, 'scales');
    const baker = noting(log, 'baker', { dependencies: [scales] });
    const { error } = await outcome(
      buildApp({ plugins: [baker.at('/bread'), stall.at('/fish', { sells: 'eel', cents: 0 }), scales.at('/scales')] }),
    );
    const told = problemsOf(error);
    expect(
      told.filter(({ kind }) => kind !== 'config').map(({ kind, plugin }) => [kind, plugin]),
      'what is missing, for whom',
    ).toEqual([
      ['missing', 'baker at /bread'],
      ['missing', 'stall at /fish'],
    ]);
    expect(told.find(({ plugin }) => plugin === 'stall at /fish')?.message).toContain('till');
    expect(
      told.map(({ kind }) => kind),
      'told together with the wrong price',
    ).toContain('config');
    expect(log, 'what had been set up').toEqual([]);
  });

  test('hooks and error handler of a stall are its own; those of the hall are everybody’s', async () => {
    const seen: string[] = [];
    const doorman = definePlugin({
      name: 'doorman',
      setup: ({ app }) => {
        app.addHook('onRequest', async ({ url }) => void seen.push(`doorman ${url}`));
      },
    });
    const cook = definePlugin({
      name: 'cook',
      setup: ({ app }) => {
        app.addHook('onRequest', async ({ url }) => void seen.push(`cook ${url}`));
        app.setErrorHandler((_, _request, reply) => reply.code(503).send('burnt'));
        app.get('/soup', () => Promise.reject(new Error('fire')));
      },
    });
    const florist = definePlugin({
      name: 'florist',
      setup: ({ app }) => {
        app.get('/rose', () => Promise.reject(Object.assign(new Error('wilted'), { statusCode: 410 })));
      },
    });
    const app = await open([doorman.with(), cook.at('/cook'), florist.at('/florist')]);
    const [soup, rose] = [await app.inject('/cook/soup'), await app.inject('/florist/rose')];
    expect([soup.statusCode, soup.body], 'the cook’s answer to an error').toEqual([503, 'burnt']);
    expect([rose.statusCode, rose.body], 'the florist’s').toEqual([410, expect.stringContaining('wilted')]);
    expect(seen, 'hooks, in the order of their requests').toEqual([
      'doorman /cook/soup',
      'cook /cook/soup',
      'doorman /florist/rose',
    ]);
  });

  test('one stall stands at two prefixes, each with its own configuration and state', async () => {
    const app = await open([
      till.with(),
      stall.at('/fish', { sells: 'eel', cents: 900 }),
      stall.at('/bread', { sells: 'rye', cents: 300 }),
    ]);
    expect(await get(app, '/fish/sell')).toBe('eel no. 1, till 900 EUR');
    expect(await get(app, '/bread/sell'), 'sold at the second place').toBe('rye no. 1, till 1200 EUR');
    expect(await get(app, '/fish/sell')).toBe('eel no. 2, till 2100 EUR');
  });

  test('at the end each is torn down once, the last one first, with what its setup returned', async () => {
    const log: string[] = [];
    const named = (name: string) =>
      definePlugin({
        name,
        setup: () => ({ key: `key of ${name}` }),
        teardown: async ({ key }) => {
          await Promise.resolve();
          log.push(key);
        },
      });
    const app = await open([named('power').with(), named('cold-room').with(), named('fish').at('/fish')]);
    expect(log, 'before the end').toEqual([]);
    await app.close();
    await app.close();
    expect(log, 'torn down').toEqual(['key of fish', 'key of cold-room', 'key of power']);
  });

  test('when one cannot be set up, it is named, and those before it are torn down in reverse', async () => {
    const log: string[] = [];
    const short = new Error('a short circuit');
    const fails = () => {
      throw short;
    };
    const { error } = await outcome(
      buildApp({
        plugins: [
          noting(log, 'power').with(),
          noting(log, 'cold-room').with(),
          noting(log, 'fish', { setup: fails }).at('/fish'),
          noting(log, 'bread').at('/bread'),
        ],
      }),
    );
    expect(error, 'what buildApp rejects with').toBeInstanceOf(SetupError);
    expect(error).toMatchObject({ plugin: 'fish at /fish', cause: short, code: 'SETUP_FAILED' });
    expect(log, 'what was set up, and torn down').toEqual([
      'power up',
      'cold-room up',
      'fish up',
      'cold-room down',
      'power down',
    ]);
  });

  test('a teardown that throws keeps no other one from its turn; all that failed is in one error', async () => {
    const log: string[] = [];
    const fails = (why: string) => ({
      teardown: () => {
        throw new Error(why);
      },
    });
    const app = await open([
      noting(log, 'power', fails('a fuse')).with(),
      noting(log, 'cold-room').with(),
      noting(log, 'fish', fails('a bone')).with(),
    ]);
    const { error } = await outcome(app.close());
    expect(log.slice(3), 'torn down').toEqual(['fish down', 'cold-room down', 'power down']);
    expect(error, 'what close() rejects with').toBeInstanceOf(TeardownError);
    const errors = error instanceof AggregateError ? error.errors : [];
    expect(
      errors.map((each) => each instanceof PluginTeardownError && [each.plugin, String(each.cause)]),
      'its errors',
    ).toEqual([
      ['fish', 'Error: a bone'],
      ['power', 'Error: a fuse'],
    ]);
  });
});
