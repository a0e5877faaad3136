import { globSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import type { InlineConfig } from 'vitest/node';

const include = ['test/**/*.test-d.ts'];

/**
 * What vitest needs to run the type tests of a package (test/types.test-d.ts), which it has the compiler check; undefined
 * where there are none. `#lab` means `impl` there too.
 *
 * @param scratch A folder that is gone after the run.
 */
export function typeTests(root: string, impl: string | undefined, scratch: string): InlineConfig['typecheck'] {
  const files = globSync(include, { cwd: root });
  if (files.length === 0) return undefined;
  const tsconfig = join(scratch, 'tsconfig.json');
  const paths = impl === undefined ? {} : { paths: { '#lab': [resolve(root, impl)] } };
  // The file stands outside the package, so it must say where the package's ambient types are.
  const compilerOptions = { typeRoots: ancestors(root).map((dir) => join(dir, 'node_modules/@types')), ...paths };
  writeFileSync(
    tsconfig,
    JSON.stringify({
      extends: join(root, 'tsconfig.json'),
      compilerOptions,
      include: [],
      files: files.map((file) => join(root, file)),
    }),
  );
  const typescript = dirname(createRequire(import.meta.url).resolve('typescript/package.json'));
  // Errors in the implementation itself are for whoever compiles it; the laws are about what it promises.
  return { enabled: true, include, tsconfig, checker: join(typescript, 'bin/tsc'), ignoreSourceErrors: true };
}

function ancestors(dir: string): readonly string[] {
  const parent = dirname(dir);
  return parent === dir ? [dir] : [dir, ...ancestors(parent)];
}
