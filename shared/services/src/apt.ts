import { execFile } from 'node:child_process';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { cached, cacheFolder, exists } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { fetchOnce, relink, runTool } from './fetching.ts';
import { type Program, temporaryFolder } from './process.ts';
import { mayProvision, onPath } from './service.ts';
import { release } from './system.ts';

/** What apt's own client shall fetch into the private cache. */
export interface AptRecipe {
  readonly packages: readonly string[];
  /** What to take instead where this release of the system has no such packages, in this order. */
  readonly instead?: readonly (readonly string[])[];
  /**
   * Of all that the packages need, take these, installed or not, and no others. For Java: its libraries look for each
   * other beside themselves, where a system's own are not, and of a program's other needs every system has enough.
   */
  readonly only?: RegExp;
  /** The program's path inside the packages: `usr/bin/redis-server`. */
  readonly program: string;
  /** How to ask it something, to see that it runs. Default `--version`. */
  readonly question?: readonly string[];
  /** It is a library: it cannot be asked. */
  readonly library?: true;
  /** Rewrites paths that the packages hold, before the tree moves to `final`. */
  relocate?(tree: string, final: string): Promise<void>;
}

const STALE_MS = 7 * 24 * 3600 * 1000;

/** Whether `provision` may fetch here: Debian or Ubuntu, apt's tools at hand, LABS_PROVISION not `never`. */
export async function canProvision(): Promise<boolean> {
  if (!mayProvision() || release().manager !== 'apt') return false;
  const tools = await Promise.all(['apt-get', 'dpkg-deb', 'flock'].map((tool) => onPath(tool)));
  return tools.every((tool) => tool !== undefined);
}

/** The program in the private cache, fetched by an earlier run. */
export async function provisioned(service: string, recipe: AptRecipe): Promise<Program | undefined> {
  const tree = treeFolder(service);
  if (!(await exists(join(tree, recipe.program)))) return undefined;
  const program = { path: join(tree, recipe.program), env: { LD_LIBRARY_PATH: await libraries(tree) } };
  if (recipe.library) return program;
  // A library that was the system's then may be gone since.
  const { question = ['--version'] } = recipe;
  const runs = await promisify(execFile)(program.path, question, { env: { ...process.env, ...program.env } }).then(
    () => true,
    () => false,
  );
  return runs ? program : undefined;
}

/**
 * Fetches the packages with apt's own client and unpacks them into the private cache. Needs no root, installs nothing,
 * leaves the system's apt alone. Of several processes at once one fetches and the others wait. Links from one package
 * into another are made to point into the tree.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError with apt's words
 */
export async function provision(
  service: string,
  recipe: AptRecipe,
  signal?: AbortSignal,
): Promise<Program | undefined> {
  if (!(await canProvision())) return undefined;
  return fetchOnce({
    service,
    tool: 'apt',
    lock: aptFolder('lock'),
    signal,
    atHand: () => provisioned(service, recipe),
    fetch: async () => {
      await mkdir(aptFolder('state', 'lists', 'partial'), { recursive: true });
      await mkdir(aptFolder('cache', 'archives', 'partial'), { recursive: true });
      // Not there, or no longer working: then it is in the way.
      await rm(treeFolder(service), { recursive: true, force: true });
      await cached(treeFolder(service), (aside) => new Apt(service, signal).fetch(recipe, aside));
      const program = await provisioned(service, recipe);
      if (program !== undefined) return program;
      const folder = treeFolder(service);
      throw new ProvisionError(service, `apt's package does not run here. Remove ${folder} and report this.`);
    },
  });
}

class Apt {
  readonly #service: string;
  readonly #signal: AbortSignal | undefined;
  #warnings = '';

  constructor(service: string, signal: AbortSignal | undefined) {
    this.#service = service;
    this.#signal = signal;
  }

  async fetch(recipe: AptRecipe, tree: string): Promise<void> {
    const work = await temporaryFolder('apt');
    try {
      const config = join(work.path, 'apt.conf');
      // As if nothing were installed: then apt names all that the packages need.
      const blank = recipe.only === undefined ? undefined : join(work.path, 'status');
      if (blank !== undefined) await writeFile(blank, '');
      await writeFile(config, settings(blank));
      const apt = (...args: string[]) => this.#run('apt-get', ['-c', config, ...args], work.path);
      const refreshed = !(await listsAreFresh());
      if (refreshed) await this.#refresh(apt);
      try {
        await this.#download(apt, recipe);
      } catch (error) {
        // The lists name versions that the archive no longer holds: ask again.
        if (refreshed || this.#signal?.aborted) throw error;
        await this.#refresh(apt);
        await this.#download(apt, recipe);
      }
      await mkdir(tree);
      for (const file of await readdir(work.path)) {
        if (file.endsWith('.deb')) await this.#run('dpkg-deb', ['-x', join(work.path, file), tree], work.path);
      }
      await relink(tree, treeFolder(this.#service));
      await recipe.relocate?.(tree, treeFolder(this.#service));
    } finally {
      await work.settle();
    }
  }

  async #refresh(apt: (...args: string[]) => Promise<string>): Promise<void> {
    announce(`${this.#service}: apt reads the package lists …`);
    // A failing third-party source is no obstacle as long as the packages are found; if they are not, it is the reason.
    const words = await apt('update').catch((error: unknown) => {
      this.#signal?.throwIfAborted();
      return String(error);
    });
    this.#warnings = [...words.matchAll(/^[\s|]*((?:E|W|Err):.*)$/gm)].map(([, line]) => `${line}\n`).join('');
    if (this.#warnings === '') await writeFile(aptFolder('refreshed'), '');
  }

  async #download(apt: (...args: string[]) => Promise<string>, recipe: AptRecipe): Promise<void> {
    const { packages, plan } = await this.#plan(apt, recipe);
    const needed = [...plan.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? []);
    const names = [...new Set([...packages, ...needed.filter((name) => recipe.only?.test(name) ?? true)])];
    const list = names.length > 12 ? `${names.slice(0, 8).join(' ')} and ${names.length - 8} more` : names.join(' ');
    announce(`${this.#service}: apt downloads ${names.length} packages: ${list} …`);
    await apt('download', ...names);
  }

  /** What must be downloaded for the first of the recipe's choices that this release has. */
  async #plan(apt: (...args: string[]) => Promise<string>, { packages, instead = [] }: AptRecipe) {
    let first: unknown;
    for (const choice of [packages, ...instead]) {
      try {
        return { packages: choice, plan: await apt('-s', 'install', '--no-install-recommends', ...choice) };
      } catch (error) {
        this.#signal?.throwIfAborted();
        first ??= error;
      }
    }
    throw first;
  }

  #run(command: string, args: readonly string[], cwd: string): Promise<string> {
    return runTool({
      service: this.#service,
      command,
      args,
      cwd,
      signal: this.#signal,
      env: { LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      explain: (words) => `${this.#warnings}${words}`,
      remedy: 'Connect this machine to its package archive and try again; LABS_PROVISION=never stops such attempts.',
    });
  }
}

/** Everything that apt writes goes to our folder; what it runs after an update (Docker images have such hooks) is off. */
const settings = (status: string | undefined) => `
${status === undefined ? '' : `Dir::State::status "${status}";`}
Dir::State::lists "${aptFolder('state', 'lists')}";
Dir::Cache "${aptFolder('cache')}";
Debug::NoLocking "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
APT::Get::Assume-Yes "true";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
`;

async function listsAreFresh(): Promise<boolean> {
  const refreshed = await stat(aptFolder('refreshed')).catch(() => undefined);
  return refreshed !== undefined && Date.now() - refreshed.mtimeMs < STALE_MS;
}

function aptFolder(...parts: string[]): string {
  return join(cacheFolder(), 'apt', ...parts);
}

function treeFolder(service: string): string {
  // A library of one release does not fit another: a home folder may be shared between machines.
  return aptFolder(`${release().id}-${process.arch}`, service);
}

async function libraries(tree: string): Promise<string> {
  const folders: string[] = [];
  for (const base of [join(tree, 'usr/lib'), join(tree, 'lib')]) {
    const names = await readdir(base).catch(() => []);
    folders.push(...names.filter((name) => name.includes('-linux-')).map((name) => join(base, name)));
  }
  return folders.join(':');
}
