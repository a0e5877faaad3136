import { defineConfig } from 'vitest/config';

export default defineConfig({
  // The process tests start many a demo; on a busy machine each start takes its time.
  test: { testTimeout: 30_000 },
});
