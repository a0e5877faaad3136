// Flaw: what a plugin provides stays in its own, encapsulated instance: its siblings find undefined.
// Seen in: https://github.com/fastify/fastify/issues/1015
// Caught by: whoever depends on a plugin has what it provides, on the hall and in each stall
import type { FastifyInstance } from 'fastify';
import { type AppConfig, Assembly, type Checked, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override setUp(app: FastifyInstance, mount: Mount, checked: Checked): Promise<void> {
    const setup: Checked['setup'] = (instance, _, signal) => checked.setup(instance, new Map(), signal);
    return super.setUp(app, mount, { ...checked, setup });
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
