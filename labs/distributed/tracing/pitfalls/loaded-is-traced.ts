// Flaw: a module that could be loaded is taken for one that is traced. Its spans are missing, and nothing says so.
// Seen in: https://github.com/open-telemetry/opentelemetry-js-contrib/issues/1693
// Caught by: a module that is not patched stops the start, and is named
import type { Modules } from '../src/index.ts';

export * from '../src/index.ts';

export async function assertPatched(modules: Modules): Promise<void> {
  for (const load of Object.values(modules)) await load();
}
