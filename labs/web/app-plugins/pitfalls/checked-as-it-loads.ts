// Flaw: each plugin's configuration is checked when its turn has come: those before it have opened their doors by then.
// Seen in: https://github.com/sloria/environs/issues/56
// Caught by: all that is wrong in all configurations is told at once, and nothing has been set up
import { type AppConfig, Assembly, type Checked, InvalidAppError, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async check(): Promise<[Mount, Checked][]> {
    return this.mounts.map((mount) => {
      const setup: Checked['setup'] = async (...given) => {
        const checked = await mount.check();
        if (checked.problems) throw new InvalidAppError(checked.problems);
        return checked.setup(...given);
      };
      return [mount, { config: {}, setup }];
    });
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
