import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { cached, cacheFolder, exists, makeCacheFolder } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { type Program, temporaryFolder } from './process.ts';
import { onPath } from './service.ts';
import { release } from './system.ts';

/** What apt's own client shall fetch into the private cache. */
export interface AptRecipe {
  readonly packages: readonly string[];
  /** The program's path inside the packages: `usr/bin/redis-server`. */
  readonly program: string;
  /** It is a library: it cannot be asked for its `--version` to see that it runs. */
  readonly library?: true;
  /** Rewrites paths that the packages hold, before the tree moves to `final`. */
  relocate?(tree: string, final: string): Promise<void>;
}

const STALE_MS = 7 * 24 * 3600 * 1000;

/** Whether `provision` may fetch here: Debian or Ubuntu, apt's tools at hand, LABS_PROVISION not `never`. */
export async function canProvision(): Promise<boolean> {
  if (process.env['LABS_PROVISION'] === 'never' || release().manager !== 'apt') return false;
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
  const runs = await promisify(execFile)(program.path, ['--version'], { env: { ...process.env, ...program.env } }).then(
    () => true,
    () => false,
  );
  return runs ? program : undefined;
}

/**
 * Fetches the packages with apt's own client and unpacks them into the private cache. Needs no root, installs nothing,
 * leaves the system's apt alone. Of several processes at once one fetches and the others wait.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError with apt's words
 */
export async function provision(
  service: string,
  recipe: AptRecipe,
  signal?: AbortSignal,
): Promise<Program | undefined> {
  if (!(await canProvision())) return undefined;
  try {
    return await provisionNow(service, recipe, signal);
  } catch (error) {
    // Node's own functions wrap the reason of an abort.
    signal?.throwIfAborted();
    throw error;
  }
}

async function provisionNow(service: string, recipe: AptRecipe, signal: AbortSignal | undefined): Promise<Program> {
  const began = performance.now();
  announce(
    `${service}: not on this machine; apt fetches it into ${cacheFolder()} (nothing is installed in the system)`,
  );
  await makeCacheFolder();
  await mkdir(aptFolder('state', 'lists', 'partial'), { recursive: true });
  await mkdir(aptFolder('cache', 'archives', 'partial'), { recursive: true });
  await using _lock = await lockFile(
    aptFolder('lock'),
    () => announce(`${service}: another lab is fetching; waiting for it`),
    signal,
  );
  const before = await provisioned(service, recipe);
  if (before !== undefined) return before;
  const apt = new Apt(service, signal);
  // Not there, or no longer working: then it is in the way.
  await rm(treeFolder(service), { recursive: true, force: true });
  await cached(treeFolder(service), (aside) => apt.fetch(recipe, aside));
  const program = await provisioned(service, recipe);
  if (program === undefined)
    throw new ProvisionError(
      service,
      `apt's package does not run here. Remove ${treeFolder(service)} and report this.`,
    );
  announce(`${service}: fetched in ${((performance.now() - began) / 1000).toFixed(1)} s; from now on it is at hand`);
  return program;
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
      await writeFile(config, settings());
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

  async #download(apt: (...args: string[]) => Promise<string>, { packages }: AptRecipe): Promise<void> {
    const plan = await apt('-s', 'install', '--no-install-recommends', ...packages);
    const missing = [...plan.matchAll(/^Inst (\S+)/gm)].flatMap(([, name]) => name ?? []);
    const names = [...new Set([...packages, ...missing])];
    announce(`${this.#service}: apt downloads ${names.length} packages: ${names.join(' ')} …`);
    await apt('download', ...names);
  }

  async #run(command: string, args: readonly string[], cwd: string): Promise<string> {
    const child = spawn(command, args, {
      // The working directory is the mark by which the reaper finds it.
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      ...(this.#signal && { signal: this.#signal }),
    });
    let output = '';
    let words = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      words += chunk;
    });
    const [code] = await once(child, 'close');
    if (code === 0) return `${output}${words}`;
    throw new ProvisionError(
      this.#service,
      `${command} failed (exit code ${code}):\n${`${this.#warnings}${words}`.trim().replace(/^/gm, '  | ')}\n` +
        'Connect this machine to its package archive and try again; LABS_PROVISION=never stops such attempts.',
    );
  }
}

/** Everything that apt writes goes to our folder; what it runs after an update (Docker images have such hooks) is off. */
const settings = () => `
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

/** A lock that dies with its holder, kill -9 included: `flock` holds it for as long as its stdin, our pipe, is open. */
async function lockFile(path: string, waiting: () => void, signal: AbortSignal | undefined): Promise<AsyncDisposable> {
  const holder = spawn('flock', [path, 'sh', '-c', 'echo held; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  holder.stdin.on('error', () => {});
  const notice = setTimeout(waiting, 300);
  try {
    await once(holder.stdout, 'data', { signal });
  } catch (error) {
    holder.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(notice);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      holder.stdin.end();
      if (holder.exitCode === null) await once(holder, 'exit');
    },
  };
}
