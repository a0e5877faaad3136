// Flaw: nobody looks whether a dependency is there: the app starts, and the first request finds undefined.
// Seen in: https://github.com/fastify/help/issues/838
// Caught by: a dependency that is not mounted on the hall is named before anything is set up
import { type AppConfig, Assembly, type Checked, InvalidAppError, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async check(): Promise<[Mount, Checked][]> {
    const checks = await Promise.all(this.mounts.map(async (mount) => ({ mount, result: await mount.check() })));
    const problems = checks.flatMap(({ result }) => result.problems ?? []);
    if (problems.length > 0) throw new InvalidAppError(problems);
    return checks.flatMap(({ mount, result }): [Mount, Checked][] => (result.problems ? [] : [[mount, result]]));
  }

  protected override register(...[app, mount, checked]: Parameters<Assembly['register']>): void {
    super.register(app, { ...mount, dependencies: [] }, checked);
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
