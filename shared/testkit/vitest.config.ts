import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defineConfig, mergeConfig } from 'vitest/config';
import { reporter } from './src/reporter.ts';
import { typeTests } from './src/type-tests.ts';

/**
 * The preset of every suite, run by `lab-test` in the package's own folder. Where that has a vitest.config.ts of its own
 * (for a transform, a global setup), what it says is added to the preset.
 */
const root = process.cwd();
const impl = process.env['LAB_IMPL'];
const trace = process.env['LAB_TRACE'];
const typecheck = trace === undefined ? undefined : typeTests(root, impl, dirname(trace));

const preset = defineConfig({
  root,
  // Without LAB_IMPL the lab's own import map decides.
  resolve: { alias: impl ? [{ find: /^#lab$/, replacement: resolve(root, impl) }] : [] },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: [resolve(import.meta.dirname, 'src/setup.ts')],
    // Processes, not threads: a test may be killed from outside even when it blocks its event loop.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 5000,
    hookTimeout: 10_000,
    teardownTimeout: 2000,
    reporters: trace === undefined ? ['default'] : [reporter(root)],
    allowOnly: !process.env['CI'],
    cache: false,
    ...(typecheck ? { typecheck } : {}),
  },
});

export default mergeConfig(preset, await ownConfig(resolve(root, 'vitest.config.ts')));

async function ownConfig(file: string): Promise<Record<string, unknown>> {
  if (file === import.meta.filename || !existsSync(file)) return {};
  const { default: config } = await import(pathToFileURL(file).href);
  return config;
}
