// Flaw: the first plugin whose configuration is wrong ends the check: mend, start, find the next one.
// Seen in: https://github.com/adonisjs/env/issues/20
// Caught by: all that is wrong in all configurations is told at once, and nothing has been set up
import { type AppConfig, Assembly, type Checked, InvalidAppError, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async check(): Promise<[Mount, Checked][]> {
    for (const mount of this.mounts) {
      const { problems } = await mount.check();
      if (problems) throw new InvalidAppError(problems);
    }
    return super.check();
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
