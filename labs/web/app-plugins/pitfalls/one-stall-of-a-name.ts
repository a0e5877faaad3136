// Flaw: a stall is known by its name, wherever it stands: its second place gets the configuration of the first.
// Seen in: https://github.com/pallets/flask/issues/1091
// Caught by: one stall stands at two prefixes, each with its own configuration and state
import { type AppConfig, Assembly, type Checked, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async check(): Promise<[Mount, Checked][]> {
    const known = new Map<string, Checked>();
    return (await super.check()).map(([mount, checked]) => {
      const first = known.get(mount.name) ?? checked;
      known.set(mount.name, first);
      return [mount, first];
    });
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
