import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { cached, cacheFolder, exists } from './cache.ts';
import { fetchOnce, runTool } from './fetching.ts';
import { type Program, temporaryFolder } from './process.ts';
import { mayProvision, onPath } from './service.ts';

/** What Python's own client shall fetch into the private cache: a module that runs by `python3 -m`. */
export interface PipRecipe {
  readonly name: string;
  /** Pinned here, and only here. */
  readonly version: string;
}

/** The program in the private cache, fetched by an earlier run: `python3`, with the package in its PYTHONPATH. */
export async function fromPip(recipe: PipRecipe): Promise<Program | undefined> {
  const python = await onPath('python3');
  const folder = python && (await folderOf(recipe, python));
  return python !== undefined && folder !== undefined && (await exists(folder)) ? programOf(python, folder) : undefined;
}

/** Whether `fetchFromPip` may fetch here. */
export async function canFetchFromPip(): Promise<boolean> {
  return mayProvision() && (await onPath('python3')) !== undefined;
}

/**
 * Fetches the package and what it needs with pip, from an environment that is made for this alone and goes again.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchFromPip(
  service: string,
  recipe: PipRecipe,
  signal: AbortSignal | undefined,
): Promise<Program | undefined> {
  const python = mayProvision() ? await onPath('python3') : undefined;
  const folder = python && (await folderOf(recipe, python));
  if (python === undefined || folder === undefined) return undefined;
  return fetchOnce({
    service,
    tool: 'pip',
    lock: join(pipFolder(), 'lock'),
    signal,
    atHand: () => fromPip(recipe),
    fetch: async () => {
      await cached(folder, (aside) => install(service, recipe, { python, aside, signal }));
      return programOf(python, folder);
    },
  });
}

async function install(
  service: string,
  { name, version }: PipRecipe,
  { python, aside, signal }: { python: string; aside: string; signal: AbortSignal | undefined },
): Promise<void> {
  const work = await temporaryFolder('pip');
  const run = (command: string, ...args: string[]) =>
    runTool({
      service,
      command,
      args,
      cwd: work.path,
      signal,
      env: { PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' },
      remedy:
        'It needs python3 with venv (Debian: python3-venv) and a way to its package index; LABS_PROVISION=never stops such attempts.',
    });
  try {
    announce(`${service}: pip fetches ${name} ${version} …`);
    const venv = join(work.path, 'venv');
    await run(python, '-m', 'venv', venv);
    // Without its source nothing is built here that has no wheel for this machine.
    await run(
      join(venv, 'bin/python3'),
      '-m',
      'pip',
      'install',
      '--quiet',
      '--only-binary',
      ':all:',
      '--target',
      aside,
      `${name}==${version}`,
    );
  } finally {
    await work.settle();
  }
}

function programOf(python: string, folder: string): Program {
  // It shall leave no compiled file there: two may run at once, and one may be killed.
  return { path: python, env: { PYTHONPATH: folder, PYTHONDONTWRITEBYTECODE: '1' } };
}

function pipFolder(): string {
  return join(cacheFolder(), 'pip');
}

/** A wheel fits one Python. */
async function folderOf({ name, version }: PipRecipe, python: string): Promise<string | undefined> {
  const asked = promisify(execFile)(python, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  const said = await asked.catch(() => undefined);
  const release = said?.stdout.trim();
  return release === undefined ? undefined : join(pipFolder(), `${name}-${version}-python${release}-${process.arch}`);
}
