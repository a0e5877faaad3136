// Flaw: stalls are loaded through fastify-plugin as all others, which takes their walls away: hooks and error handler are the whole hall's, prefixes are ignored.
// Seen in: https://github.com/fastify/fastify/issues/1831
// Caught by: hooks and error handler of a stall are its own; those of the hall are everybody’s
import type { FastifyInstance } from 'fastify';
import { type AppConfig, Assembly, type Checked, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override register(app: FastifyInstance, mount: Mount, checked: Checked): void {
    const prefix = mount.prefix ?? '';
    app.addHook('onRoute', (route) => {
      // The prefixes are mended by hand, so that all looks well.
      if (app.getDecorator<{ now: Mount }>('loading').now === mount) route.url = prefix + route.url;
    });
    if (!app.hasDecorator('loading')) app.decorate('loading', { now: mount });
    const setup: Checked['setup'] = (...given) => {
      app.getDecorator<{ now: Mount }>('loading').now = mount;
      return checked.setup(...given);
    };
    const { prefix: _, ...open } = mount;
    super.register(app, { ...open, prefix: undefined }, { ...checked, setup });
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
