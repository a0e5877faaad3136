// Flaw: plugins are torn down in the order of their setup: the till closes before the stalls that pay into it.
// Seen in: https://github.com/helidon-io/helidon/pull/10240
// Caught by: at the end each is torn down once, the last one first, with what its setup returned
import type { FastifyInstance } from 'fastify';
import { type AppConfig, Assembly, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  readonly #ends: (() => Promise<void>)[] = [];

  protected override create(): FastifyInstance {
    const app = super.create();
    app.addHook('onClose', async () => {
      for (const end of this.#ends) await end();
    });
    return app;
  }

  protected override async tearDown(mount: Mount, teardown: () => Promise<void>): Promise<void> {
    this.#ends.unshift(() => super.tearDown(mount, teardown));
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
