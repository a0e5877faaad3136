import { defineConfig } from '@playwright/test';
import { evidence } from '#lab';

export default defineConfig({
  testDir: '.',
  outputDir: process.env['E2E_OUT'] ?? '../../.results/specs',
  fullyParallel: true,
  timeout: 60_000,
  expect: { timeout: 30_000 },
  use: evidence,
});
