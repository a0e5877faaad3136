// Flaw: every plugin is encapsulated, those of the hall too: the doorman's hook sees nobody.
// Seen in: https://github.com/fastify/fastify/issues/4547
// Caught by: hooks and error handler of a stall are its own; those of the hall are everybody’s
import type { FastifyInstance } from 'fastify';
import { type AppConfig, Assembly, type Checked, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override register(app: FastifyInstance, mount: Mount, checked: Checked): void {
    app.register(async (instance) => this.setUp(instance, mount, checked), { prefix: mount.prefix ?? '' });
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
