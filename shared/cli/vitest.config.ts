import { defineConfig } from 'vitest/config';

// Most tests wait for processes that they start: two files at once, and patience on a busy machine. They read plain text.
export default defineConfig({ test: { maxWorkers: 2, testTimeout: 20_000, env: { NO_COLOR: '1' } } });
