import { defineConfig } from 'vitest/config';

// Most tests wait for processes that they start: two files at once, and patience on a busy machine.
export default defineConfig({ test: { maxWorkers: 2, testTimeout: 20_000 } });
