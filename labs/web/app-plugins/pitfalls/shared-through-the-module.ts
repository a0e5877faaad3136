// Flaw: each app is made anew, but what plugins provide is kept beside it, in the module: the second hall pays into the first one's till.
// Seen in: https://github.com/express-validator/express-validator/pull/337
// Caught by: two halls in one process share nothing, whatever was mounted in both
import { type AppConfig, Assembly } from '../src/index.ts';

export * from '../src/index.ts';

const provided = new Map<string, unknown>();
provided.set = (name, value) => (provided.has(name) ? provided : Map.prototype.set.call(provided, name, value));

class Flawed extends Assembly {
  protected override readonly provided = provided;
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
