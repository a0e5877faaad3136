import { createRequire } from 'node:module';
import { defineConfig } from 'vitest/config';

const { resolve } = createRequire(import.meta.url);

/** graphql as Node loads it: Vite would take its "module", yoga takes its "main", and neither knows the other's classes. */
export default defineConfig({
  plugins: [{ name: 'one-graphql', enforce: 'pre', resolveId: (id) => (id === 'graphql' ? resolve(id) : undefined) }],
});
