// Flaw: a start that fails is reported, and that is all: the connections of those before it stay open, and the process with them.
// Seen in: https://github.com/FlowFuse/flowfuse/pull/3182
// Caught by: when one cannot be set up, it is named, and those before it are torn down in reverse
import { type AppConfig, Assembly } from '../src/index.ts';

export * from '../src/index.ts';

class Flawed extends Assembly {
  protected override async undo(): Promise<void> {}
}

export const buildApp = async (config: AppConfig) => new Flawed(config).build();
