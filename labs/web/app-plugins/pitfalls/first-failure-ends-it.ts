// Flaw: the first teardown that throws is the last that is called.
// Seen in: https://github.com/nestjs/nest/issues/17039
// Caught by: a teardown that throws keeps no other one from its turn; all that failed is in one error
import { type AppConfig, Assembly, type Mount } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async tearDown(mount: Mount, teardown: () => Promise<void>): Promise<void> {
    if (this.teardownFailures.length === 0) await super.tearDown(mount, teardown);
  }
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
