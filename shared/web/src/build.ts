import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

/** The files of the page, by the path under which a browser asks for them, without the leading slash. */
export type PageFiles = ReadonlyMap<string, Buffer>;

const here = import.meta.dirname;
const cache = join(here, '../node_modules/.cache/page');

/**
 * The page's own files: built by Vite once, and again when a source of theirs has changed; what is there is used.
 *
 * @throws what Vite says of a source that can't be built
 */
export async function buildPage(): Promise<PageFiles> {
  const built = join(cache, await fingerprint());
  if (!(await isThere(built))) await build(built);
  const names = ['page.js', 'page.css'];
  const own = await Promise.all(
    names.map(async (name): Promise<[string, Buffer]> => [name, await readFile(join(built, name))]),
  );
  const mermaid = createRequire(import.meta.url).resolve('@mermaid-js/tiny/dist/mermaid.tiny.js');
  return new Map([...own, ['mermaid.js', await readFile(mermaid)]]);
}

/** Vite loads in a third of a second, and only for this. Built aside and renamed: half a build is never used. */
async function build(final: string): Promise<void> {
  const { build: bundle } = await import('vite');
  await mkdir(cache, { recursive: true });
  const aside = await mkdtemp(join(cache, 'aside-'));
  try {
    await bundle({
      configFile: false,
      root: here,
      logLevel: 'warn',
      define: { 'process.env.NODE_ENV': '"production"' },
      oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
      build: {
        outDir: aside,
        emptyOutDir: false,
        // A classic script: a page opened from a folder may load no module.
        lib: {
          entry: join(here, 'page/main.tsx'),
          formats: ['iife'],
          name: 'conceptLabsPage',
          fileName: () => 'page.js',
          cssFileName: 'page',
        },
      },
    });
    // Another process may have built the same meanwhile, and read it now.
    for (const old of await readdir(cache))
      if (!old.startsWith('aside-') && old !== basename(final))
        await rm(join(cache, old), { recursive: true, force: true });
    await rename(aside, final);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    if (!(await isThere(final))) throw error;
  }
}

const isThere = (dir: string): Promise<boolean> =>
  readFile(join(dir, 'page.js')).then(
    () => true,
    () => false,
  );

/** Of everything that the build reads: its own sources, and the versions of what they import. */
async function fingerprint(): Promise<string> {
  const hash = createHash('sha256');
  const names = (await readdir(here, { recursive: true })).filter((name) => /\.(tsx?|css)$/.test(name)).sort();
  for (const name of names) hash.update(`${name}\0`).update(await readFile(join(here, name)));
  for (const name of ['preact', 'marked', 'highlight.js', 'vite', '@mermaid-js/tiny']) {
    hash.update(await readFile(join(here, '../node_modules', name, 'package.json')));
  }
  return hash.digest('hex').slice(0, 16);
}
