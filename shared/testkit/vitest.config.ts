import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';
import { reporter } from './src/reporter.ts';

/**
 * The preset of every suite, run by `lab-test` in the package's own folder. A lab that must have a vitest.config.ts of its
 * own merges this one: `mergeConfig(preset, defineConfig({ … }))`.
 */
const root = process.cwd();
const impl = process.env['LAB_IMPL'];
const implementation = impl ? resolve(root, impl) : undefined;
export default defineConfig({
  root,
  // Without LAB_IMPL the lab's own import map decides.
  resolve: { alias: implementation ? [{ find: /^#lab$/, replacement: implementation }] : [] },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: [resolve(import.meta.dirname, 'src/setup.ts')],
    // Processes, not threads: a test may be killed from outside even when it blocks its event loop.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 5000,
    hookTimeout: 10_000,
    teardownTimeout: 2000,
    reporters: process.env['LAB_TRACE'] ? [reporter(root)] : ['default'],
    allowOnly: !process.env['CI'],
    cache: false,
  },
});
