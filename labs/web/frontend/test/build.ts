import { existsSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { build } from 'vite';

const lab = join(import.meta.dirname, '..');
export const views = ['react', 'vue'] as const;
export type View = (typeof views)[number];

export interface Asset {
  readonly type: string;
  readonly body: string | Uint8Array;
}

/** Both pages' scripts and their style, by path. With LAB_IMPL the views stand on that implementation. */
export async function buildApp(): Promise<ReadonlyMap<string, Asset>> {
  const impl = process.env['LAB_IMPL'] || 'src/index.ts';
  const output = await build({
    root: lab,
    configFile: false,
    logLevel: 'error',
    // What compiles JSX. Whoever runs this may have another NODE_ENV (a test), and React's scripts are of one kind or the other.
    oxc: { jsx: { runtime: 'automatic', development: false } },
    define: { 'process.env.NODE_ENV': '"production"', __VUE_OPTIONS_API__: 'false', __VUE_PROD_DEVTOOLS__: 'false' },
    plugins: [
      {
        name: 'lab-impl',
        enforce: 'pre',
        resolveId: (source, importer = '') => {
          // A whole copy of src/ brings its own views.
          const own = resolve(lab, impl, '..', basename(source));
          if (/^\.\.\/\.\.\/src\/(react\.tsx|vue\.ts)$/.test(source) && existsSync(own)) return own;
          const core = source === '#lab' || (source === './index.ts' && /src\/(react|vue|shop)\.tsx?$/.test(importer));
          return core ? resolve(lab, impl) : undefined;
        },
      },
    ],
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: {
        input: Object.fromEntries(views.map((view) => [view, join(lab, `test/app/${view}.ts`)])),
        output: { entryFileNames: '[name].js', chunkFileNames: '[name].js', assetFileNames: '[name][extname]' },
      },
    },
  });
  const parts = [output].flat().flatMap((each) => ('output' in each ? each.output : []));
  return new Map(
    parts.map((part) => [
      `/${part.fileName}`,
      part.type === 'chunk' ? { type: 'text/javascript', body: part.code } : { type: 'text/css', body: part.source },
    ]),
  );
}
