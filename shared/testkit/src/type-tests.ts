import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { TestUserConfig } from 'vitest/node';

/** Where the type tests of a package are. */
export const typeTestFiles = 'test/**/*.test-d.ts';

export const isTypeTest = (file: string): boolean => file.endsWith('.test-d.ts');

/**
 * What vitest needs to run type tests (test/types.test-d.ts), which it has the compiler check. `#lab` means `impl` there
 * too.
 *
 * @param files Relative to `root`.
 * @param impl Absolute.
 * @param scratch A folder that is gone after the run.
 */
export function typeTests(
  root: string,
  files: readonly string[],
  impl: string | undefined,
  scratch: string,
): NonNullable<TestUserConfig['typecheck']> {
  const tsconfig = join(scratch, 'tsconfig.json');
  const paths = impl === undefined ? {} : { paths: { '#lab': [impl] } };
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
  return {
    enabled: true,
    include: [typeTestFiles],
    tsconfig,
    checker: join(typescript, 'bin/tsc'),
    ignoreSourceErrors: true,
  };
}

function ancestors(dir: string): readonly string[] {
  const parent = dirname(dir);
  return parent === dir ? [dir] : [dir, ...ancestors(parent)];
}
