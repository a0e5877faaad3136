import type { FastifyInstance } from 'fastify';
import { onTestFinished } from 'vitest';
import { z } from 'zod';
import { type AppConfig, buildApp, definePlugin, type Mount, type Plugin } from '#lab';

/** Builds an app that is closed when the test ends. */
export async function open(plugins: readonly Mount[], more: Omit<AppConfig, 'plugins'> = {}): Promise<FastifyInstance> {
  const app = await buildApp({ ...more, plugins });
  onTestFinished(() => app.close().catch(() => {}));
  return app;
}

/** The body of a GET, and nothing else of it. */
export const get = async (app: FastifyInstance, url: string): Promise<string> => (await app.inject(url)).body;

/** The hall's till, that counts what all stalls have taken. */
export const till = definePlugin({
  name: 'till',
  config: z.object({ currency: z.string().length(3).default('EUR') }),
  setup: ({ config }) => {
    let cents = 0;
    const take = (more: number) => {
      cents += more;
      return `${cents} ${config.currency}`;
    };
    return { take };
  },
});

/** A stall that takes its price for each thing sold. */
export const stall = definePlugin({
  name: 'stall',
  config: z.object({ sells: z.string(), cents: z.int().positive() }),
  dependencies: [till],
  setup: ({ app, config, needs }) => {
    let sold = 0;
    app.get('/sell', () => `${config.sells} no. ${++sold}, till ${needs.till.take(config.cents)}`);
  },
});

/** Writes down when it is set up and torn down. */
export const noting = <const Name extends string>(
  log: string[],
  name: Name,
  more: {
    dependencies?: readonly Plugin[];
    setup?: () => unknown;
    teardown?: () => void;
  } = {},
) =>
  definePlugin({
    name,
    dependencies: more.dependencies ?? [],
    setup: async () => {
      log.push(`${name} up`);
      await more.setup?.();
    },
    teardown: () => {
      log.push(`${name} down`);
      more.teardown?.();
    },
  });
