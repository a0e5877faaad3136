import { join } from 'node:path';
import { transform } from 'esbuild';
import { defineConfig } from 'vitest/config';

const tests = join(import.meta.dirname, 'test/');
const legacy = join(tests, 'legacy/');

/** Vite's own transform lowers legacy decorators (test/legacy, see its tsconfig.json) and leaves standard ones alone. */
export default defineConfig({
  plugins: [
    {
      name: 'standard-decorators',
      enforce: 'pre',
      transform(code, id) {
        if (!id.startsWith(tests) || id.startsWith(legacy)) return undefined;
        return transform(code, { loader: 'ts', target: 'node24', sourcefile: id, sourcemap: true, tsconfigRaw: {} });
      },
    },
  ],
});
