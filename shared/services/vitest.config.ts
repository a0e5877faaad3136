import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Whatever this machine has set up: the tests say themselves when a URL or a container shall be used.
    env: { LABS_SERVICES: 'embedded', REDIS_URL: '', DATABASE_URL: '', KAFKA_URL: '', KAFKA_BROKERS: '' },
    globalSetup: './test/prepare.ts',
    // Most of the time the tests wait for servers, not for a processor.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
